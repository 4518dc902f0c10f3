"""Studio, step and certificate over a thousand simulated sessions: at every point they conclude the same.

People of all sorts work on a queue that a step waits for: in the studio, in files, on sheets; they skip, are unsure,
disagree, take back, are set aside; the studio is started anew, the step runs again, rows change their class. After
each of these, what the studio says of every row is what the step does with it, the step waits if and only if the
studio says that a group is not done, and both certificates show the same numbers.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.annotation.certificate import certificate, group_document
from poolwright.annotation.deciding.judging import RowState
from poolwright.annotation.exchange.import_export import (
    as_said,
    exported,
    imported,
    write_answers,
    write_studio_answers,
)
from poolwright.annotation.exchange.worklist import read_asked
from poolwright.annotation.queue.queue import read_queue
from poolwright.annotation.queue.tally import Tally
from poolwright.annotation.round import Round, RoundResult, look
from poolwright.annotation.verify_step import Verify
from poolwright.core.errors import WaitingForPeople
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.state import State
from poolwright.recipe.recipe import Recipe
from poolwright.studio.verifying.live import LiveQueue, SentVerdict
from poolwright.studio.verifying.open_queues import OpenQueues
from tests.annotation.people import fill_csv
from tests.studio.made import Browser, new_key, serving

SESSIONS, PARTS = 1_000, 10
PEOPLE = ("Anna", "Ben", "Chris", "Dora")
CLASSES = ("ant", "bee", "cat 2", "cat 10")
VERDICTS = ("positive", "negative", "unsure")


def parameters(draw: random.Random) -> dict[str, Any]:
    """Parameters of a step: all modes, rules, numbers of people and kinds of answers."""
    annotators = draw.choice([1, 1, 2, 3])
    made: dict[str, Any] = {"class": "label", "annotators": annotators, "rule": draw.choice(["agree", "majority"])}
    if draw.random() < 0.3:
        made["bucket"] = "bucket"
    if draw.random() < 0.3:
        made["answer"] = draw.choice(["class", "classes"])
    elif draw.random() < 0.3:
        made["words"] = {"right": "positive", "wrong": "negative"}
    mode = draw.choice(["precision", "precision", "keep", "all"])
    if mode == "precision":
        made |= {"precision": draw.choice([0.5, 0.7, 0.8, 0.9]), "confidence": draw.choice([0.6, 0.8, 0.95])}
    elif annotators > 1 and draw.random() < 0.3:
        made |= {"rule": "dawid_skene", "probability": draw.choice([0.5, 0.8])}
    if draw.random() < 0.3:
        made["reviewers"] = ["Dora"]
    if mode == "keep":
        made["keep"] = draw.randint(1, 5)
        if draw.random() < 0.5:
            made["at_once"] = draw.randint(1, 6)
    return made


@dataclass
class Session:
    """A step, a studio on it, and what people do."""

    folder: Path
    draw: random.Random
    step: Verify = field(init=False)
    rows: pa.Table = field(init=False)
    queues: OpenQueues = field(init=False)
    live: LiveQueue = field(init=False)
    _round: tuple[pa.Table, Round] | None = None
    _key: str = ""
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.step = Verify(**parameters(self.draw), verdicts=(str(self.folder / "ours.csv"),))
        count, classes = self.draw.randint(2, 32), CLASSES[: self.draw.randint(1, len(CLASSES))]
        self.rows = pa.table(
            {
                "uid": [f"u{row:03d}" for row in range(count)],
                "label": [self.draw.choice(classes) for _ in range(count)],
                "bucket": [self.draw.choice(["9", "10"]) for _ in range(count)],
            }
        )
        self.hardness = {uid: self.draw.random() for uid in self.rows["uid"].to_pylist()}
        self.error = self.draw.choice([0.0, 0.1, 0.4])
        self.worklist.mkdir(parents=True)
        self.queues = OpenQueues(self.folder)

    @property
    def worklist(self) -> Path:
        return self.folder / "verify" / "good"

    def open(self) -> None:
        """The queue as the studio shows it now: opened anew if files have changed."""
        self.live = self.queues.queue("good")

    def run_step(self) -> State | None:
        """What the step makes of it; None while it waits."""
        write_studio_answers(self.worklist)
        context = Context(key=7, worklist=self.worklist, documents=self.folder / "documents")
        try:
            return self.step.fit(MemoryFrame(self.rows), context)
        except WaitingForPeople:
            return None

    # What people do

    def says(self, uid: str) -> str:
        if self.draw.random() < 0.5 * self.hardness[uid] ** 2:
            return self.draw.choice(["skipped", "skipped", "unsure"])
        return "negative" if self.draw.random() < self.error else "positive"

    def work(self) -> None:
        """Some people are shown some rows each, and say something of them."""
        for who in self.draw.sample(PEOPLE, self.draw.randint(1, 4)):
            for card in self.live.take(who, self.draw.randint(1, 10)):
                self.say(who, card.uid, self.says(card.uid))

    def say(self, who: str, uid: str, word: str) -> None:
        for _ in range(self.draw.choice([1, 1, 1, 2])):  # some things are sent again, with their key
            key = self._key or new_key()
            self._key = key
            if word == "skipped":
                self.live.skip(who, uid, key)
            else:
                self.live.say(who, [SentVerdict(uid, word, key)])
        self._key = ""

    def be_late(self) -> None:
        """Somebody says something of a row that nobody asked them about now."""
        uid = self.draw.choice(self.live.queue.uids)
        self.say(self.draw.choice(PEOPLE), uid, self.draw.choice([*VERDICTS, "skipped"]))

    def undo(self) -> None:
        self.live.undo(self.draw.choice(PEOPLE), new_key())

    def set_aside(self) -> None:
        self.live.ask_again(self.draw.choice(PEOPLE), "owner")

    def let_count(self) -> None:
        self.live.let_count(self.draw.choice(PEOPLE), "owner")

    def make_gold(self) -> None:
        self.live.make_gold([(self.draw.choice(self.live.queue.uids), self.draw.choice(VERDICTS[:2]))], "owner")

    def restart(self) -> None:
        """The studio is killed, and started again."""
        self.queues.store.close()
        self.queues = OpenQueues(self.folder)
        self.open()

    def write_file(self) -> None:
        """A file of answers comes, or another takes its place, or it is taken away."""
        path = self.draw.choice([self.worklist / "verdicts" / "ben.csv", self.folder / "ours.csv"])
        if path.exists() and self.draw.random() < 0.3:
            path.unlink()
            return
        path.parent.mkdir(exist_ok=True)
        lines = ["uid,class,verdict,annotator,time"]
        for uid, label in self.draw.sample(self.asked, min(len(self.asked), 6)):
            time = self.draw.choice(["", "", "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
            lines.append(f"{uid},{label},{self.word(self.says(uid), label)},{self.draw.choice(PEOPLE)},{time}")
        path.write_text("\n".join(lines) + "\n")

    @property
    def asked(self) -> list[tuple[str, str]]:
        return sorted(set(read_asked(self.worklist).pairs))

    def word(self, verdict: str, label: str) -> str:
        """A verdict in the words of a sheet."""
        if self.step.answer != "yes_no" and verdict in VERDICTS[:2]:
            others = [name for name in self.rows["label"].to_pylist() if self.step.answer == "class" or name != label]
            more = f" | {self.draw.choice(others)}" if self.step.answer == "classes" and others else ""
            return label + more if verdict == "positive" else self.draw.choice(["none of them", *others])
        own = {"positive": "right", "negative": "wrong"} if self.step.words else {}
        return own.get(verdict, self.draw.choice(["skip", "skipped"]) if verdict == "skipped" else verdict)

    def fill_sheet(self) -> None:
        """A sheet is filled in in place."""
        sheet = self.worklist / "sheets" / "sheet-1.csv"
        if sheet.exists() and len({uid for uid, _ in self.asked}) == len(self.asked):
            fill_csv(sheet, {uid: self.word(self.says(uid), label) for uid, label in self.asked[::3]})

    def upload(self) -> None:
        """The owner imports a file in the studio."""
        uids = self.draw.sample(self.live.queue.uids, min(3, len(self.live.queue)))
        lines = [f"{uid},{self.says(uid)},{self.draw.choice(PEOPLE)}" for uid in uids]
        data = "\n".join(["uid,verdict,annotator", *lines]).encode()
        self.live.take_in(imported(data, "more.csv", self.live.queue))

    def rerun(self) -> None:
        """The step runs again, perhaps over rows of which some have another class now."""
        if self.draw.random() < 0.3 and self.step.answer == "yes_no":
            labels = self.rows["label"].to_pylist()
            labels[self.draw.randrange(len(labels))] = self.draw.choice(CLASSES)
            self.rows = self.rows.set_column(1, "label", [labels])
        self.run_step()

    # What is checked

    def step_now(self) -> RoundResult:
        """What the step would find now, without asking for more."""
        write_answers(self.live.queue, self.live.tally.written())
        if self._round is None or self._round[0] is not self.rows:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("poolwright.annotation.asking_step.go_on", stop)
                with pytest.raises(_Stop) as caught:
                    self.step.fit(MemoryFrame(self.rows), Context(key=7, worklist=self.worklist))
            self._round = (self.rows, caught.value.one)
        return look(self._round[1], read_asked(self.worklist))

    def check(self) -> None:
        self.open()
        found, live = self.step_now(), self.live
        studio = {group.name: group for group in live.progress()}
        assert studio.keys() == {group.name for group in found.groups}
        for group in found.groups:
            assert group.states.tolist() == studio[group.name].states.tolist(), group.name
            assert group.done == studio[group.name].done == (studio[group.name].judgement.conclusion != "open")
            assert group_document(group) == group_document(studio[group.name])
        assert found.lacking.any() == any(not group.done for group in studio.values())
        document = certificate(live.snapshot())
        assert document["reviewed"] == found.reviewed.sum()
        assert document.get("classes", []) == [one.document() for one in found.decided]
        assert {one["group"]: one for one in document["groups"]} == {
            group.name: group_document(group) for group in found.groups
        }
        if self.draw.random() < 0.1:
            assert self.fresh_tally() == [group_document(group) for group in studio.values()], "the same after a start"

    def fresh_tally(self) -> list[dict[str, Any]]:
        queues = OpenQueues(self.folder)
        groups = [group_document(group) for group in queues.queue("good").progress()]
        queues.store.close()
        return groups

    def check_step(self) -> bool:
        """The step itself: it goes on if and only if all groups are done, and certifies what the studio does."""
        groups = self.live.progress()
        state = self.run_step()
        self.open()
        assert (state is not None) == all(group.done for group in groups)
        if state is None:
            return False
        document = json.loads((self.folder / "documents/certificate/certificate.json").read_text())
        assert {one["group"]: one for one in document["groups"]} == {one.name: group_document(one) for one in groups}
        kept = {row["uid"] for row in state.tables["rows"].to_pylist() if not row["drop"]}
        queue = self.live.queue
        states = {
            int(row): state for one in groups for row, state in zip(queue.groups[one.name], one.states, strict=True)
        }
        assert kept == {queue.uids[row] for row, state in states.items() if state in (RowState.RIGHT, RowState.UNSEEN)}
        return True

    def check_export(self) -> None:
        """What is exported and imported elsewhere says the same, skips too."""
        form, name = self.draw.choice([("csv", "a.csv"), ("jsonl", "a.jsonl"), ("label_studio", "a.json")])
        snapshot, queue = self.live.snapshot(), read_queue(self.worklist)
        said = as_said(imported(exported(snapshot, form), name, queue).answers, queue)
        again = Tally(queue, {}, said)
        assert [group_document(one) for one in again.groups()] == [group_document(one) for one in self.live.progress()]


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory if the machine has one: every verdict of the studio waits for the disk."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="poolwright-test-") as folder:
        yield Path(folder)


class _Stop(Exception):
    def __init__(self, one: Round) -> None:
        self.one = one


def stop(one: Round) -> None:
    raise _Stop(one)


EVENTS: Mapping[str, int] = {
    "work": 50, "be_late": 6, "undo": 6, "set_aside": 6, "let_count": 3, "make_gold": 1, "restart": 3, "write_file": 12,
    "fill_sheet": 2, "upload": 2, "rerun": 5,
}  # fmt: skip


@pytest.mark.parametrize("part", range(PARTS))
def test_studio_step_and_certificate_conclude_the_same(part: int, scratch: Path) -> None:
    ended: list[str] = []
    for number in range(part, SESSIONS, PARTS):
        draw = random.Random(number)
        session = Session(scratch / str(number), draw)
        if session.run_step() is not None:
            ended.append("at once")
            continue
        session.open()
        for _ in range(draw.randint(2, 5)):
            event = draw.choices(list(EVENTS), list(EVENTS.values()))[0]
            session.log.append(event)
            getattr(session, event)()
            try:
                session.check()
            except AssertionError as error:
                raise AssertionError(f"session {number}, {session.step}, after {session.log}: {error}") from None
        ended.append("done" if session.check_step() else "waiting")
        session.check_export()
        session.queues.stop()
    assert ended.count("done") > SESSIONS // PARTS // 10
    assert ended.count("waiting") > SESSIONS // PARTS // 10


def recipe(folder: Path, draw: random.Random, rows: pa.Table) -> Recipe:
    """A recipe with a step of random parameters over these rows."""
    pq.write_table(rows, folder / "rows.parquet")
    data = {
        "recipe": 1,
        "name": "asking",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"good": {"from": "rows", "steps": [{"verify": parameters(draw)}]}},
    }
    return Recipe.from_data(data, folder)


@pytest.mark.parametrize("number", range(6))
def test_the_same_through_a_browser_and_a_run(number: int, tmp_path: Path) -> None:
    """The pages, the certificate that they offer, and the exit of the run: over HTTP, with a whole run."""
    draw = random.Random(f"browser {number}")
    rows = pa.table({
        "uid": [f"u{row:03d}" for row in range(30)],
        "label": [CLASSES[row % 2] for row in range(30)],
        "bucket": [str(row % 3) for row in range(30)],
    })  # fmt: skip
    made, run = recipe(tmp_path, draw, rows), tmp_path / "run"
    with pytest.raises(WaitingForPeople):
        api.run(made, run)
    for _ in range(4):
        with serving(run) as (port, _):
            groups = browse(port, draw)
        done = all(one["conclusion"] != "open" for one in groups.values())
        try:
            table = api.run(made, run).tables["good"]
        except WaitingForPeople:
            assert not done
            continue
        assert done
        certified = json.loads((table.folder / "documents/certificate/certificate.json").read_text())
        assert {one["group"]: one for one in certified["groups"]} == groups
        break


def browse(port: int, draw: random.Random) -> dict[str, dict[str, Any]]:
    """Several people answer and skip on the pages; returns the groups of the certificate, by name."""
    people = {name: Browser(port, name) for name in PEOPLE}
    for _ in range(draw.randint(2, 14)):
        browser = people[draw.choice(PEOPLE)]
        for card in browser.take("good", draw.randint(1, 6)):
            verdict = draw.choice(["positive"] * 12 + ["negative", "unsure", "skipped"])
            if verdict == "skipped":
                browser.ask("/verify/good/skip", {"uids": [card["uid"]], "key": new_key()})
            else:
                browser.say("good", {card["uid"]: verdict})
    document = json.loads(people["Anna"].get("/verify/good/certificate.json")[2])
    return {one["group"]: one for one in document["groups"]}
