"""Lease rows: those shown to one person are withheld from others for a while, also when the studio is started again."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from poolwright.annotation.queue.store import VerdictStore

LEASE_SECONDS = 240.0
"""Duration of a lease."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS leases (
    queue TEXT NOT NULL,
    uid TEXT NOT NULL,
    annotator TEXT NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (queue, uid, annotator)
) WITHOUT ROWID
"""


class Leases:
    """The current leases of a queue: rows, annotators and expiry.

    Args:
        store: the database that they are kept in.
        queue: name of the queue.
    """

    def __init__(self, store: VerdictStore, queue: str) -> None:
        self._store, self._queue = store, queue
        self._until: dict[str, dict[str, float]] = {}
        with store.transaction() as base:
            base.execute(_SCHEMA)
            lines = base.execute("SELECT uid, annotator, until FROM leases WHERE queue = ?", (queue,)).fetchall()
        for uid, annotator, until in lines:
            self._until.setdefault(uid, {})[annotator] = until

    def hold(self, annotator: str, uids: Sequence[str]) -> None:
        """Lease rows to an annotator."""
        if not uids:
            return
        now = time.time()
        until = now + LEASE_SECONDS
        with self._store.transaction() as base:
            base.execute("DELETE FROM leases WHERE until < ?", (now,))
            lines = [(self._queue, uid, annotator, until) for uid in uids]
            base.executemany("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", lines)
        for uid in uids:
            self._until.setdefault(uid, {})[annotator] = until

    def free(self, annotator: str, uids: Sequence[str]) -> None:
        """End the leases of rows that were not answered."""
        with self._store.transaction() as base:
            lines = [(self._queue, uid, annotator) for uid in uids]
            base.executemany("DELETE FROM leases WHERE queue = ? AND uid = ? AND annotator = ?", lines)
        self.answered(annotator, uids)

    def answered(self, annotator: str, uids: Sequence[str]) -> None:
        """Forget the leases of answered rows. Those that are stored end by themselves; a verdict has more weight."""
        for uid in uids:
            self._until.get(uid, {}).pop(annotator, None)

    def others(self, annotator: str, uid: str, answered: Collection[str]) -> int:
        """Count the others who hold a lease of a row and have not answered."""
        now = time.time()
        leases = self._until.get(uid, {}).items()
        # A lease that ends much later than any made now is from before the clock was put back.
        valid = (who for who, until in leases if now < until < now + 2 * LEASE_SECONDS)
        return sum(who != annotator and who not in answered for who in valid)
