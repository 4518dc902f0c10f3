"""Write the page of a search: nearest images, images at deeper ranks, neighbours, and a comparison of two prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from poolwright.core.columns import LABEL
from poolwright.core.files import write_text
from poolwright.core.results.search_result import Contest, Ranked, SearchResult
from poolwright.report.charts.charts import Line, Markup, Tick, columns, count_ticks, nice_top, scatter, tick_values
from poolwright.report.charts.words import cut, percent, short
from poolwright.report.figures import Plot
from poolwright.report.images.contact_sheet import write_contact_sheet
from poolwright.report.page import resource, template
from poolwright.report.sheets import Budget, Sheet, SheetCard, cards_of
from poolwright.report.view import TableView

_BYTES_EACH = 9_000
_BINS = 60
_CONTESTED = 24
_POINTS = 1_000


@dataclass(frozen=True)
class ContestWords:
    """A comparison of two prompts, for the page: rows of each, the drawing, and the closest cases."""

    one: str
    other: str
    facts: tuple[tuple[str, str, str], ...]
    cloud: Plot
    closest: Sheet


def write_search(view: TableView, found: SearchResult, folder: Path, name: str) -> tuple[Path, Path]:
    """Write the page `<name>.html` and the contact sheet `<name>.jpg`.

    Args:
        view: view of the table that was searched.
        folder: folder of the files.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    page = template("search.html.j2")
    nearest = _sheet(view, found.nearest, "")
    title = found.prompt or f"like {found.like}"
    where = f"{found.table}, {found.within}" if found.within else found.table
    html = page.render(
        title=cut(title, 120),
        found=found,
        where=where,
        nearest=nearest,
        histogram=_histogram(found),
        deeper=[_sheet(view, ranked, f"from rank {ranked.first:,}") for ranked in found.deeper],
        neighbours=_sheet(view, found.neighbours, ""),
        contest=_contest(view, found.prompt, found.contest) if found.contest else None,
        style=Markup(resource("style.css")),
    )
    write_text(folder / f"{name}.html", html)
    lines = [f"{rank}  {score:.4f}" for rank, score in enumerate(found.nearest.scores, start=1)]
    sheet_title = f"{title}: the nearest {len(lines):,} of {found.rows:,} in {where}"
    sheet = write_contact_sheet(nearest.cards, lines, sheet_title, folder / f"{name}.jpg")
    return folder / f"{name}.html", sheet


def _sheet(view: TableView, ranked: Ranked, title: str) -> Sheet:
    cards, failed = _cards(view, ranked.positions)
    notes = [
        (("rank", f"{ranked.first + row:,}"), ("cosine", f"{score:.4f}")) for row, score in enumerate(ranked.scores)
    ]
    return Sheet(title, "", len(cards), _noted(cards, notes), failed=failed)


def _cards(view: TableView, rows: Sequence[int]) -> tuple[list[SheetCard], str]:
    shown = [name for name in (LABEL, "class") if name in view.table.schema.names][:1]
    return cards_of(view, rows, Budget(len(rows), _BYTES_EACH), shown)


def _noted(cards: Sequence[SheetCard], notes: Sequence[tuple[tuple[str, str], ...]]) -> tuple[SheetCard, ...]:
    """Return the cards with further notes before their own."""
    return tuple(replace(card, notes=(*note, *card.notes)) for card, note in zip(cards, notes, strict=True))


def _histogram(found: SearchResult) -> Plot:
    """Plot the cosines of all searched rows, with the cosines of the ranks shown as lines."""
    scores = found.all_scores
    low, high = _span(scores)
    counts = np.histogram(scores, bins=_BINS, range=(low, high))[0].tolist()
    edges = np.linspace(low, high, _BINS + 1)
    titles = [f"{edges[bin_]:.3f} to {edges[bin_ + 1]:.3f}: {count:,} rows" for bin_, count in enumerate(counts)]
    top = nice_top(max(counts))
    ranks = [len(found.nearest.positions), *(one.first for one in found.deeper[:-1])]
    lines = [
        Line(round(100 * (float(scores[rank - 1]) - low) / (high - low), 2), f"rank {rank:,}: {scores[rank - 1]:.4f}")
        for rank in ranks
    ]
    facts = f"highest {scores[0]:.4f} · median {np.median(scores):.4f} · lowest {scores[-1]:.4f}"
    return Plot(
        title=f"Cosines of all {found.rows:,} rows searched",
        meaning="",
        facts=facts,
        svg=columns(counts, titles, f"Histogram of cosines: {facts}", top),
        across=tuple(
            Tick(round(100 * (value - low) / (high - low), 2), short(value)) for value in tick_values(low, high, 6)
        ),
        up=count_ticks(top),
        lines=tuple(lines),
    )


def _span(scores: np.ndarray) -> tuple[float, float]:
    low, high = float(scores.min()), float(scores.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _contest(view: TableView, prompt: str, contest: Contest) -> ContestWords:
    rows, alone, won = sum(contest.everywhere), contest.alone, contest.won
    facts = (
        (
            "of all rows, nearer to this prompt",
            percent(contest.everywhere[0], rows),
            percent(contest.everywhere[1], rows),
        ),
        ("near to this prompt only", f"{alone[0]:,}", f"{alone[1]:,}"),
        (f"won of the {contest.both:,} near to both", f"{won[0]:,}", f"{won[1]:,}"),
        ("total", f"{alone[0] + won[0]:,}", f"{alone[1] + won[1]:,}"),
    )
    cards, failed = _cards(view, contest.positions[:_CONTESTED])
    notes = [
        (("goes to", cut(prompt if one >= other else contest.other, 40)), ("cosines", f"{one:.4f} : {other:.4f}"))
        for one, other in contest.scores[:_CONTESTED]
    ]
    closest = Sheet("", "", len(contest.positions), _noted(cards, notes), failed=failed)
    return ContestWords(cut(prompt, 80), cut(contest.other, 80), facts, _cloud(prompt, contest), closest)


def _cloud(prompt: str, contest: Contest) -> Plot:
    """Plot rows by their cosines to both prompts; rows above the diagonal go to the second."""
    points = np.array(contest.scores[:_POINTS])
    low, high = _span(points)
    styles = ["kept" if one >= other else "lost0" for one, other in points]
    titles = [f"{one:.4f} to '{cut(prompt, 60)}', {other:.4f} to '{cut(contest.other, 60)}'" for one, other in points]
    ticks = [Tick(round(100 * (value - low) / (high - low), 2), short(value)) for value in tick_values(low, high, 5)]
    shown = f"{len(points):,} rows" if len(points) == len(contest.scores) else f"the closest {len(points):,} rows"
    return Plot(
        title="Cosines to both",
        meaning=f"Horizontal: '{cut(prompt, 60)}'; vertical: '{cut(contest.other, 60)}'. On the line both are equal.",
        facts=f"{shown} among the nearest of either prompt",
        svg=scatter((points - low) / (high - low), styles, titles, "Cosines to both prompts"),
        across=tuple(ticks),
        up=tuple(ticks),
    )
