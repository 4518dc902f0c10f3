"""Format small pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~])")


def plain(text: object) -> str:
    """Escape text so that Markdown shows it unchanged, on one line."""
    return _SPECIAL.sub(r"\\\1", re.sub(r"\s+", " ", str(text)).strip())


def code(text: object) -> str:
    """Format text as inline code that is valid inside a table."""
    shown = re.sub(r"\s+", " ", str(text)).replace("|", "\\|")
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", shown)), default=0))
    pad = " " if "`" in shown or not shown else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def fenced(text: str, language: str) -> str:
    """Format a code block whose fence is longer than any in the text."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Format a table; the columns in `right` are right-aligned."""
    rule = ["---:" if index in right else "---" for index in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def folded(title: str, text: str) -> str:
    """Format text that readers unfold by its title; text that no one unfolds can be searched all the same."""
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def share(part: int, whole: int) -> str:
    """Format a share as a percentage: '3.4%'."""
    value = 100 * part / whole if whole else 0.0
    if part and value < 0.1:
        return "< 0.1%"
    if part < whole and value > 99.9:
        return "> 99.9%"
    return f"{value:.1f}%"


def number(value: float | None) -> str:
    """Format a measured number with four significant digits; '' for None."""
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
