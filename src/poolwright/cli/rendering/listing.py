"""Prints lists of steps, pools, layouts, figures and encoders, and single entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from poolwright.cli.rendering.console import console, grid

if TYPE_CHECKING:
    from poolwright.api import Entry


def print_entries(noun: str, entries: Mapping[str, Entry]) -> None:
    """Every entry with the first line of its documentation, and the package that adds it if one does."""
    kinds = any(entry.kind for entry in entries.values())
    packages = any(entry.package for entry in entries.values())
    columns = [noun, *(["kind"] if kinds else []), "what it does", *(["package"] if packages else [])]
    table = grid(*columns)
    for name, entry in entries.items():
        cells = [name, *([entry.kind] if kinds else []), entry.summary]
        table.add_row(*map(Text, cells), *([Text(str(entry.package or ""))] if packages else []))
    out = console()
    out.print(table)
    out.print(Text(f"parameters of one: poolwright {noun}s NAME"))


def print_entry(noun: str, entries: Mapping[str, Entry], name: str) -> None:
    """One entry: documentation, parameters, reasons."""
    entry, out = entries[name], console()
    out.print(Text(f"{name} ({entry.kind})" if entry.kind else name, style="bold"))
    if entry.package:
        out.print(Text(f"from the package {entry.package}"))
    out.print(Text(entry.words))
    if entry.example:
        out.print(Text(f"\nexample: {entry.example}"))
    table = grid("parameter", "default", "meaning")
    for parameter in entry.parameters:
        table.add_row(*map(Text, (parameter.name, parameter.default, parameter.meaning)))
    out.print(table)
    for reason, words in (entry.reasons or {}).items():
        out.print(Text(f"drops: {reason}: {words}"))
