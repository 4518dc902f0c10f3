"""Exchange what people give, such as answers, between a work folder and its remote run folder, at any time.

People answer while no run is there, on several machines, and by putting files into the store. Each of their files is
whole in itself, so no manifest names it: one that has changed on one side since both sides were last the same is copied
to the other. Two that were changed on both sides, differently, are an error, and both stay.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from poolwright.annotation.exchange.worklist import SHEETS, STUDIO_ANSWERS, read_asked
from poolwright.annotation.queue.history_file import copy_history, digest_history
from poolwright.annotation.queue.store import STORE
from poolwright.core.errors import ChangedError
from poolwright.core.files import PARTIAL, digest_file, make_folder, sync_folder, write_text
from poolwright.core.runtime.locks import one_at_a_time
from poolwright.run.lock import run_lock
from poolwright.run.remote.contents import ANSWER_FOLDERS, KNOWN, KNOWN_LOCK, files_of_people, is_answer
from poolwright.run.remote.store import RunStore


class Known(NamedTuple):
    """A file as it was when both sides were the same: the digest here, the state of the object there."""

    digest: str
    state: str


class AnswerExchange:
    """What people give, in a work folder and in the store. Processes of one machine may share the work folder.

    Args:
        store: the remote run folder.
        folder: the work folder.
    """

    def __init__(self, store: RunStore, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._digests: dict[str, tuple[tuple[int, ...], str]] = {}
        self._takes_history = True

    def exchange(self) -> None:
        """Copy what has changed on one side to the other. A call after a kill goes on.

        Raises:
            ChangedError: a file has changed on both sides; all others are exchanged.
            InputError: the store fails.
        """
        with one_at_a_time(self._folder / KNOWN_LOCK):
            before, there = self._read_known(), self._there()
            known = dict(before)
            here = {name: digest for name in files_of_people(self._folder) if (digest := self._digest(name))}
            apart = []
            for name in sorted({*before, *there, *here}):
                try:
                    now = self._settled(name, here.get(name), there.get(name), known.get(name), bool(there))
                except _Apart:
                    apart.append(name)
                    continue
                known.pop(name, None)
                known |= {name: now} if now else {}
            if known != before:
                self._write_known(known)
        self._takes_history = False  # from now on, somebody may have it open
        if apart:
            raise ChangedError(
                f"{self._store.url}: {', '.join(apart)} changed both there and in {self._folder} since they were last "
                f"the same; nothing was lost. Keep both: rename the one in {self._folder}; or remove one of the two"
            )

    def _there(self) -> dict[str, str]:
        found = {name: state for top in ANSWER_FOLDERS for name, state in self._store.states(top).items()}
        history = self._store.state(STORE)
        found |= {} if history is None else {STORE: history}
        return {name: state for name, state in found.items() if is_answer(name)}

    def _settled(
        self, name: str, here: str | None, there: str | None, known: Known | None, is_begun: bool
    ) -> Known | None:
        """Make a file the same on both sides; None if it is on neither.

        Args:
            here: its digest, if it is here.
            there: its state, if it is there.
            known: both, as they were last the same.
            is_begun: whether the store has any answers; if not, it never had, or was emptied.
        """
        same_here = here == (known.digest if known else None)
        same_there = there == (known.state if known else None)
        if same_here and same_there:
            return known
        if there is None:
            if here is None:
                return None
            if same_here and is_begun and name != STORE:  # somebody took it back
                (self._folder / name).unlink(missing_ok=True)
                return None
            return self._sent(name, here)
        if same_there and here is not None:
            return self._sent(name, here)
        if same_there and name != STORE:
            self._store.remove(name)
            return None
        return self._taken(name, here, there, may_replace=same_here or here is None)

    def _sent(self, name: str, digest: str) -> Known | None:
        """Send a file. One that changes meanwhile is sent again by the next call, since its digest is another then."""
        path = self._folder / name
        try:
            copy = copy_history(path) if name == STORE else path
            self._store.send(copy, name)
        except FileNotFoundError:  # removed meanwhile
            return None
        if copy != path:
            copy.unlink()
        return Known(digest, self._store.state(name) or "")

    def _taken(self, name: str, here: str | None, there: str, may_replace: bool) -> Known | None:
        """Fetch a file that has changed there, unless it is the same as the one here."""
        path = self._folder / name
        make_folder(path.parent)
        partial = path.with_name(f"{path.name}.remote{PARTIAL}")
        try:
            self._store.fetch(name, partial)
            digest = digest_history(partial) if name == STORE else digest_file(partial)
            if digest != here:
                if not (may_replace or self._follows(name, here)):
                    raise _Apart
                self._replace(name, partial)
        except FileNotFoundError:  # removed meanwhile
            return None
        finally:
            partial.unlink(missing_ok=True)
        return Known(digest, there)

    def _replace(self, name: str, partial: Path) -> None:
        if name != STORE:
            os.replace(partial, self._folder / name)
        elif self._takes_history:
            with run_lock(self._folder / "studio"):  # its last user has closed it, so it is one file
                os.replace(partial, self._folder / name)
        else:
            raise _Apart
        sync_folder((self._folder / name).parent)

    def _follows(self, name: str, digest: str | None) -> bool:
        """Whether a file follows from others: answers of the studio, and sheets that nobody has filled in."""
        _, queue, inside = (*name.split("/", 2), "", "")[:3]
        if not inside.startswith(f"{SHEETS}/"):
            return inside == STUDIO_ANSWERS
        sheets = read_asked(self._folder / "verify" / queue).sheets.values()
        return any(files.get(inside.removeprefix(f"{SHEETS}/")) == digest for files in sheets)

    def _digest(self, name: str) -> str | None:
        """Return the digest of a file here, computed again when it has changed; None if it is gone."""
        path = self._folder / name
        try:
            state = _state(path)
            if name == STORE:
                with suppress(FileNotFoundError):
                    state += _state(path.with_name(f"{STORE}-wal"))
            if name not in self._digests or self._digests[name][0] != state:
                self._digests[name] = state, (digest_history if name == STORE else digest_file)(path)
        except FileNotFoundError:
            return None
        return self._digests[name][1]

    def _read_known(self) -> dict[str, Known]:
        try:
            found = json.loads((self._folder / KNOWN).read_text(encoding="utf-8"))
            return {name: Known(*values) for name, values in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # all are compared anew

    def _write_known(self, known: dict[str, Known]) -> None:
        write_text(self._folder / KNOWN, json.dumps(known, indent=1, sort_keys=True) + "\n")


class _Apart(Exception):
    """A file has changed on both sides."""


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino
