"""Prints estimates from verdicts, and what boxes of several people come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from poolwright.cli.rendering.console import console, grid

if TYPE_CHECKING:
    from poolwright.api import CombinedBoxes, Estimates, MoreVerdicts


def print_audit(files: Sequence[Path]) -> None:
    """The sheet that was written, and what to do with it."""
    for path in files:
        print(f"wrote {path}")
    print(f"fill in the verdicts (positive, negative, unsure), then: poolwright accuracy {files[0]}")


def print_accuracy(estimates: Estimates, more: MoreVerdicts | None = None) -> None:
    """Print precision, recall, prevalence and missed rows with their intervals, and what to mind."""
    out = console()
    table = grid("on the pool", "estimate", "interval", "whatever 'unsure' means", numbers=("estimate",))
    for name in ("precision", "recall", "prevalence"):
        one = getattr(estimates, name)
        value = f"{one.value:.2%}" if one.value is not None else "?"
        unsure = f"{one.lowest:.2%} to {one.highest:.2%}"
        interval = "all looked at" if one.low == one.high else f"{one.low:.2%} to {one.high:.2%}"
        table.add_row(name, value, interval, unsure)
    missed = estimates.missed
    value = f"{missed.value:,.0f} rows" if missed.value is not None else "?"
    interval = "all looked at" if missed.low == missed.high else f"{missed.low:,.0f} to {missed.high:,.0f}"
    table.add_row("missed", value, interval, f"{missed.lowest:,.0f} to {missed.highest:,.0f}")
    out.print(table)
    out.print(Text(f"intervals of {estimates.confidence:.0%} confidence"))
    for note in estimates.notes:
        out.print(Text(note))
    if more is not None:
        _print_more(more, estimates)


def _print_more(more: MoreVerdicts, estimates: Estimates) -> None:
    """Print how many more verdicts the wanted intervals need, and in which strata."""
    out = console()
    expected = ", ".join(f"{name} ± {width:.1%}" for name, width in more.half_widths.items())
    out.print(Text(f"{more.total:,} more verdicts; then about {expected}", style="bold"))
    table = grid("decisions from", "to", "rows", "verdicts", "more", numbers=("rows", "verdicts", "more"))
    for found, count in zip(estimates.strata, more.strata, strict=True):
        one = found.stratum
        table.add_row(f"{one.low:.3g}", f"{one.high:.3g}", f"{one.rows:,}", f"{found.answers.total:,}", f"{count:,}")
    out.print(table)


def print_boxes(found: CombinedBoxes) -> None:
    """The boxes of each class with the agreement of people, what is left to a reviewer, and the files."""
    out = console()
    table = grid("class", "boxes", "disputed", "agreement", "overlap", numbers=("boxes", "disputed"))
    for one in (*found.classes, found.all):
        shares = ("" if value is None else f"{value:.1%}" for value in (one.agreement, one.overlap))
        table.add_row(Text(one.name or "all"), f"{one.boxes:,}", f"{one.disputed:,}", *shares)
    out.print(table)
    words = f"pictures: {found.images:,}; people: {found.people}"
    words += f"; decided by a reviewer: {found.reviewed:,}" if found.reviewed else ""
    out.print(Text(f"{words}; boxes of one object overlap by {found.least_overlap:.0%} or more"))
    if found.disputed_images:
        out.print(Text(f"pictures with disputed boxes: {found.disputed_images:,}; a --reviewer decides about them"))
    if found.too_few:
        few = f"pictures left out, as too few people looked at them: {len(found.too_few):,}, such as {found.too_few[0]}"
        out.print(Text(few))
    for remark in found.remarks:
        out.print(Text(remark))
    for path in found.files:
        print(f"wrote {path}")
