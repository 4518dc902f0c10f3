"""Run a queue for many people at once: next questions, verdicts, progress. There is one lock per queue."""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from poolwright.annotation.certificate import certificate, write_certificate
from poolwright.annotation.exchange.import_export import as_said, write_answers
from poolwright.annotation.judging import JudgedGroup
from poolwright.annotation.queue.queue import Queue
from poolwright.annotation.queue.store import Said, VerdictStore
from poolwright.annotation.queue.tally import Snapshot, Tally
from poolwright.annotation.verdicts import SKIPPED, Verdict
from poolwright.core.errors import InputError
from poolwright.kernels.selection.hashing import hash64
from poolwright.studio.verifying.leases import Leases
from poolwright.studio.verifying.undoing import Acts

MOST_AT_ONCE = 60


@dataclass(frozen=True)
class QuestionCard:
    """A row that somebody is asked about."""

    uid: str
    group: str
    question: str
    text: str


@dataclass(frozen=True)
class SentVerdict:
    """A verdict as a browser sends it; `key` identifies it, and is the same when it is sent again."""

    uid: str
    verdict: str
    key: str
    seconds: float | None = None
    comment: str = ""


class LiveQueue:
    """A queue with its history, its tally and its leases.

    Args:
        queue: the queue.
        store: the history of verdicts.
        in_files: verdicts in files, if a waiting step reads them.
    """

    def __init__(self, queue: Queue, store: VerdictStore, in_files: Sequence[Verdict] = ()) -> None:
        self.queue, self.store, self._in_files = queue, store, in_files
        self._lock = threading.RLock()
        self._leases = Leases()
        self._asked: dict[str, int] = defaultdict(int)
        self._gold_asked: dict[str, set[str]] = defaultdict(set)
        self._loads = 0
        self._load()

    def _load(self) -> None:
        history = self.store.history(self.queue.name)
        self._last = history[-1].id if history else 0
        self._loads += 1
        self._written = (0, 0)
        self._acts = Acts(history)
        self.tally = Tally.of(self.queue, self.store, self._in_files)

    # Next questions

    def take(self, annotator: str, number: int, group: str = "", have: Iterable[str] = ()) -> list[QuestionCard]:
        """Return the rows to ask somebody about next; they are withheld from others for a while.

        Args:
            annotator: name of the person.
            number: maximum number of rows.
            group: take rows of this group only; '' takes the first group that is not done.
            have: uids that they have already.
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
        rows: list[int] = []
        for row in self._free(annotator, name, held):
            if row in rows:  # taken as a gold question already
                continue
            gold = self._gold_due(annotator, name, held | {self.queue.uids[one] for one in (*rows, row)})
            rows += [one for one in (gold, row) if one is not None]
            self._asked[annotator] += 1
            if len(rows) >= number:
                break
        self._leases.hold(annotator, rows)
        return [self.card(row) for row in rows]

    def _free(self, annotator: str, name: str, held: set[str]) -> Iterator[int]:
        """Iterate over the rows of a group that this person may be asked about; those that they skipped come last."""
        lacking = self.queue.groups[name][self.tally.group(name).lacking]
        if self.queue.asked is not None:
            lacking = lacking[self.queue.asked[lacking]]
        skipped: list[int] = []
        for row in map(int, lacking):
            if self._may(annotator, row, held):
                if annotator in self.tally.skipped_by(row):
                    skipped.append(row)
                else:
                    yield row
        yield from skipped

    def _may(self, annotator: str, row: int, held: set[str]) -> bool:
        votes = self.tally.votes_on(row)
        if annotator in votes or self.queue.uids[row] in held:
            return False
        others = self._leases.others(annotator, row, votes)
        return len(votes) + others < self.queue.terms.annotators

    def _gold_due(self, annotator: str, name: str, held: set[str]) -> int | None:
        """Return a gold row, or None; at unpredictable times, as often as the settings say."""
        share = self.queue.settings.gold_share
        if not share or not self.tally.gold:
            return None
        number = self._asked[annotator]
        drawn = int(hash64(pa.array([f"{annotator} {self.queue.name} {number}"]), 0)[0]) / 2.0**64
        if drawn >= share:
            return None
        asked = self._gold_asked[annotator]
        for uid in self.tally.gold:
            row = self.queue.row_of.get(uid)
            known = uid in asked or uid in held or annotator in self.tally.votes.get(uid, {})
            if row is not None and not known and self.queue.names[row] == name:
                asked.add(uid)
                return row
        return None

    def card(self, row: int) -> QuestionCard:
        """Return the question about a row."""
        queue = self.queue
        return QuestionCard(queue.uids[row], queue.names[row], queue.question(row), queue.texts[row])

    def give_back(self, annotator: str, uids: Iterable[str]) -> None:
        """End the leases of rows that were shown and not answered."""
        with self._lock:
            for uid in uids:
                self._leases.free(annotator, self.queue.row_of.get(uid, -1))

    # Verdicts

    def skip(self, annotator: str, uid: str, key: str = "") -> None:
        """Skip a row: others are asked about it, and the same person at the end. The skip is on disk on return.

        Args:
            key: key of this skip, the same when it is sent again; '' creates one.
        """
        with self._lock:
            row = self._row(uid)
            self._leases.free(annotator, row)
            if annotator not in self.tally.votes_on(row):
                about = self.queue.classes[row]
                self._keep([Said(self.queue.name, uid, annotator, SKIPPED, key or uuid.uuid4().hex, about=about)])

    def say(self, annotator: str, answers: Sequence[SentVerdict], act: str = "") -> list[Said]:
        """Store verdicts, all or none. They are on disk on return.

        Raises:
            InputError: a row is not in this queue, or a verdict is not valid.
        """
        classes = [self.queue.classes[self._row(answer.uid)] for answer in answers]
        name = self.queue.name
        with self._lock:
            said = [
                Said(name, one.uid, annotator, one.verdict, one.key, act, one.seconds, "", one.comment, about)
                for one, about in zip(answers, classes, strict=True)
            ]
            return self._keep(said)

    def _keep(self, said: Sequence[Said]) -> list[Said]:
        kept = self.store.add(said)
        for one in kept:
            if one.id > self._last:  # a repeated request is counted already
                self._acts.note(one)
                self.tally.put(one)
                self._last = one.id
            self._leases.free(one.annotator, self.queue.row_of.get(one.uid, -1))
        return kept

    def undo(self, annotator: str, key: str) -> list[QuestionCard]:
        """Take back the last act of somebody. Their earlier verdicts on the rows, if any, count again.

        Args:
            key: key of this request, the same when it is sent again.
        """
        with self._lock:
            back, new = self._acts.take_back(annotator, key)
            if new:
                self._keep(back)
            rows = [self._row(said.uid) for said in back]
            if new:
                self._leases.hold(annotator, rows)
            return [self.card(row) for row in rows]

    def _row(self, uid: str) -> int:
        row = self.queue.row_of.get(uid)
        if row is None:
            raise InputError(f"'{uid[:60]}' is not a row of the queue '{self.queue.name}'")
        return row

    # Actions of the owner

    def take_in(self, found: Sequence[Verdict]) -> None:
        """Store verdicts of a file; the same ones again are stored once."""
        with self._lock:
            self.store.add(as_said(found, self.queue))
            self._load()

    def ask_again(self, annotator: str, by: str) -> None:
        """Set aside the verdicts of somebody so far: anybody may be asked about their rows again."""
        with self._lock:
            self.store.set_aside(self.queue.name, annotator, by)
            self._load()

    def let_count(self, annotator: str, by: str) -> None:
        """Let verdicts that were set aside count again."""
        with self._lock:
            self.store.let_count(self.queue.name, annotator, by)
            self._load()

    def make_gold(self, answers: Sequence[tuple[str, str]], by: str) -> None:
        """Make rows gold: their answer is known, and everybody is asked about them now and then."""
        for uid, _ in answers:
            self._row(uid)
        with self._lock:
            self.store.add_gold(self.queue.name, answers, by)
            self._load()

    # Progress

    def progress(self, group: str = "") -> list[JudgedGroup]:
        """Return all judged groups, or one."""
        with self._lock:
            if group:
                return [self.tally.group(group)] if group in self.queue.groups else []
            return self.tally.groups()

    @property
    def version(self) -> tuple[int, int]:
        """Version of the verdicts that count: changes whenever they may have changed."""
        return self._loads, self._last

    def snapshot(self) -> Snapshot:
        """Return a consistent copy of the tally."""
        with self._lock:
            return self.tally.snapshot()

    def mine(self, annotator: str) -> int:
        """Count the verdicts of somebody that count."""
        with self._lock:
            return self.tally.given[annotator]

    def write(self) -> None:
        """Write the certificate, and the answers if a step waits for them, unless nothing changed since."""
        with self._lock:
            if self._written == self.version:
                return
            version, now, said = self.version, self.tally.snapshot(), self.tally.written()
        write_certificate(self.queue, certificate(now))
        if self.queue.waiting:
            write_answers(self.queue, said)
        with self._lock:
            self._written = version
