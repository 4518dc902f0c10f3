"""Run a queue for many people at once: next questions, verdicts, progress. There is one lock per queue."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from poolwright.annotation.certificate import certificate, write_certificate
from poolwright.annotation.deciding.judging import JudgedGroup
from poolwright.annotation.exchange.import_export import as_said, write_answers
from poolwright.annotation.exchange.read_answers import AnswerFile
from poolwright.annotation.queue.queue import Queue
from poolwright.annotation.queue.store import Said, VerdictStore
from poolwright.annotation.queue.tally import Snapshot, Tally
from poolwright.annotation.verdicts import POSITIVE, SKIPPED, Verdict
from poolwright.core.errors import InputError
from poolwright.kernels.selection.hashing import hash64
from poolwright.studio.verifying.choosing import in_turns, verdict_of
from poolwright.studio.verifying.leases import Leases
from poolwright.studio.verifying.parts import Parts
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
    """A verdict as a browser sends it, or the classes that a person chose.

    Attributes:
        key: identifies it, and is the same when it is sent again.
    """

    uid: str
    verdict: str
    key: str
    seconds: float | None = None
    comment: str = ""
    chosen: tuple[str, ...] = ()


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
        self._leases = Leases(store, queue.name)
        self.parts = Parts(store, queue.name)
        self._secret = secrets.randbits(64)  # decides where gold questions come
        self._gold_shown: dict[str, dict[int, int]] = defaultdict(dict)
        """By annotator: the gold rows that were shown, each with the row that it came before."""
        self._loads = 0
        self.imported = ""  # what was found in the last file, for the owner
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
            names = [group] if group in self.queue.groups else list(self.queue.groups) if not group else []
            lines = (self._mixed(annotator, name, held) for name in names if self.asks(annotator, name))
            for rows in [in_turns(lines)] if self.queue.choices else lines:
                cards = self._taken(annotator, min(number, MOST_AT_ONCE), rows)
                if cards:
                    return cards
        return []

    def asks(self, annotator: str, name: str) -> bool:
        """Whether somebody is asked about a group: it is not done, nor the part of others."""
        return self.parts.open_to(annotator, name) and not self.tally.group(name).done

    def _taken(self, annotator: str, number: int, found: Iterable[int]) -> list[QuestionCard]:
        rows: list[int] = []
        for row in found:
            if row not in rows:  # it may have been taken as a gold question already
                rows.append(row)
            if len(rows) >= number:
                break
        self._leases.hold(annotator, [self.queue.uids[row] for row in rows])
        return [self.card(row) for row in rows]

    def _mixed(self, annotator: str, name: str, held: set[str]) -> Iterator[int]:
        """Iterate over the rows of a group that this person may be asked about, gold questions among them.

        Those that they skipped come last. A gold row that was shown and not answered comes again in the place where it
        was, as other rows do, so that nobody can tell them apart by asking twice.
        """
        shown = self._gold_shown[annotator]
        again, gold = list[tuple[int, int]](), list[tuple[int, int]]()
        for row, place in shown.items():
            if self.queue.names[row] == name and self._unanswered(annotator, row, held):
                (again if annotator in self.tally.skipped_by(row) else gold).append((place, row))
        gold.sort()
        places = set(shown.values())
        for row in self._free(annotator, name, held):
            if annotator in self.tally.skipped_by(row):
                again.append((row, row))
                continue
            while gold and gold[0][0] <= row:
                yield gold.pop(0)[1]
            if row not in places and (drawn := self._gold_before(annotator, name, row, held)) is not None:
                shown[drawn] = row
                yield drawn
            yield row
        yield from (row for _, row in (*gold, *sorted(again)))

    def _free(self, annotator: str, name: str, held: set[str]) -> Iterator[int]:
        """Iterate over the rows of a group that lack verdicts and that this person may be asked about."""
        lacking = self.queue.groups[name][self.tally.group(name).lacking]
        if self.queue.asked is not None:
            lacking = lacking[self.queue.asked[lacking]]
        for row in map(int, lacking):
            if self._unanswered(annotator, row, held):
                votes = self.tally.votes_on(row)
                others = self._leases.others(annotator, self.queue.uids[row], votes)
                if len(votes) + others < self.queue.terms.annotators:
                    yield row

    def _unanswered(self, annotator: str, row: int, held: set[str]) -> bool:
        return annotator not in self.tally.votes_on(row) and self.queue.uids[row] not in held

    def _gold_before(self, annotator: str, name: str, row: int, held: set[str]) -> int | None:
        """Return a gold row to be asked before a row, or None; by chance, as often as the settings say."""
        share = self.queue.settings.gold_share
        if not share or not self.tally.gold:
            return None
        if int(hash64(pa.array([f"{annotator} {self.queue.uids[row]}"]), self._secret)[0]) / 2.0**64 >= share:
            return None
        rows = (self.queue.row_of[uid] for uid in self.tally.gold if uid in self.queue.row_of)
        for gold in rows:
            known = gold in self._gold_shown[annotator] or annotator in self.tally.skipped_by(gold)
            if not known and self.queue.names[gold] == name and self._unanswered(annotator, gold, held):
                return gold
        return None

    def card(self, row: int) -> QuestionCard:
        """Return the question about a row."""
        queue = self.queue
        group = "" if queue.choices else queue.names[row]  # the group would give the answer away
        return QuestionCard(queue.uids[row], group, queue.question(row), queue.texts[row])

    def give_back(self, annotator: str, uids: Iterable[str]) -> None:
        """End the leases of rows that were shown and not answered."""
        with self._lock:
            self._leases.free(annotator, list(uids))

    # Verdicts

    def skip(self, annotator: str, uid: str, key: str = "") -> None:
        """Skip a row: others are asked about it, and the same person at the end. The skip is on disk on return.

        Args:
            key: key of this skip, the same when it is sent again; '' creates one.
        """
        with self._lock:
            row = self._row(uid)
            self._leases.free(annotator, [uid])
            if annotator not in self.tally.votes_on(row):
                about = self.queue.classes[row]
                self._keep([Said(self.queue.name, uid, annotator, SKIPPED, key or uuid.uuid4().hex, about=about)])

    def say(self, annotator: str, answers: Sequence[SentVerdict], act: str = "") -> list[Said]:
        """Store verdicts, all or none. They are on disk on return.

        Raises:
            InputError: a row is not in this queue, or a verdict is not valid.
        """
        said = [self._said(annotator, one, act) for one in answers]
        with self._lock:
            return self._keep(said)

    def _said(self, annotator: str, one: SentVerdict, act: str) -> Said:
        about = self.queue.classes[self._row(one.uid)]
        verdict, name = verdict_of(self.queue, about, one.verdict, one.chosen), self.queue.name
        yes = {about} if self.queue.several and verdict == POSITIVE else set()
        chosen = tuple(sorted({*one.chosen, *yes}))
        return Said(name, one.uid, annotator, verdict, one.key, act, one.seconds, "", one.comment, about, chosen)

    def _keep(self, said: Sequence[Said]) -> list[Said]:
        kept = self.store.add(said)
        for one in kept:
            if one.id > self._last:  # a repeated request is counted already
                self._acts.note(one)
                self.tally.put(one)
                self._last = one.id
            self._leases.answered(one.annotator, [one.uid])
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
                self._leases.hold(annotator, [self.queue.uids[row] for row in rows])
            return [self.card(row) for row in rows]

    def _row(self, uid: str) -> int:
        row = self.queue.row_of.get(uid)
        if row is None:
            raise InputError(f"'{uid[:60]}' is not a row of the queue '{self.queue.name}'")
        return row

    # Actions of the owner

    def take_in(self, found: AnswerFile[Verdict]) -> None:
        """Store the verdicts of a file; the same ones again are stored once."""
        with self._lock:
            self.store.add(as_said(found.answers, self.queue))
            self.imported = found.found
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

    def answers(self, group: str) -> int:
        """Count the verdicts on a group that count, several on a row among them."""
        with self._lock:
            return self.tally.answers(group)

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
