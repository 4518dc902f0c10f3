"""Prints the results of inspecting a run or a release: stories, searches, links, checks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from poolwright.cli.rendering.console import console, grid, standard_output
from poolwright.core.errors import RecipeError
from poolwright.core.results.rows_file import kind_of, write_rows

if TYPE_CHECKING:
    from poolwright.api import Check, DroppedRows, LedgerSummary, SearchResult, Story, Verification
    from poolwright.studio.serve import Link


_CHECK_WORDS = {True: "ok", False: "BROKEN", None: "skipped"}


def print_stories(stories: Sequence[Story]) -> None:
    """One row's way through every table that it entered."""
    for story in stories:
        _print_story(story)


def _print_story(story: Story) -> None:
    """One row's way through one table."""
    out = console()
    out.print(Text(f"{story.table}: {story.uid} was {'kept' if story.kept else 'dropped'}", style="bold"))
    out.print(Text(f"  from {story.origin}"))
    if story.changed:
        out.print(Text("  the table was made from something else than what is there now; what it recorded is shown:"))
        for line in story.changed:
            out.print(Text(f"    - {line}"))
    for chapter in story.chapters:
        values = ", ".join(f"{name}={_brief(value)}" for name, value in chapter.values.items() if name != "uid")
        outcome = f"dropped: {chapter.dropped}" if chapter.dropped else "went on"
        out.print(Text(f"  {chapter.verb}: {outcome}"))
        for line in (chapter.explanation, values, f"learned: {chapter.learned}" if chapter.learned else ""):
            if line:
                out.print(Text(f"      {line}"))


def _brief(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def print_dropped(summary: LedgerSummary) -> None:
    """Print how many rows a table dropped, by step and reason."""
    out = console()
    gone = summary.rows_in - summary.rows_kept
    out.print(Text(f"{summary.table}: {gone:,} of {summary.rows_in:,} rows dropped", style="bold"))
    table = grid("step", "verb", "reason", "rows", "because", numbers=("step", "rows"))
    for one in summary.dropped:
        rows = "?" if one.rows is None else f"{one.rows:,}"
        table.add_row(str(one.step), one.verb, one.reason, rows, one.because + (" (bad)" if one.bad else ""))
    out.print(table)


def write_dropped(found: DroppedRows, to: Path | None, kind: str | None) -> None:
    """Write dropped rows to a file, or to standard output."""
    chosen = kind_of(to, kind)
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    if to is not None:
        print(f"wrote {found.write(to, chosen)}")
    elif chosen == "parquet" and sys.stdout.isatty():
        raise RecipeError("Parquet is no text for a terminal; write it to a file: --to FILE")
    else:
        write_rows(found, found.schema, standard_output(), chosen)


def print_found(found: SearchResult, written: Sequence[Path], uids: Mapping[int, str]) -> None:
    """Print what a search found, in numbers, and the files to open."""
    out = console()
    where = f"{found.table}, {found.within}" if found.within else found.table
    nearest = found.nearest
    what = f"'{found.prompt}'" if found.prompt else f"like {found.like}"
    text = f"{what}: the nearest {len(nearest.scores):,} of {found.rows:,} rows in {where}"
    out.print(Text(text, style="bold"))
    table = grid("rank", "cosine", "uid", numbers=("rank", "cosine"))
    last = len(nearest.scores) - 1
    ranks = {place + 1: (nearest.scores[place], nearest.positions[place]) for place in (0, last)}
    for one in found.deeper:
        ranks[one.first] = one.scores[0], one.positions[0]
    for rank, (score, row) in ranks.items():
        table.add_row(f"{rank:,}", f"{score:.4f}", Text(uids[row]))
    out.print(table)
    if found.contest:
        contest = found.contest
        out.print(Text(f"against '{contest.other}': {contest.both:,} are near to both; it wins {contest.won[1]:,}"))
    for path in written:
        out.print(Text(f"wrote {path}"))


def print_report(page: Path) -> None:
    """The page to open."""
    print(f"open {page}")


def print_figure_files(files: Sequence[Path]) -> None:
    """The figures that were drawn."""
    for path in files:
        print(path)


def print_links(links: Sequence[Link]) -> None:
    """Print the addresses of the studio."""
    if not links[0].name:
        print(f"open {links[0].url}   (Ctrl-C stops)", flush=True)
        return
    for link in links:
        print(f"{link.name}: {link.url}", flush=True)
    print("each link is the key of one person; what passes is not encrypted, so use a tunnel or a proxy with TLS")
    print("Ctrl-C stops", flush=True)


def print_checks(checks: Sequence[Check]) -> None:
    """One line per check of a release: its outcome, its name, and what was found."""
    out = console()
    for item in checks:
        state = "warning" if item.warning else _CHECK_WORDS[item.ok]
        out.print(Text(f"{state:8}{item.name}: {item.words}"))


def print_verification(verification: Verification) -> None:
    """Every check of a release, and the outcome last."""
    print_checks(verification.checks)
    warnings = [check.name for check in verification.checks if check.warning]
    words = f"the release verifies{', with a warning: ' if warnings else ''}{', '.join(warnings)}"
    console().print(Text(words if verification.ok else "the release does not verify", style="bold"))
