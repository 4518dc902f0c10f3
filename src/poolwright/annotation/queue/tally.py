"""Tally the verdicts on a queue by row, group and annotator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from poolwright.annotation.deciding.judging import JudgedGroup, judge_group, votes_given
from poolwright.annotation.deciding.rules import NONE, Votes, count_votes, decide, reviewed
from poolwright.annotation.queue.queue import Queue
from poolwright.annotation.queue.store import Said, SetAside, VerdictStore
from poolwright.annotation.verdicts import MEANINGS, NEGATIVE, POSITIVE, SKIPPED, WITHDRAWN, Verdict, standing

Pair = tuple[str, str]
"""Uid and annotator."""


@dataclass(frozen=True)
class Snapshot:
    """A consistent copy of a tally, to read while verdicts arrive.

    Attributes:
        queue: the queue.
        groups: all judged groups.
        said: all verdicts that count, unordered.
        skips: all skips that count, unordered.
        on_gold: by annotator, number of gold rows answered correctly, and answered; unsure is not correct.
        gold: number of gold rows.
        reviewed: number of rows that a reviewer decided about.
    """

    queue: Queue
    groups: tuple[JudgedGroup, ...]
    said: tuple[Said, ...]
    skips: tuple[Said, ...]
    on_gold: Mapping[str, tuple[int, int]]
    gold: int
    reviewed: int = 0

    @cached_property
    def counted(self) -> list[Said]:
        """All verdicts that count, by line of the history; those from files first."""
        return sorted(self.said, key=_order)

    @cached_property
    def independent(self) -> list[Said]:
        """The same without those of reviewers, who see the verdicts of the others."""
        return [one for one in self.counted if one.annotator not in self.queue.terms.reviewers]

    @cached_property
    def skipped(self) -> list[Said]:
        """All skips that count, in the same order."""
        return sorted(self.skips, key=_order)


def _order(said: Said) -> tuple[int, str, str, str]:
    return said.id, said.time, said.uid, said.annotator


class Tally:
    """The verdicts and skips that count, per row. `put` adds one; all other methods only read.

    Args:
        queue: the queue.
        gold: known answers by uid; verdicts on these rows measure the annotators.
        said: entries of the history that count so far, in order.
        in_files: verdicts in files, in order. They are combined with the history as the step combines both, see
            `verdicts.standing`.
        aside: by annotator, the decision by which verdicts were set aside.
    """

    def __init__(
        self,
        queue: Queue,
        gold: Mapping[str, str],
        said: Iterable[Said] = (),
        in_files: Iterable[Verdict] = (),
        aside: Mapping[str, SetAside] | None = None,
    ) -> None:
        self.queue, self.gold = queue, dict(gold)
        self.votes: dict[str, dict[str, Said]] = {}
        """Verdicts that count, by uid and annotator."""
        self.skips: dict[str, dict[str, list[Said]]] = {}
        """Skips that count, by uid and annotator."""
        self.given: Counter[str] = Counter()
        """Verdicts that count, by annotator."""
        self._in_files: dict[Pair, list[Verdict]] = {}
        self._last: dict[Pair, Said] = {}
        self._skips: dict[Pair, list[Said]] = {}
        self._aside = dict(aside or {})
        self._counts = np.zeros((len(queue), len(MEANINGS)), np.int64)
        self._reviews = np.zeros_like(self._counts)
        self._skipped = np.zeros(len(queue), np.int64)
        self._groups: dict[str, JudgedGroup] = {}
        self._model: npt.NDArray[np.int64] | None = None
        for verdict in in_files:
            self._in_files.setdefault((verdict.uid, verdict.annotator), []).append(verdict)
        for pair in self._in_files:
            self._settle(pair)
        for one in said:
            self.put(one)

    @classmethod
    def of(cls, queue: Queue, store: VerdictStore, in_files: Iterable[Verdict] = ()) -> Tally:
        """Build the tally of a queue from a store."""
        aside = store.set_asides(queue.name)
        up_to = {annotator: one.up_to for annotator, one in aside.items()}
        said = (one for one in store.history(queue.name) if one.id > up_to.get(one.annotator, 0))
        return cls(queue, store.gold(queue.name), said, in_files, aside)

    def put(self, said: Said) -> None:
        """Count an entry; entries must arrive in the order of the history."""
        pair, row = (said.uid, said.annotator), self.queue.row_of.get(said.uid)
        if row is not None and said.about not in ("", self.queue.classes[row]):
            if not said.chosen:
                return  # about a class that the row had earlier
            verdict = POSITIVE if self.queue.classes[row] in said.chosen else NEGATIVE
            said = replace(said, verdict=verdict, about=self.queue.classes[row])
        if said.verdict == SKIPPED:
            self._skips.setdefault(pair, []).append(said)
        else:
            self._last[pair] = said
        self._settle(pair)

    def lines(self, pair: Pair) -> list[Said]:
        """Return the entries of one person and row that count, for a reader of the files of answers as well.

        If all their entries are set aside, a withdrawal takes back their answers in files.
        """
        last, aside = self._last.get(pair), self._aside.get(pair[1])
        if last is not None and last.verdict != WITHDRAWN:
            return [last]
        marker = []
        if aside is not None and pair in self._in_files:
            marker = [Said(self.queue.name, *pair, WITHDRAWN, "", time=aside.time)]
        return [*marker, *self._skips.get(pair, ())]

    def _settle(self, pair: Pair) -> None:
        """Update the standing verdict of one person on one row."""
        uid, annotator = pair
        lines = self.lines(pair)
        files = self._in_files.get(pair, [])
        found = standing([*files, *(line.as_verdict() for line in lines)])
        now: Said | None = None
        if found.answer is not None:
            now = next((line for line in lines if line.verdict in MEANINGS and line.as_verdict() == found.answer), None)
            now = now or self._from_file(found.answer)
        before = self.votes.get(uid, {}).pop(annotator, None)
        if now is not None:
            self.votes.setdefault(uid, {})[annotator] = now
        if (now is None) != (before is None):
            self.given[annotator] += 1 if now else -1
        skips = self._standing_skips(pair, found.skips)
        skips_before = self.skips.get(uid, {}).pop(annotator, [])
        if skips:
            self.skips.setdefault(uid, {})[annotator] = skips
        row = self.queue.row_of.get(uid)
        if row is None:
            return
        for said, by in ((before, -1), (now, 1)):
            if said is not None:
                self._counts[row, MEANINGS.index(said.verdict)] += by
                self._reviews[row, MEANINGS.index(said.verdict)] += by * (annotator in self.queue.terms.reviewers)
        self._skipped[row] += len(skips) - len(skips_before)
        self._groups.pop(self.queue.names[row], None)
        if self.queue.terms.rule == "dawid_skene":
            self._groups.clear()
            self._model = None

    def _standing_skips(self, pair: Pair, number: int) -> list[Said]:
        if not number:
            return []
        files = [self._from_file(one) for one in self._in_files.get(pair, ()) if one.verdict == SKIPPED]
        by_time = {one.time: one for one in (*files, *self._skips.get(pair, ()))}
        return list(by_time.values())[-number:]

    def _from_file(self, verdict: Verdict) -> Said:
        name = self.queue.name
        return Said(
            name, verdict.uid, verdict.annotator, verdict.verdict, "", time=verdict.time, comment=verdict.comment,
            chosen=verdict.chosen,
        )  # fmt: skip

    def votes_on(self, row: int) -> dict[str, Said]:
        """Return the verdicts on a row by annotator."""
        return self.votes.get(self.queue.uids[row], {})

    def skipped_by(self, row: int) -> dict[str, list[Said]]:
        """Return the skips of a row by annotators who have no verdict on it."""
        return self.skips.get(self.queue.uids[row], {})

    def outcome(self, row: int) -> str | None:
        """Return the combined verdict on a row, or None as long as verdicts are lacking."""
        rows = np.array([row], np.int64)
        code = self._codes(rows)
        if code[0] == NONE or self._given(rows, code)[0] < self.queue.terms.annotators:
            return None
        return MEANINGS[code[0]]

    def group(self, name: str) -> JudgedGroup:
        """Judge one group."""
        if name not in self._groups:
            rows = self.queue.groups[name]
            code = self._codes(rows)
            self._groups[name] = judge_group(self.queue.terms, name, code, self._given(rows, code), self._skipped[rows])
        return self._groups[name]

    def answers(self, name: str) -> int:
        """Count the verdicts on the rows of a group."""
        return int(self._counts[self.queue.groups[name]].sum())

    def groups(self) -> list[JudgedGroup]:
        """Judge all groups."""
        return [self.group(name) for name in self.queue.groups]

    def _codes(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        terms = self.queue.terms
        if terms.rule != "dawid_skene":
            return count_votes(self._counts[rows], self._reviews[rows], terms.rule)
        if self._model is None:
            verdicts = [one.as_verdict() for uid in self.queue.uids for one in self.votes.get(uid, {}).values()]
            self._model = decide(Votes.of(verdicts, self.queue.uids, terms.reviewers), terms.rule, terms.probability)[0]
        return self._model[rows]

    def _given(self, rows: npt.NDArray[np.int64], code: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return votes_given(self.queue.terms, code, self._counts[rows], self._reviews[rows])

    def snapshot(self) -> Snapshot:
        """Return a copy that later verdicts do not change."""
        said = tuple(said for votes in self.votes.values() for said in votes.values())
        skips = tuple(one for skips in self.skips.values() for several in skips.values() for one in several)
        decided = int(reviewed(self._counts, self._reviews).sum())
        return Snapshot(self.queue, tuple(self.groups()), said, skips, self._on_gold(), len(self.gold), decided)

    def written(self) -> list[Said]:
        """Return all entries that count for a waiting step, by line of the history."""
        pairs = self._last.keys() | self._skips.keys() | self._in_files.keys()
        known = (pair for pair in pairs if pair[0] in self.queue.row_of)
        return sorted((line for pair in known for line in self.lines(pair)), key=_order)

    def _on_gold(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for uid, answer in self.gold.items():
            for name, said in self.votes.get(uid, {}).items():
                right, answered = found.get(name, (0, 0))
                found[name] = (right + (said.verdict == answer), answered + 1)
        return found
