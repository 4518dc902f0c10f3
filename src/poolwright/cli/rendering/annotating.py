"""Prints estimates from verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from poolwright.cli.rendering.console import console, grid

if TYPE_CHECKING:
    from poolwright.api import Estimates, MoreVerdicts


def print_audit(files: Sequence[Path]) -> None:
    """The sheet that was written, and what to do with it."""
    for path in files:
        print(f"wrote {path}")
    print(f"fill in the verdicts (positive, negative, unsure), then: poolwright accuracy {files[0]}")


def print_accuracy(estimates: Estimates, more: MoreVerdicts | None = None) -> None:
    """Precision, recall and prevalence with their intervals, the strata behind them, and what to mind."""
    out = console()
    table = grid("on the pool", "estimate", "interval", "whatever 'unsure' means", numbers=("estimate",))
    for name in ("precision", "recall", "prevalence"):
        one = getattr(estimates, name)
        value = f"{one.value:.2%}" if one.value is not None else "?"
        unsure = f"{one.lowest:.2%} to {one.highest:.2%}"
        interval = "all looked at" if one.low == one.high else f"{one.low:.2%} to {one.high:.2%}"
        table.add_row(name, value, interval, unsure)
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
