"""A queue at work: who is asked what next, what was said, and what that says. One lock a queue; many people at once."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from poolwright.annotation.certificate import certificate, write_certificate
from poolwright.annotation.exchange.import_export import as_said, write_answers
from poolwright.annotation.queue.queue import Queue
from poolwright.annotation.queue.store import WITHDRAWN, Said, VerdictStore
from poolwright.annotation.queue.tally import GroupTally, Snapshot, Tally
from poolwright.annotation.verdicts import Verdict
from poolwright.core.errors import InputError
from poolwright.kernels.selection.hashing import hash64

LEASE_SECONDS = 240.0
"""How long a picture that somebody is shown is kept from others."""

MOST_AT_ONCE = 60
_UNDO = "undo "


@dataclass(frozen=True)
class QuestionCard:
    """A row that somebody is asked about."""

    uid: str
    group: str
    question: str
    text: str


@dataclass(frozen=True)
class SentVerdict:
    """What somebody sends about a row; `key` is theirs, and the same when it is sent again."""

    uid: str
    verdict: str
    key: str
    seconds: float | None = None
    comment: str = ""


class LiveQueue:
    """A queue with its history, its tally and its leases.

    Args:
        queue: what people are asked.
        store: the history; what it holds of this queue is counted.
    """

    def __init__(self, queue: Queue, store: VerdictStore) -> None:
        self.queue, self.store = queue, store
        self._lock = threading.RLock()
        self._leases: dict[int, dict[str, float]] = {}
        self._passed: dict[str, set[int]] = defaultdict(set)
        self._begin: dict[str, int] = {}
        self._asked: dict[str, int] = defaultdict(int)
        self._gold_asked: dict[str, set[str]] = defaultdict(set)
        self._loads = 0
        self._load()

    def _load(self) -> None:
        history = self.store.history(self.queue.name)
        self._last = history[-1].id if history else 0
        self._loads += 1
        self._written = (0, 0)
        self._acts: dict[str, list[str]] = defaultdict(list)
        self._of_act: dict[tuple[str, str], list[Said]] = defaultdict(list)
        self._said: dict[tuple[str, str], list[Said]] = defaultdict(list)
        aside = self.store.aside(self.queue.name)
        self.tally = Tally(self.queue, self.store.gold(self.queue.name))
        for said in history:
            self._note(said)
            if said.id > aside.get(said.annotator, 0):
                self.tally.put(said)

    def _note(self, said: Said) -> None:
        """Remember what can be taken back: the acts of each person, without those that were."""
        acts, act = self._acts[said.annotator], (said.annotator, said.act)
        if act not in self._of_act:
            if not said.act.startswith(_UNDO):
                acts.append(said.act)
            elif acts:
                acts.pop()
        self._of_act[act].append(said)
        self._said[said.uid, said.annotator].append(said)

    # What comes next

    def take(self, annotator: str, number: int, group: str = "", have: Iterable[str] = ()) -> list[QuestionCard]:
        """Rows to ask somebody about next; they are kept from others for a while.

        Args:
            annotator: who.
            number: of rows at most.
            group: only of this one; '' takes the first group that is not done.
            have: uids that they hold already.
        """
        with self._lock:
            held = set(have)
            names = [group] if group else list(self.queue.groups)
            for name in names:
                cards = self._take_of(annotator, min(number, MOST_AT_ONCE), name, held)
                if cards:
                    return cards
        return []

    def _take_of(self, annotator: str, number: int, name: str, held: set[str]) -> list[QuestionCard]:
        if name not in self.queue.groups or self.tally.group(name).done:
            return []
        places: list[int] = []
        for place in self._free(annotator, name, held):
            if place in places:  # it came as a gold question
                continue
            gold = self._gold_due(annotator, name, held | {self.queue.uids[one] for one in (*places, place)})
            places += [one for one in (gold, place) if one is not None]
            self._asked[annotator] += 1
            if len(places) >= number:
                break
        now = time.monotonic()
        for place in places:
            self._leases.setdefault(place, {})[annotator] = now + LEASE_SECONDS
        return [self.card(place) for place in places]

    def _free(self, annotator: str, name: str, held: set[str]) -> Iterator[int]:
        """Rows of a group that this person may be asked about, in order; those they passed over come last."""
        places, begin = self.queue.groups[name], self._begin.get(name, 0)
        while begin < len(places) and self.tally.outcome(places[begin]) is not None:
            begin += 1
        self._begin[name] = begin
        passed = self._passed[annotator]
        yield from (place for place in places[begin:] if place not in passed and self._may(annotator, place, held))
        yield from (place for place in places[begin:] if place in passed and self._may(annotator, place, held))

    def _may(self, annotator: str, place: int, held: set[str]) -> bool:
        if self.queue.uids[place] in held:
            return False
        votes = self.tally.votes_on(place)
        if annotator in votes:
            return False
        now = time.monotonic()
        leases = self._leases.get(place, {})
        others = sum(until > now and who != annotator and who not in votes for who, until in leases.items())
        return len(votes) + others < self.queue.settings.overlap

    def _gold_due(self, annotator: str, name: str, held: set[str]) -> int | None:
        """A gold row, at places that nobody can foresee, as often as the settings say."""
        share = self.queue.settings.gold_share
        if not share or not self.tally.gold:
            return None
        number = self._asked[annotator]
        drawn = int(hash64(pa.array([f"{annotator} {self.queue.name} {number}"]), 0)[0]) / 2.0**64
        if drawn >= share:
            return None
        asked = self._gold_asked[annotator]
        for place in self.queue.groups[name]:
            uid = self.queue.uids[place]
            known = uid in asked or uid in held or annotator in self.tally.votes.get(uid, {})
            if uid in self.tally.gold and not known:
                asked.add(uid)
                return place
        return None

    def card(self, place: int) -> QuestionCard:
        queue = self.queue
        return QuestionCard(queue.uids[place], queue.names[place], queue.question(place), queue.texts[place])

    def give_back(self, annotator: str, uids: Iterable[str]) -> None:
        """Rows that somebody was shown and leaves without a word."""
        with self._lock:
            for uid in uids:
                place = self.queue.place.get(uid, -1)
                self._leases.get(place, {}).pop(annotator, None)

    def skip(self, annotator: str, uid: str) -> None:
        """Pass over a row: others are asked about it, or the same person at the end."""
        with self._lock:
            place = self._place(uid)
            self._passed[annotator].add(place)
            self._leases.get(place, {}).pop(annotator, None)
            if self.tally.outcome(place) is None:
                self.tally.skip(place)

    # What is said

    def say(self, annotator: str, answers: Sequence[SentVerdict], act: str = "") -> list[Said]:
        """Keep verdicts, all or none. When this returns they are on the disk.

        Raises:
            InputError: a row is not of this queue, or a verdict is none.
        """
        for answer in answers:
            self._place(answer.uid)
        with self._lock:
            said = [
                Said(self.queue.name, one.uid, annotator, one.verdict, one.key, act, one.seconds, "", one.comment)
                for one in answers
            ]
            return self._keep(said)

    def _keep(self, said: Sequence[Said]) -> list[Said]:
        kept = self.store.add(said)
        for one in kept:
            if one.id > self._last:  # what was sent again is counted already
                self._note(one)
                self.tally.put(one)
                self._last = one.id
            self._leases.get(self.queue.place.get(one.uid, -1), {}).pop(one.annotator, None)
        return kept

    def undo(self, annotator: str, key: str) -> list[QuestionCard]:
        """Take back what somebody said last. Rows have then what they said of them before, if anything.

        Args:
            key: of the wish to undo; the same when it is sent again.
        """
        with self._lock:
            act = f"{_UNDO}{key}"
            if (annotator, act) in self._of_act:
                return [self.card(self._place(said.uid)) for said in self._of_act[annotator, act]]
            acts = self._acts[annotator]
            if not acts:
                return []
            undone = self._of_act[annotator, acts[-1]]
            back = [self._before(said, act, f"{key} {place}") for place, said in enumerate(undone)]
            self._keep(back)
            places = [self._place(said.uid) for said in back]
            now = time.monotonic()
            for place in places:
                self._begin.pop(self.queue.names[place], None)
                self._leases.setdefault(place, {})[annotator] = now + LEASE_SECONDS
            return [self.card(place) for place in places]

    def _before(self, said: Said, act: str, key: str) -> Said:
        earlier = [one for one in self._said[said.uid, said.annotator] if one.id < said.id]
        verdict = earlier[-1].verdict if earlier else WITHDRAWN
        return replace(said, verdict=verdict, key=key, act=act, seconds=None, time="", id=0)

    def _place(self, uid: str) -> int:
        place = self.queue.place.get(uid)
        if place is None:
            raise InputError(f"'{uid[:60]}' is no row of the queue '{self.queue.name}'")
        return place

    # What the owner does

    def take_in(self, found: Sequence[Verdict]) -> None:
        """Keep verdicts of a file; the same ones again are kept once."""
        with self._lock:
            self.store.add(as_said(found, self.queue))
            self._load()

    def ask_again(self, annotator: str, by: str) -> None:
        """Set aside what somebody said so far: their rows are asked again, of anybody."""
        with self._lock:
            self.store.set_aside(self.queue.name, annotator, by)
            self._begin.clear()
            self._load()

    def let_count(self, annotator: str, by: str) -> None:
        """Let what was set aside count again."""
        with self._lock:
            self.store.let_count(self.queue.name, annotator, by)
            self._load()

    def make_gold(self, answers: Sequence[tuple[str, str]], by: str) -> None:
        """Rows whose answer is known, which everybody is asked about now and then."""
        for uid, _ in answers:
            self._place(uid)
        with self._lock:
            self.store.add_gold(self.queue.name, answers, by)
            self._load()

    # What it says

    def progress(self, group: str = "") -> list[GroupTally]:
        """All groups, or one."""
        with self._lock:
            if group:
                return [self.tally.group(group)] if group in self.queue.groups else []
            return self.tally.groups()

    @property
    def version(self) -> tuple[int, int]:
        """Another one whenever what counts may be another."""
        return self._loads, self._last

    def snapshot(self) -> Snapshot:
        """All of it, as it is now."""
        with self._lock:
            return self.tally.snapshot()

    def mine(self, annotator: str) -> int:
        """Verdicts of somebody that count."""
        with self._lock:
            return self.tally.given[annotator]

    def write(self) -> None:
        """Write the certificate, and the answers where a step waits for them, if anything was said since."""
        with self._lock:
            if self._written == self.version:
                return
            self._written, now = self.version, self.tally.snapshot()
        write_certificate(self.queue, certificate(now))
        if self.queue.waiting:
            write_answers(self.queue, now.counted)
