"""Undo acts of a person: keeps the acts that can be taken back, and makes the entries that do so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from poolwright.annotation.queue.store import Said
from poolwright.annotation.verdicts import SKIPPED, WITHDRAWN

_UNDO = "undo "


class Acts:
    """The entries of a queue by person and act. Skips are no acts: the row comes back by itself.

    Args:
        history: entries so far.
    """

    def __init__(self, history: Iterable[Said]) -> None:
        self._left: dict[str, list[str]] = defaultdict(list)
        """Acts of each person that can be taken back, in order."""
        self._of_act: dict[tuple[str, str], list[Said]] = defaultdict(list)
        self._said: dict[tuple[str, str], list[Said]] = defaultdict(list)
        for said in history:
            self.note(said)

    def note(self, said: Said) -> None:
        """Add an entry."""
        if said.verdict == SKIPPED:
            return
        acts, act = self._left[said.annotator], (said.annotator, said.act)
        if act not in self._of_act:
            if not said.act.startswith(_UNDO):
                acts.append(said.act)
            elif acts:
                acts.pop()
        self._of_act[act].append(said)
        self._said[said.uid, said.annotator].append(said)

    def take_back(self, annotator: str, key: str) -> tuple[list[Said], bool]:
        """Return the entries that take back the last act of somebody, and whether they are new.

        Args:
            key: key of the request, the same when it is sent again.
        """
        act = f"{_UNDO}{key}"
        if (annotator, act) in self._of_act:
            return self._of_act[annotator, act], False
        if not self._left[annotator]:
            return [], False
        undone = self._of_act[annotator, self._left[annotator][-1]]
        return [self._before(said, act, f"{key} {number}") for number, said in enumerate(undone)], True

    def _before(self, said: Said, act: str, key: str) -> Said:
        """Return the earlier verdict of somebody on a row as a new entry."""
        earlier = [one for one in self._said[said.uid, said.annotator] if one.id < said.id]
        before = earlier[-1] if earlier else replace(said, verdict=WITHDRAWN, chosen=())
        return replace(before, key=key, act=act, seconds=None, time="", id=0)
