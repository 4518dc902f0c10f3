"""Assign parts of a queue to people: groups that only some are asked about. The last decision on a group counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from poolwright.annotation.queue.store import VerdictStore, timestamp

_SCHEMA = """
CREATE TABLE IF NOT EXISTS parts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,
    queue TEXT NOT NULL,
    part TEXT NOT NULL,
    people TEXT NOT NULL,
    by TEXT NOT NULL
)
"""


class Parts:
    """The groups of a queue that are asked of some people only.

    Args:
        store: the database that they are kept in.
        queue: name of the queue.
    """

    def __init__(self, store: VerdictStore, queue: str) -> None:
        self._store, self._queue = store, queue
        with store.transaction() as base:
            base.execute(_SCHEMA)
            lines = base.execute("SELECT part, people FROM parts WHERE queue = ? ORDER BY id", (queue,)).fetchall()
        self.people: dict[str, tuple[str, ...]] = {part: tuple(json.loads(people)) for part, people in lines}
        """Names of the people by group; of groups that are not listed, or of nobody, everybody is asked."""

    def assign(self, people: Mapping[str, Sequence[str]], by: str) -> None:
        """Ask about each group only these people; about one of nobody, everybody."""
        now = timestamp()
        lines = [(now, self._queue, part, json.dumps(list(names)), by) for part, names in people.items()]
        with self._store.transaction() as base:
            base.executemany("INSERT INTO parts (time, queue, part, people, by) VALUES (?, ?, ?, ?, ?)", lines)
        self.people |= {part: tuple(names) for part, names in people.items()}

    def open_to(self, annotator: str, part: str) -> bool:
        """Whether somebody may be asked about a group."""
        names = self.people.get(part)
        return not names or annotator in names


def deal(rows: Mapping[str, int], people: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Deal groups out, each to one person, so that everybody gets about as many rows.

    Args:
        rows: number of rows of each group.
        people: their names.
    """
    load = dict.fromkeys(people, 0)
    dealt: dict[str, tuple[str, ...]] = {}
    for part in sorted(rows, key=lambda part: (-rows[part], part)):
        least = min(load, key=lambda name: load[name])
        dealt[part] = (least,)
        load[least] += rows[part]
    return dealt
