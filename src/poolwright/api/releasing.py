"""Write the releases of a recipe into their folders, or by way of the run folder into an object store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from poolwright.core.errors import ReleaseError
from poolwright.core.results.measured import Measured
from poolwright.core.runtime.progress import Listener
from poolwright.inspect.stale import stale
from poolwright.recipe.recipe import ReleaseSpec
from poolwright.registry import layout_class, packages_of
from poolwright.release.folder import released_table
from poolwright.run.run import Run

if TYPE_CHECKING:
    from poolwright.release.layouts.layout import Written
    from poolwright.release.parent import Parent


def check_store(release: ReleaseSpec, overwrite: bool, listener: Listener) -> None:
    """Check that the object store of a release, if it goes to one, can be reached and holds nothing else there.

    Raises:
        ReleaseError: the folder in the store holds something else.
        TransferError: the store refuses, or cannot be reached.
    """
    if isinstance(release.to, str):
        from poolwright.hub.stores import StorePush

        StorePush(Path(), {}, release.to, listener).check(overwrite)


def write_release(work: Run, spec: ReleaseSpec, overwrite: bool, measured: Sequence[Measured]) -> Written:
    """Write a release, and push it if it goes to an object store.

    Raises:
        ReleaseError: a table of it was made from another one that has changed since.
    """
    for outdated in filter(None, (stale(work.table_folder(name)) for name in (spec.table, *spec.layout.tables()))):
        raise ReleaseError(f"{outdated.words}; {spec.to} was left as it is")
    to = work.recipe.source.hide(str(spec.to))
    work.listener.note(f"releasing {spec.table} as {spec.layout.layout} to {to}")
    for note in spec.layout.notes(work.table(spec.table).schema):
        work.listener.note(f"{to}: {note}")
    folder = spec.folder(work.folder)
    here = [found for found in measured if found.table == spec.table]
    versions = packages_of(layouts=[spec.layout.layout])
    made_anew = (work.started_over | work.extended) & {spec.table, *spec.layout.tables()}
    anew = overwrite or (bool(made_anew) and released_table(folder) == spec.table)
    parent = _parent(work, spec) if spec.parent else None
    written = spec.layout.write(work.table(spec.table), folder, spec.about, anew, here, versions, parent, work.engine)
    return _pushed(written, spec.to, overwrite, work.listener) if isinstance(spec.to, str) else written


def _pushed(written: Written, url: str, overwrite: bool, listener: Listener) -> Written:
    from poolwright.hub.push_release import push_release

    pushed = push_release(
        written.folder, url, layout_class, public=False, revision=None, message=None, overwrite=overwrite,
        dry_run=False, listener=listener,
    )  # fmt: skip
    return replace(written, url=pushed.to)


def _parent(work: Run, spec: ReleaseSpec) -> Parent:
    from poolwright.inspect.diff.parent import parent_of

    return parent_of(work, spec.table, str(spec.parent))
