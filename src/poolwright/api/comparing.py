"""Compare versions of a dataset: diff, write_diff."""

from __future__ import annotations

from pathlib import Path

from poolwright.core.results.changes import Changes


def diff(
    before: str | Path, after: str | Path, *, removed: str | Path | None = None, rows: str | Path | None = None
) -> Changes:
    """Compare two versions of a dataset by the uids of their rows: releases, or tables of runs.

    Args:
        before, after: the folder of a release, or a finished table as RUN/TABLE.
        removed: file for the uids of the rows that `after` does not have: .txt, .csv, .parquet or .jsonl. A recipe
            reads it with `remove: {file: FILE}`.
        rows: file for all differences, one per row: .csv, .parquet or .jsonl.

    Returns:
        Counts of rows that were added, removed, moved to another split, relabelled or changed otherwise, why, and by
        split, class and source.

    Raises:
        InputError: no such release or table, or it is damaged.
        RecipeError: a run is named without a table, a file has an unknown ending, or two rows of one version have the
            same uid.
    """
    from poolwright.inspect.diff.diff import DiffFiles, compare
    from poolwright.inspect.diff.versions import open_version

    files = DiffFiles(*(None if path is None else Path(path) for path in (removed, rows)))
    return compare(open_version(before), open_version(after), files)


def write_diff(changes: Changes, to: str | Path) -> Path:
    """Write the differences between two versions as one self-contained HTML file.

    Args:
        changes: what `diff` returned.
        to: the file.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    from poolwright.report.diff_page import write_diff as _write

    return _write(changes, Path(to))
