"""Compare a table that is released with the release before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from poolwright.core.results.changes import Changes
from poolwright.inspect.diff.diff import compare
from poolwright.inspect.diff.versions import open_version, version_of
from poolwright.release.parent import Parent, fetched_release, parent_record
from poolwright.run.run import Run

_FETCHED = "parents"
"""Folder of the run for copies of releases that are elsewhere."""


def parent_of(run: Run, table: str, named: str) -> Parent:
    """Return the release before that of a finished table.

    Args:
        named: path or URL of the earlier release.

    Raises:
        ReleaseError: there is none, or it cannot be read.
    """
    folder = fetched_release(named, run.folder / _FETCHED) if "://" in named else Path(named)
    record = parent_record(folder, named)

    def changes() -> Changes:
        found = compare(open_version(folder), version_of(run, run.table(table), table))
        return replace(found, before=replace(found.before, name=record.name))

    return Parent(record, changes)
