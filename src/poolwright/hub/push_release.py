"""Push a release to the Hub or to an object store, once everything that can be checked before has been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from poolwright.core.errors import RecipeError, ReleaseError
from poolwright.core.files import sha256_file
from poolwright.core.runtime.progress import Listener
from poolwright.core.wording import rows
from poolwright.hub.addresses import HubAddress, check_store, hub_address, is_hub, with_revision
from poolwright.hub.push import HubPush
from poolwright.hub.results import Pushed
from poolwright.hub.rules import hub_checks
from poolwright.hub.stores import StorePush
from poolwright.release.checks.result import Check
from poolwright.release.checksums import SUMS, read_sums
from poolwright.release.layouts.layout import Layout
from poolwright.release.record import ReleaseRecord
from poolwright.release.verify import verify


def push_release(
    folder: Path,
    to: str,
    find_layout: Callable[[str], type[Layout]],
    *,
    public: bool,
    revision: str | None,
    message: str | None,
    overwrite: bool,
    dry_run: bool,
    listener: Listener,
) -> Pushed:
    """Push a release; see `poolwright.api.push`."""
    address = _address(to, revision, public, message)
    verification = verify(folder, find_layout)
    words = verification.words.removeprefix(f"{folder}: ")
    checks = [Check("release", verification.ok, words)]
    sizes: dict[str, int] = {}
    if verification.ok:
        files = {**read_sums(folder), SUMS: sha256_file(folder / SUMS)}
        sizes = {name: (folder / name).stat().st_size for name in files}
        checks += hub_checks(folder, sizes) if isinstance(address, HubAddress) else []
    plan = Pushed(
        folder, str(address), None, None, None, len(sizes), sum(sizes.values()), 0, 0, (), tuple(checks), dry_run
    )
    if dry_run:
        return plan
    if not plan.ok:
        wrong = "; ".join(f"{check.name}: {check.words}" for check in checks if check.ok is False)
        raise ReleaseError(f"{folder}: nothing was sent: {wrong}")
    if not isinstance(address, HubAddress):
        store = StorePush(folder, files, address, listener)
        store.run(overwrite)
        return _done(plan, store.sent, sizes, store.removed)
    push = HubPush(folder, files, address, message or _message(folder), listener)
    state = push.run(public, overwrite)
    if public and state.private:
        listener.note(f"{address}: the dataset was there, and stays private; make it public in its settings")
    page = f"{push.api.endpoint}/datasets/{address.repo}"
    done = _done(plan, push.sent, sizes, push.removed)
    return replace(done, page=page, commit=state.commit, private=state.private)


def _address(to: str, revision: str | None, public: bool, message: str | None) -> HubAddress | str:
    if is_hub(to):
        return with_revision(hub_address(to), revision)
    store = check_store(to)
    for option, given in (("--revision", revision), ("--public", public), ("--message", message)):
        if given:
            raise RecipeError(f"{to}: an object store has no {option}; leave it out")
    return store


def _done(plan: Pushed, sent: list[str], sizes: dict[str, int], removed: list[str]) -> Pushed:
    changed_bytes = sum(sizes[name] for name in sent)
    return replace(plan, changed=len(sent), changed_bytes=changed_bytes, removed=tuple(removed))


def _message(folder: Path) -> str:
    release = ReleaseRecord.load(folder)
    what = f"'{release.table}' ({rows(release.rows)}, {release.layout})"
    return f"Release table {what} by poolwright {version('poolwright')}"
