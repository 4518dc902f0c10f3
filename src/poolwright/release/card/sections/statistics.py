"""Write the statistics section of a dataset card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from poolwright.core.columns import LABEL, LICENSE, SPLIT
from poolwright.release.card.figures.draw import CLASSES
from poolwright.release.card.markdown import code, folded, grid, number, plain, share
from poolwright.release.data.splits import as_text
from poolwright.release.record import ReleaseRecord
from poolwright.release.statistics import Statistics, Value

_TOP = 20


def splits_section(release: ReleaseRecord, statistics: Statistics, picture: Callable[[str], str]) -> str:
    """Return splits, classes and details as Markdown.

    Args:
        picture: returns the Markdown of a figure by its name; '' if there is none.
    """
    parts = [
        "## Splits and classes",
        _splits(release),
        _classes(statistics, picture(CLASSES)),
        *(detail.section(picture(detail.name)) for detail in statistics.details),
    ]
    return "\n\n".join(part for part in parts if part)


def statistics_section(release: ReleaseRecord, statistics: Statistics) -> str:
    """Return groups and numbers as Markdown; the full counts are in statistics.json."""
    parts = ["## Statistics", "All counts: `statistics.json`.", *_groups(release, statistics)]
    return "\n\n".join(part for part in (*parts, _numbers(release, statistics)) if part)


def _splits(release: ReleaseRecord) -> str:
    rows = []
    for split, count in release.splits.items():
        value = release.split_names.get(split)
        named = code(split) if value in (None, split) else f"{code(split)} (column `split`: {plain(value)})"
        files = sum(file.split == split for file in release.files)
        rows.append((named, f"{count:,}", share(count, release.rows), f"{files:,}"))
    return grid(("split", "rows", "share", "files"), rows, (1, 2, 3))


def _classes(statistics: Statistics, picture: str) -> str:
    counts = statistics.counts(LABEL)
    classes = [(value, rows) for value, rows in counts if value is not None]
    if not classes:
        return ""
    sizes = sorted(rows for _, rows in classes)
    middle = sizes[len(sizes) // 2]
    words = f"### Classes\n\n{len(classes):,} classes; "
    words += f"largest {sizes[-1]:,}, median {middle:,}, smallest {sizes[0]:,} rows."
    unlabelled = sum(rows for value, rows in counts if value is None)
    words += f" {unlabelled:,} rows have no class." if unlabelled else ""
    table = _table(counts, LABEL, statistics.rows)
    return "\n\n".join([words, picture, folded("Rows of each class", table)] if picture else [words, table])


def _groups(release: ReleaseRecord, statistics: Statistics) -> list[str]:
    released = {column.name for column in release.columns}
    shown = {LABEL, SPLIT, LICENSE, *(name for detail in statistics.details for name in detail.columns)}
    shown |= {name for name, other in statistics.twins.items() if other in released | shown}
    parts = []
    for name, counts in statistics.groups.items():
        if name in released - shown and len(counts) > 1:
            title = f"By <code>{escape(' '.join(name.split()))}</code>, {len(counts):,} values"
            parts.append(folded(title, _table(counts, name, statistics.rows)))
    return parts


def _table(counts: Sequence[tuple[Value, int]], name: str, total: int) -> str:
    # A single remaining value takes no more room than the line that would sum it up.
    shown = counts if len(counts) <= _TOP + 1 else counts[:_TOP]
    rows = [(plain(as_text(value)) if value is not None else "*none*", f"{n:,}", share(n, total)) for value, n in shown]
    rest = counts[len(shown) :]
    if rest:
        left = sum(n for _, n in rest)
        words = f"*{len(rest):,} more, {rest[-1][1]:,} to {rest[0][1]:,} rows each*"
        rows.append((words, f"{left:,}", share(left, total)))
    return grid((plain(name), "rows", "share"), rows, (1, 2))


def _numbers(release: ReleaseRecord, statistics: Statistics) -> str:
    released = {column.name for column in release.columns}
    rows = [
        (code(name), number(spread.low), number(spread.high), f"{spread.missing:,}")
        for name, spread in statistics.spreads.items()
        if name in released
    ]
    return f"### Numbers\n\n{grid(('column', 'least', 'greatest', 'missing'), rows, (1, 2, 3))}" if rows else ""
