"""Tally: what the verdicts on a queue say about its rows, its groups and the people who gave them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from poolwright.annotation.queue.queue import Queue
from poolwright.annotation.queue.store import WITHDRAWN, Said
from poolwright.annotation.verdicts import NEGATIVE, POSITIVE, UNSURE, majority
from poolwright.kernels.statistics.acceptance_sampling import Judgement, judge, plan, single_bound


@dataclass(frozen=True)
class GroupTally:
    """A group so far.

    Attributes:
        name: of the group.
        rows: in the group.
        verified: rows that are decided.
        right, wrong, unsure: what is decided of them.
        judgement: what that says of the group.
    """

    name: str
    rows: int
    verified: int
    right: int
    wrong: int
    unsure: int
    judgement: Judgement

    @property
    def done(self) -> bool:
        return self.judgement.conclusion != "open"


@dataclass(frozen=True)
class Snapshot:
    """A tally as it was at one moment, to look at while verdicts come in.

    Attributes:
        queue: what people are asked.
        groups: all of them.
        said: all that counts; in no order.
        on_gold: by annotator, gold rows answered right, and answered; unsure is not right.
        gold: number of gold rows.
    """

    queue: Queue
    groups: tuple[GroupTally, ...]
    said: tuple[Said, ...]
    on_gold: Mapping[str, tuple[int, int]]
    gold: int

    @cached_property
    def counted(self) -> list[Said]:
        """All that counts, by line of the history."""
        return sorted(self.said, key=lambda said: said.id)


class Tally:
    """The verdicts that count, row by row. `put` adds one; everything else only looks.

    Args:
        queue: what people are asked.
        gold: answers that are known, by uid; what people say of these rows tells about the people.
        said: what counts so far, see `store.counting`.
    """

    def __init__(self, queue: Queue, gold: Mapping[str, str], said: Iterable[Said] = ()) -> None:
        self.queue, self.gold = queue, dict(gold)
        self.votes: dict[str, dict[str, Said]] = {}
        """What counts, by uid and annotator."""
        self.given: Counter[str] = Counter()
        """Verdicts that count, by annotator."""
        self.skipped: set[int] = set()
        """Rows that somebody passed over, and nobody decided."""
        self._groups: dict[str, GroupTally] = {}
        for one in said:
            self.put(one)

    def put(self, said: Said) -> None:
        """Count what was said, in the order of the history."""
        votes = self.votes.setdefault(said.uid, {})
        if votes.pop(said.annotator, None):
            self.given[said.annotator] -= 1
        if said.verdict != WITHDRAWN:
            votes[said.annotator] = said
            self.given[said.annotator] += 1
        place = self.queue.place.get(said.uid)
        if place is not None:
            self._groups.pop(self.queue.names[place], None)

    def skip(self, place: int) -> None:
        """Note that a row was passed over: until it is decided it counts as one that nobody could say is right."""
        self.skipped.add(place)
        self._groups.pop(self.queue.names[place], None)

    def votes_on(self, place: int) -> dict[str, Said]:
        return self.votes.get(self.queue.uids[place], {})

    def outcome(self, place: int) -> str | None:
        """What people say of a row together; None before enough of them said something."""
        votes = self.votes_on(place)
        if len(votes) < self.queue.settings.overlap:
            return None
        meanings = [said.verdict for said in votes.values()]
        if self.queue.settings.unanimous:
            return meanings[0] if len(set(meanings)) == 1 else UNSURE
        return majority(meanings)

    def group(self, name: str) -> GroupTally:
        if name not in self._groups:
            self._groups[name] = self._judged(name)
        return self._groups[name]

    def groups(self) -> list[GroupTally]:
        return [self.group(name) for name in self.queue.groups]

    def _judged(self, name: str) -> GroupTally:
        places, settings = self.queue.groups[name], self.queue.settings
        outcomes = [self.outcome(place) for place in places]
        counts = Counter(outcome for outcome in outcomes if outcome)
        verified = counts.total()
        wrong: list[bool] = []
        for place, outcome in zip(places, outcomes, strict=True):
            # Only what was verified in order is a random sample. A row that was passed over counts against the group.
            if outcome is None and place not in self.skipped:
                break
            wrong.append(outcome != POSITIVE)
        errors = verified - counts[POSITIVE]
        if settings.rule == "precision":
            judgement = judge(plan(len(places), settings.target, settings.confidence), wrong)
            if judgement.conclusion == "complete" and verified < len(places):
                judgement = Judgement("open", verified, errors, judgement.bound, len(places) - verified)
        elif settings.rule == "first" and wrong.count(False) >= settings.keep:
            needed = [at for at, one in enumerate(wrong, start=1) if not one][settings.keep - 1]
            judgement = Judgement("enough", needed, needed - settings.keep, settings.keep / needed, 0)
        elif verified == len(places):
            judgement = Judgement("complete", verified, errors, counts[POSITIVE] / max(verified, 1), 0)
        else:
            bound = single_bound(len(places), verified, errors, settings.confidence)
            judgement = Judgement("open", verified, errors, bound, len(places) - verified)
        return GroupTally(name, len(places), verified, counts[POSITIVE], counts[NEGATIVE], counts[UNSURE], judgement)

    def snapshot(self) -> Snapshot:
        said = tuple(said for votes in self.votes.values() for said in votes.values())
        return Snapshot(self.queue, tuple(self.groups()), said, self._on_gold(), len(self.gold))

    def _on_gold(self) -> dict[str, tuple[int, int]]:
        found: dict[str, tuple[int, int]] = {}
        for uid, answer in self.gold.items():
            for name, said in self.votes.get(uid, {}).items():
                right, answered = found.get(name, (0, 0))
                found[name] = (right + (said.verdict == answer), answered + 1)
        return found
