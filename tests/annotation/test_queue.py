"""Queues, and what the verdicts on them say; certificates; files out and in."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from poolwright.annotation.annotators import people_of
from poolwright.annotation.candidates import Candidates
from poolwright.annotation.certificate import certificate, describe_conclusion
from poolwright.annotation.deciding.judging import Terms
from poolwright.annotation.exchange.import_export import FORMS, as_said, exported, imported, write_answers
from poolwright.annotation.exchange.worklist import AskedRows, answers
from poolwright.annotation.exchange.write_sheets import Form, ask
from poolwright.annotation.queue.queue import Queue, Settings, list_queues, make_queue, read_queue
from poolwright.annotation.queue.store import WITHDRAWN, Said
from poolwright.annotation.queue.tally import Tally
from poolwright.core.errors import InputError, RecipeError
from poolwright.kernels.statistics.acceptance_sampling import plan


def rows(count: int = 400, classes: int = 2, **more: Any) -> pa.Table:
    uids = [f"u{row:04d}" for row in range(count)]
    return pa.table({"uid": uids, "class": [f"class {row % classes}" for row in range(count)], **more})


def queue(folder: Path, count: int = 400, classes: int = 2, **settings: Any) -> Queue:
    return make_queue(folder / "verify" / "things", Settings("things", **settings), rows(count, classes))


def says(made: Queue, who: str, verdicts: dict[str, str], start: int = 1) -> list[Said]:
    return [
        Said(made.name, uid, who, verdict, f"{who} {uid} {start + number}", id=start + number, seconds=1.5)
        for number, (uid, verdict) in enumerate(verdicts.items())
    ]


def test_a_queue_is_kept_and_its_order_is_that_of_hashes(tmp_path: Path) -> None:
    made = queue(tmp_path)
    assert read_queue(tmp_path / "verify" / "things").uids == made.uids
    assert list_queues(tmp_path) == ["things"]
    assert sorted(made.uids) == rows().column("uid").to_pylist()
    turned = make_queue(tmp_path / "other" / "things", Settings("things"), rows().take(np.arange(400)[::-1]))
    assert turned.uids == made.uids, "the order of the table does not matter"
    early = Counter(int(uid[1:]) < 200 for uid in made.uids[:100])
    assert 30 < early[True] < 70, "the order is random"
    assert list(made.groups) == ["class 0", "class 1"]
    with pytest.raises(RecipeError, match="there is a queue 'things' already"):
        queue(tmp_path)


def test_groups_are_in_natural_order(tmp_path: Path) -> None:
    uids = [f"u{number}" for number in range(4)]
    table = pa.table({"uid": uids, "class": ["cat", "cat", "ant", "cat"], "bucket": ["10", "9", "1", ""]})
    made = make_queue(tmp_path / "q", Settings("things"), table)
    assert list(made.groups) == ["ant · 1", "cat", "cat · 9", "cat · 10"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rule": "guess"}, "no rule"),
        ({"target": 1.0}, "precision and confidence must be"),
        ({"overlap": 0}, "at least 1 person"),
    ],
)
def test_wrong_settings_are_reported(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        queue(tmp_path, **settings)


def test_damaged_and_missing_queues_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no queue 'none'"):
        read_queue(tmp_path / "none")
    made = queue(tmp_path)
    (made.folder / "rows.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="the queue is damaged"):
        read_queue(made.folder)
    with pytest.raises(InputError, match="needs a uid of its own"):
        make_queue(tmp_path / "x", Settings("things"), pa.table({"uid": ["a", "a"], "class": ["x", "x"]}))


def test_a_clean_group_stops_early_and_a_dirty_one_does_not(tmp_path: Path) -> None:
    made = queue(tmp_path, 1200)
    clean, dirty = made.groups.values()
    tally = Tally(made, {})
    stop = plan(600, 0.99).stops[0]
    for one in says(made, "Anna", {made.uids[row]: "positive" for row in clean[: stop - 1]}):
        tally.put(one)
    group = tally.group("class 0")
    assert (group.done, group.judgement.left) == (False, 1)
    tally.put(Said(made.name, made.uids[clean[stop - 1]], "Anna", "positive", "last"))
    group = tally.group("class 0")
    assert (group.judgement.conclusion, group.verified, group.done) == ("met", stop, True)
    assert (
        describe_conclusion(made, group)
        == f"at least {group.judgement.bound * 100:.4f}"[:14] + " % right, with 95 % confidence"
    )
    for number, row in enumerate(dirty):
        verdict = "negative" if number % 20 == 0 else "positive"
        tally.put(Said(made.name, made.uids[row], "Anna", verdict, f"d {row}"))
        assert tally.group("class 1").done == (number == 599)
    assert describe_conclusion(made, tally.group("class 1")) == "all verified: 570 of 600 right"


def test_only_rows_verified_in_order_count_for_the_stop(tmp_path: Path) -> None:
    made = queue(tmp_path, 400, 1)
    rows = next(iter(made.groups.values()))
    stop = plan(400, 0.99).stops[0]
    tally = Tally(made, {}, says(made, "Anna", {made.uids[row]: "positive" for row in rows[1 : stop + 20]}))
    assert not tally.group("class 0").done, "the first row was not verified"
    tally.put(Said(made.name, made.uids[rows[0]], "Anna", "skipped", "skip"))
    assert not tally.group("class 0").done, "a row that was passed over counts against the group"
    tally.put(Said(made.name, made.uids[rows[0]], "Anna", "positive", "x"))
    assert tally.group("class 0").done
    tally.put(Said(made.name, made.uids[rows[0]], "Anna", WITHDRAWN, "y"))
    assert not tally.group("class 0").done, "taken back"


def test_several_people_and_gold(tmp_path: Path) -> None:
    made = queue(tmp_path, 60, 1, overlap=2)
    tally = Tally(made, {"u0000": "positive", "u0001": "negative"})
    first = made.row_of["u0005"]
    tally.put(Said(made.name, "u0005", "Anna", "positive", "1"))
    assert tally.outcome(first) is None
    tally.put(Said(made.name, "u0005", "Ben", "negative", "2"))
    assert tally.outcome(first) == "unsure"
    tally.put(Said(made.name, "u0005", "Chris", "negative", "3"))
    assert tally.outcome(first) == "negative"
    assert tally.outcome(made.row_of["u0001"]) is None, "gold measures people; rows are decided by them"
    tally.put(Said(made.name, "u0001", "Anna", "positive", "4"))
    tally.put(Said(made.name, "u0000", "Anna", "positive", "5"))
    tally.put(Said(made.name, "u0000", "Ben", "unsure", "6"))
    assert tally.snapshot().on_gold == {"Anna": (1, 2), "Ben": (0, 1)}
    assert dict(tally.given) == {"Anna": 3, "Ben": 2, "Chris": 1}


def test_careless_people_are_found(tmp_path: Path) -> None:
    """Two who look, one who clicks at random, one who says yes to gold questions without looking."""
    rng = np.random.default_rng(0)
    made = queue(tmp_path, 300, 1, overlap=4)
    truth = {uid: "positive" if int(uid[1:]) % 3 else "negative" for uid in made.uids}
    gold = {uid: truth[uid] for uid in made.uids[:30]}
    given = {
        "Anna": dict(truth),
        "Ben": {uid: verdict if rng.random() < 0.97 else "unsure" for uid, verdict in truth.items()},
        "Chance": {uid: str(rng.choice(["positive", "negative"])) for uid in truth},
        "Yes": dict.fromkeys(truth, "positive"),
    }
    said = [one for who, verdicts in given.items() for one in says(made, who, verdicts)]
    people = {person.name: person for person in people_of(Tally(made, gold, said).snapshot(), {"Yes": 3})}
    assert {name for name, person in people.items() if person.careless} == {"Chance", "Yes"}, people
    assert people["Anna"].gold_right == people["Anna"].gold_answered == 30
    assert people["Anna"].seconds == 1.5
    assert people["Yes"].aside
    assert people["Yes"].careless.endswith("of 30 gold questions wrong")


def test_certificate(tmp_path: Path) -> None:
    made = queue(tmp_path, 100, 2, overlap=2)
    (made.folder / "instructions").mkdir()
    (made.folder / "instructions/instructions.md").write_text("# What is wanted\n")
    said = [
        *says(made, "Ben", dict.fromkeys(made.uids[:80], "positive")),
        *says(made, "Anna", {uid: "negative" if row == 3 else "positive" for row, uid in enumerate(made.uids)}, 100),
    ]
    document = certificate(Tally(made, {"u0000": "positive"}, said).snapshot())
    text = json.dumps(document)
    assert "Anna" not in text
    assert document["agreement"]["rows"] == 80
    assert document["agreement"]["pairwise"] == pytest.approx(79 / 80)
    assert len(document["instructions_sha256"]) == 64
    assert [person["verdicts"] for person in document["annotators"]] == [80, 100]
    assert sum(group["verified"] for group in document["groups"]) in (80, 81)
    assert sum(group["unsure"] for group in document["groups"]) == 1
    again = certificate(Tally(made, {"u0000": "positive"}, sorted(said, key=lambda one: one.uid)).snapshot())
    assert json.dumps(again) == text, "the same verdicts give the same bytes"


@pytest.mark.parametrize("form", list(FORMS))
def test_files_out_and_in(tmp_path: Path, form: str) -> None:
    made = make_queue(
        tmp_path / "q", Settings("things"), pa.table({"uid": ["=1+1", "b,ä\n", "c"], "class": ["+x", "y", ""]})
    )
    said = [
        Said("q", "=1+1", "Anna", "positive", "1", time="2026-01-02T03:04:05+00:00", comment='=HYPERLINK("x")'),
        Said("q", "b,ä\n", "Ben", "unsure", "2", time="2026-01-02T03:04:06+00:00"),
        Said("q", "c", "Ben", "negative", "3"),
    ]
    data = exported(Tally(made, {}, said).snapshot(), form)
    if form == "csv":
        assert b"\n=" not in data.replace(b"\r\n", b"\n")
    found = imported(data, f"verdicts{FORMS[form][0]}", made).answers
    assert {(one.uid, one.annotator, one.verdict, one.comment) for one in found} == {
        (one.uid, one.annotator, one.verdict, one.comment) for one in said
    }
    assert [one.key for one in as_said(found, made)] == [one.key for one in as_said(found, made)]
    with pytest.raises(InputError, match="1 verdict is about rows that are not in the queue"):
        imported(b"uid,verdict\nd,yes\n", "x.csv", made)
    several = b"uid,verdict\nc,perhaps\nc,perhaps\nc,dunno\nc,yes\n"
    with pytest.raises(InputError, match=r"; 3 of 4 answers have unknown values: 'perhaps' \(2\), 'dunno' \(1\)$"):
        imported(several, "x.csv", made)
    with pytest.raises(InputError, match=r"^x\.csv: line 2: verdict 'perhaps' is not known"):
        imported(b"uid,verdict\nc,perhaps\n", "x.csv", made)


def desk_of_step(folder: Path, answer: str = "yes_no", **more: Any) -> Path:
    """The desk as a step `verify` lays it."""
    table = pa.table({"uid": ["a", "b", "c"], "group.0": ["cat", "cat", "dog"], "text": ["x", None, "z"]})
    choices = ("cat", "dog", "none of them", "unsure") if answer == "class" else ("yes", "no", "unsure")
    question = "Does it show: {class}?"
    terms = Terms(annotators=2, **more)
    form = Form(format="csv", answer=answer, question=question, choices=choices, terms=terms)
    ask(folder, Candidates(table, 1), [0, 1, 2], AskedRows(), form)
    return folder


@pytest.mark.parametrize(
    ("answer", "words"), [("yes_no", ["positive", "negative"]), ("class", ["cat", "none of them"])]
)
def test_the_desk_of_a_step_is_a_queue(tmp_path: Path, answer: str, words: list[str]) -> None:
    made = read_queue(desk_of_step(tmp_path / "verify" / "pets", answer))
    assert (made.waiting, made.uids, made.classes) == (True, ["a", "b", "c"], ["cat", "cat", "dog"])
    assert made.settings == Settings("pets", "all", "Does it show: {class}?", overlap=2, unanimous=True, answer=answer)
    assert made.choices == (("cat", "dog") if answer == "class" else ())
    said = says(made, "Anna", {"a": "positive", "b": "negative", "c": "unsure"})
    write_answers(made, Tally(made, {}, said).written())
    given = [(one.uid, one.word) for file in answers(made.folder) for one in file.answers]
    assert given == [("a", words[0]), ("b", words[1]), ("c", "unsure")]
    assert not Tally(made, {}, said).group("cat").done
    assert Tally(made, {}, [*said, *says(made, "Ben", {"a": "positive", "b": "negative"}, 9)]).group("cat").done


def test_the_desk_says_when_a_step_has_enough(tmp_path: Path) -> None:
    made = read_queue(desk_of_step(tmp_path / "verify" / "pets", keep=1, rule="majority"))
    assert (made.settings.rule, made.settings.keep, made.settings.unanimous) == ("first", 1, False)
    said = [*says(made, "Anna", {"a": "negative", "b": "positive"}), *says(made, "Ben", {"a": "negative"}, 9)]
    assert describe_conclusion(made, Tally(made, {}, said).group("cat")) == "0 of 1 right ones found"
    group = Tally(made, {}, [*said, *says(made, "Ben", {"b": "positive"}, 19)]).group("cat")
    assert (group.judgement.conclusion, group.judgement.verified, group.done) == ("enough", 2, True)
    sampled = read_queue(desk_of_step(tmp_path / "verify" / "more", precision=0.9, confidence=0.9))
    assert (sampled.settings.rule, sampled.settings.target, sampled.settings.confidence) == ("precision", 0.9, 0.9)
    assert sampled.settings.unanimous
    split = [*says(sampled, "Anna", {"a": "positive"}), *says(sampled, "Ben", {"a": "negative"}, 9)]
    assert Tally(sampled, {}, split).outcome(0) == "unsure"
