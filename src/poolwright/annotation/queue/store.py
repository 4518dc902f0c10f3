"""Store verdicts in SQLite as an append-only history. Every verdict is on disk before it is acknowledged.

    verdicts   one line per entry: a verdict, that somebody skips the row ('skipped'), or takes their verdict back
               ('withdrawn')
    set_aside  annotators whose verdicts up to a line do not count, so that their rows are asked about again; or count
               again
    gold       rows whose answer is known

Nothing is changed or removed, which triggers of the database enforce. The last verdict of each annotator on a row
counts, unless it is withdrawn or set aside; a skip takes no verdict back. Each entry carries a key of its own, so that
a double click or a repeated request is stored once.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from poolwright.annotation.verdicts import MEANINGS, SKIPPED, WITHDRAWN, Verdict
from poolwright.core.errors import InputError

STORE = "verdicts.sqlite"
"""Name of the file in the run folder."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    queue TEXT NOT NULL,
    uid TEXT NOT NULL,
    annotator TEXT NOT NULL,
    verdict TEXT NOT NULL,
    seconds REAL,
    comment TEXT NOT NULL,
    act TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    about TEXT NOT NULL DEFAULT '',
    chosen TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS verdicts_queue ON verdicts (queue, id);
CREATE TABLE IF NOT EXISTS set_aside (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    queue TEXT NOT NULL,
    annotator TEXT NOT NULL,
    up_to INTEGER NOT NULL,
    by TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS gold (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    queue TEXT NOT NULL,
    uid TEXT NOT NULL,
    verdict TEXT NOT NULL,
    by TEXT NOT NULL
);
"""
TABLES = ("verdicts", "set_aside", "gold")
_GUARDS = "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'verdicts are a history: nothing is changed or removed'); END;\n"
    for table in TABLES
    for verb in ("UPDATE", "DELETE")
)


@dataclass(frozen=True)
class Said:
    """One entry of the history: a verdict, skip or withdrawal of one person on one row.

    Attributes:
        queue: name of the queue.
        uid: of the row.
        annotator: name of the person.
        verdict: positive, negative, unsure, skipped or withdrawn.
        key: unique; a repeated request has the same.
        act: shared by entries given at once, such as those on a grid of pictures, which are undone at once.
        seconds: time taken, if known.
        time: ISO 8601, UTC; set when the entry is stored, if empty.
        comment: free text.
        about: the class that the row was asked about; '' if it is not known.
        chosen: the class that the person chose, if they were asked for it and it is one of those offered.
        id: line number in the history; 0 before it is stored.
    """

    queue: str
    uid: str
    annotator: str
    verdict: str
    key: str
    act: str = ""
    seconds: float | None = None
    time: str = ""
    comment: str = ""
    about: str = ""
    chosen: str = ""
    id: int = 0

    def as_verdict(self) -> Verdict:
        """Return the entry as a verdict."""
        return Verdict(self.uid, self.verdict, self.annotator, self.time, self.comment, chosen=self.chosen)


@dataclass(frozen=True)
class SetAside:
    """Verdicts of an annotator up to a line of the history do not count; `up_to` 0 lets all count again."""

    queue: str
    annotator: str
    up_to: int
    by: str
    time: str = ""


class VerdictStore:
    """The history of a run's verdicts. Only one process may write; threads share a store.

    Args:
        path: the database; created if missing.

    Raises:
        InputError: the file is not such a database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._base.execute("PRAGMA journal_mode = WAL")
            # FULL: a commit is on disk when it returns, even if the power fails.
            self._base.execute("PRAGMA synchronous = FULL")
            self._base.executescript(_SCHEMA)
            known = [column[1] for column in self._base.execute("PRAGMA table_info(verdicts)")]
            for name in ("about", "chosen"):
                if name not in known:
                    self._base.execute(f"ALTER TABLE verdicts ADD COLUMN {name} TEXT NOT NULL DEFAULT ''")
            self._base.executescript(_GUARDS)
        except sqlite3.DatabaseError as error:
            raise InputError(f"{path}: cannot open the database of verdicts: {error}") from None

    def close(self) -> None:
        """Close the database."""
        self._base.close()

    def add(self, said: Sequence[Said]) -> list[Said]:
        """Store entries in one transaction; an entry whose key is stored already is not stored again.

        Returns:
            The stored entries with their lines, in the order given. They are on disk.

        Raises:
            InputError: a verdict is not valid, or a key belongs to another entry.
        """
        now = timestamp()
        with self.transaction():
            return [self._keep(one, now) for one in said]

    def _keep(self, said: Said, now: str) -> Said:
        if said.verdict not in (*MEANINGS, SKIPPED, WITHDRAWN):
            raise InputError(f"'{said.verdict}' is not a verdict; use {', '.join(MEANINGS)}")
        line = (said.time or now, said.queue, said.uid, said.annotator, said.verdict, said.seconds, said.comment,
                said.act or said.key, said.key, said.about, said.chosen)  # fmt: skip
        self._base.execute(
            "INSERT INTO verdicts (time, queue, uid, annotator, verdict, seconds, comment, act, key, about, chosen) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            line,
        )
        (kept,) = self._said("WHERE key = ?", said.key)
        if _content(kept) != _content(said):
            raise InputError(f"key '{said.key}' belongs to another verdict; give each one a key of its own")
        return kept

    def history(self, queue: str, after: int = 0) -> list[Said]:
        """Return all entries of a queue after line `after`."""
        with self._lock:
            return list(self._said("WHERE queue = ? AND id > ? ORDER BY id", queue, after))

    def queues(self) -> list[str]:
        """List the queues that have entries."""
        with self._lock:
            return [name for (name,) in self._base.execute("SELECT DISTINCT queue FROM verdicts ORDER BY queue")]

    def counting(self, queue: str) -> list[Said]:
        """Return the verdicts that count, by line: the last per annotator and row, if not withdrawn or set aside."""
        return what_counts(self.history(queue), self.aside(queue))[0]

    def skipped(self, queue: str) -> list[Said]:
        """Return the skips of annotators without a verdict that counts on the row, if not set aside; by line."""
        return what_counts(self.history(queue), self.aside(queue))[1]

    def set_aside(self, queue: str, annotator: str, by: str) -> SetAside:
        """Set aside the verdicts of an annotator in a queue so far, so that their rows are asked about again."""
        with self.transaction():
            # -1 for annotators whose verdicts are in files only.
            (last,) = self._base.execute(
                "SELECT COALESCE(MAX(id), -1) FROM verdicts WHERE queue = ? AND annotator = ?", (queue, annotator)
            ).fetchone()
            return self._put_aside(SetAside(queue, annotator, last, by, timestamp()))

    def let_count(self, queue: str, annotator: str, by: str) -> SetAside:
        """Let all verdicts of an annotator in a queue count again."""
        with self.transaction():
            return self._put_aside(SetAside(queue, annotator, 0, by, timestamp()))

    def _put_aside(self, aside: SetAside) -> SetAside:
        self._base.execute(
            "INSERT INTO set_aside (time, queue, annotator, up_to, by) VALUES (?, ?, ?, ?, ?)",
            (aside.time, aside.queue, aside.annotator, aside.up_to, aside.by),
        )
        return aside

    def aside(self, queue: str) -> dict[str, int]:
        """Return by annotator the line up to which their verdicts do not count; -1 if only those in files do not."""
        return {annotator: one.up_to for annotator, one in self.set_asides(queue).items()}

    def set_asides(self, queue: str) -> dict[str, SetAside]:
        """Return by annotator the last decision by which verdicts do not count."""
        with self._lock:
            lines = self._base.execute(
                "SELECT queue, annotator, up_to, by, time FROM set_aside WHERE queue = ? ORDER BY id", (queue,)
            )
            last = {line[1]: SetAside(*line) for line in lines.fetchall()}
        return {annotator: one for annotator, one in last.items() if one.up_to}

    def add_gold(self, queue: str, answers: Iterable[tuple[str, str]], by: str) -> None:
        """Make rows gold: (uid, positive or negative), or 'withdrawn' for those that are no longer gold.

        Raises:
            InputError: an answer is none of these.
        """
        now = timestamp()
        with self.transaction():
            for uid, verdict in answers:
                if verdict not in (*MEANINGS[:2], WITHDRAWN):
                    raise InputError(
                        f"'{verdict}' cannot be the answer to a gold question; use {', '.join(MEANINGS[:2])}"
                    )
                line = (now, queue, uid, verdict, by)
                self._base.execute("INSERT INTO gold (time, queue, uid, verdict, by) VALUES (?, ?, ?, ?, ?)", line)

    def gold(self, queue: str) -> dict[str, str]:
        """Return the answer of each gold row by uid."""
        with self._lock:
            lines = self._base.execute("SELECT uid, verdict FROM gold WHERE queue = ? ORDER BY id", (queue,))
            known = dict(lines.fetchall())
        return {uid: verdict for uid, verdict in known.items() if verdict != WITHDRAWN}

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give exclusive use of the database; all of it is on disk at the end, or nothing after an error."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def _said(self, where: str, *values: object) -> Iterator[Said]:
        found = self._base.execute(
            "SELECT queue, uid, annotator, verdict, key, act, seconds, time, comment, about, chosen, id "
            f"FROM verdicts {where}",
            values,
        )
        return (Said(*line) for line in found.fetchall())


def _content(said: Said) -> tuple[str, ...]:
    return said.queue, said.uid, said.annotator, said.verdict, said.chosen


def what_counts(history: Iterable[Said], aside: Mapping[str, int]) -> tuple[list[Said], list[Said]]:
    """Return the verdicts and skips of a history that count, see `VerdictStore.counting` and `VerdictStore.skipped`."""
    last: dict[tuple[str, str], Said] = {}
    skips: list[Said] = []
    for said in history:
        if said.id > aside.get(said.annotator, 0):
            if said.verdict == SKIPPED:
                skips.append(said)
            else:
                last[said.uid, said.annotator] = said
    verdicts = sorted((said for said in last.values() if said.verdict != WITHDRAWN), key=lambda said: said.id)
    standing = {(said.uid, said.annotator) for said in verdicts}
    return verdicts, [said for said in skips if (said.uid, said.annotator) not in standing]


def timestamp() -> str:
    """Return the current time in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
