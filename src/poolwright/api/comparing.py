"""Compare versions of a dataset, and datasets with each other: diff, write_diff, leaks, write_leaks."""

from __future__ import annotations

from pathlib import Path

from poolwright.api.progress import shown
from poolwright.core.results.changes import Changes
from poolwright.core.results.leaks import LeakReport
from poolwright.core.runtime.progress import Listener


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
    from poolwright.report.comparison_pages import write_diff as _write

    return _write(changes, Path(to))


def leaks(
    *sets: str | Path,
    vectors: str | None = None,
    above: float = 0.95,
    within: bool = False,
    by: str | None = None,
    read: str | None = None,
    pictures: bool = False,
    listener: Listener | None = None,
    progress: bool = False,
) -> LeakReport:
    """Count the rows that datasets have in common: by SHA-256, perceptual hash, and vectors if all have them.

    Hashes are those in the columns `sha256` and `phash`; a set without them needs images, which are hashed.

    Args:
        sets: releases, finished tables (RUN/tables/NAME), folders of images, datasets of the Hugging Face Hub (folders,
            or hf://datasets/USER/NAME), files of rows; two or more, unless `by` or `within` is given.
        vectors: column of vectors to compare, or 'none'; default the first that all sets have, if any, and whose name
            has not 'text' in it.
        above: least cosine of near vectors.
        within: compare rows of the same set, too.
        by: column that divides each set into parts, such as split, which are compared with each other; one set is
            enough then.
        read: kind of the sets, such as 'commonpool', if their paths do not show it.
        pictures: make small pictures of the examples, for `write_leaks`.
        listener: receives progress.
        progress: whether to show progress.

    Raises:
        RecipeError: a set does not exist, or there is nothing to compare.
        InputError: a part of a set cannot be read.
    """
    from poolwright.jobs.leaks import compare_sets

    with shown(listener, progress) as seen:
        return compare_sets([str(one) for one in sets], read, vectors, above, within, by, pictures, seen.note)


def write_leaks(report: LeakReport, to: str | Path) -> Path:
    """Write what datasets have in common as one self-contained HTML file, with pairs of pictures side by side.

    Args:
        report: what `leaks` returned, with pictures if they are to be shown.
        to: the file.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    from poolwright.report.comparison_pages import write_leaks as _write

    return _write(report, Path(to))
