"""Queues that ask for the class of a row, parts for some people, a second look, and answers that were too quick."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.annotation.annotators import people_of
from poolwright.annotation.certificate import certificate
from poolwright.annotation.exchange.import_export import exported, imported
from poolwright.annotation.queue.queue import Settings, make_queue
from poolwright.annotation.queue.store import STORE, VerdictStore
from poolwright.api import Recipe
from poolwright.core.errors import InputError, WaitingForPeople
from poolwright.studio.verifying.live import LiveQueue, SentVerdict
from poolwright.studio.verifying.parts import deal
from poolwright.studio.verifying.reviewing import differing
from tests.studio.made import Browser, new_key, picture, serving

NAMES = ("cat", "dog", "horse")


def queue(folder: Path, rows: int = 60, **settings: object) -> LiveQueue:
    """A queue of rows whose class is proposed right, but that of every tenth."""
    uids = [f"u{row:03d}" for row in range(rows)]
    table = pa.table({"uid": uids, "class": [NAMES[row % 3] for row in range(rows)]})
    given = {"rule": "all", "answer": "class", "question": "Which?", **settings}
    made = make_queue(folder / "verify" / "q", Settings("q", **given), table)  # type: ignore[arg-type]
    return LiveQueue(made, VerdictStore(folder / STORE))


def truth(uid: str) -> str:
    row = int(uid[1:])
    return NAMES[(row + (row % 10 == 0)) % 3]


def chosen(uid: str, *names: str, **more: object) -> SentVerdict:
    return SentVerdict(uid, "positive", new_key(), chosen=names, **more)  # type: ignore[arg-type]


def test_ten_people_choose_classes_two_per_picture(tmp_path: Path) -> None:
    live = queue(tmp_path, overlap=2)
    assert {card.group for card in live.take("Zoe", 20)} == {""}, "the group would give the class away"
    live.give_back("Zoe", live.queue.uids)
    shown: list[list[str]] = []

    def work(who: str) -> None:
        while cards := live.take(who, 4):
            shown.append([card.uid for card in cards])
            live.say(who, [chosen(card.uid, truth(card.uid)) for card in cards])

    threads = [threading.Thread(target=work, args=(f"Person {number}",)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = live.snapshot().counted
    assert len(said) == 120
    assert len({(one.uid, one.annotator) for one in said}) == 120, "nobody was asked twice"
    assert {one.chosen for one in said} == {(name,) for name in NAMES}
    assert all((one.verdict == "positive") == (one.chosen == (one.about,)) for one in said)
    assert sum(group.wrong for group in live.progress()) == 6
    assert any(len({live.queue.classes[live.queue.row_of[uid]] for uid in uids}) > 1 for uids in shown), "in turns"
    with pytest.raises(InputError, match="'' is not a verdict"):
        live.say("Zoe", [SentVerdict("u001", "", new_key())])
    with pytest.raises(InputError, match="is not a class of the queue"):
        live.say("Zoe", [chosen("u001", "whale")])
    with pytest.raises(InputError, match="wants one class, not 2"):
        live.say("Zoe", [chosen("u001", "cat", "dog")])


def test_undo_and_files_keep_the_class(tmp_path: Path) -> None:
    live = queue(tmp_path, rows=3)
    live.say("Anna", [chosen("u000", "dog", comment="two of them")])
    live.say("Anna", [chosen("u000", "horse")])
    live.undo("Anna", new_key())
    (one,) = live.snapshot().counted
    assert (one.chosen, one.verdict, one.comment) == (("dog",), "negative", "two of them")
    live.say("Ben", [SentVerdict("u000", "negative", new_key()), SentVerdict("u001", "unsure", new_key())])
    live.say("Ben", [chosen("u002", "horse")])
    for form, name in (("csv", "a.csv"), ("jsonl", "a.jsonl"), ("label_studio", "a.json")):
        data = exported(live.snapshot(), form)
        again = imported(data, name, live.queue).answers
        assert {(one.uid, one.annotator, one.verdict, one.chosen) for one in again} == {
            ("u000", "Anna", "negative", ("dog",)),
            ("u000", "Ben", "negative", ()),
            ("u001", "Ben", "unsure", ()),
            ("u002", "Ben", "positive", ("horse",)),
        }, form
    assert b"none of them" in data


def test_several_classes_and_files_that_hold_them(tmp_path: Path) -> None:
    live = queue(tmp_path, rows=6, answer="classes", overlap=2)
    live.say("Anna", [chosen("u000", "horse", "cat", "horse"), chosen("u001", "cat"), chosen("u002", "horse", "dog")])
    live.say("Ben", [chosen("u000", "cat"), chosen("u001", "cat", "dog"), chosen("u002", "dog", "horse")])
    live.say("Ben", [SentVerdict("u003", "negative", new_key()), SentVerdict("u004", "unsure", new_key())])
    said = {(one.uid, one.annotator): one for one in live.snapshot().counted}
    assert [said[pair].chosen for pair in (("u000", "Anna"), ("u002", "Ben"))] == [("cat", "horse"), ("dog", "horse")]
    assert [said["u001", who].verdict for who in ("Anna", "Ben")] == ["negative", "positive"]
    looks = {one.uid: (one.named, one.agreed) for one in differing(live.snapshot())}
    assert looks == {"u000": (["cat", "horse"], {"cat"}), "u001": (["cat", "dog"], {"cat"})}
    by_class = {one["class"]: one for one in certificate(live.snapshot())["classes"]}
    assert [(name, one["rows"], one["unclear"]) for name, one in by_class.items()] == [
        ("cat", 2, 0), ("dog", 1, 1), ("horse", 1, 1)
    ]  # fmt: skip
    assert (by_class["cat"]["agreement"]["pairwise"], by_class["cat"]["agreement"]["rows"]) == (1.0, 3)
    for form, name in (("csv", "a.csv"), ("jsonl", "a.jsonl"), ("label_studio", "a.json")):
        data = exported(live.snapshot(), form)
        again = imported(data, name, live.queue).answers
        assert {(one.uid, one.annotator, one.verdict, one.chosen) for one in again} == {
            (one.uid, one.annotator, one.verdict, one.chosen) for one in said.values()
        }, form
    live.store.close()
    store = VerdictStore(tmp_path / STORE)
    assert {one.chosen for one in store.counting("q")} == {one.chosen for one in said.values()}
    store.close()


def test_a_run_goes_on_with_classes_from_the_studio(tmp_path: Path) -> None:
    uids = [f"u{row:03d}" for row in range(12)]
    images = [picture(row, (8, 8)) for row in range(12)]
    labels = [NAMES[row % 3] for row in range(12)]
    pq.write_table(pa.table({"uid": uids, "label": labels, "image": images}), tmp_path / "rows.parquet")
    data = {
        "recipe": 1,
        "name": "asking",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"good": {"from": "rows", "steps": [{"verify": {"class": "label", "answer": "class"}}]}},
    }
    recipe = Recipe.from_data(data, tmp_path)
    with pytest.raises(WaitingForPeople):
        api.run(recipe, tmp_path / "run")
    with serving(tmp_path / "run") as (port, _):
        anna = Browser(port, "Anna")
        page = anna.get("/verify/good/one")[2].decode()
        assert "Which of these does it show?" in page
        assert '["cat", "dog", "horse"]' in page
        cards = anna.take("good", 20)
        known = anna.get(f"/verify/good/row?uid={cards[0]['uid']}")[2].decode()
        assert labels[uids.index(cards[0]["uid"])] not in known, "the proposed class is not shown"
        sent = [{"uid": card["uid"], "chosen": truth(card["uid"]), "key": new_key()} for card in cards]
        state = anna.ask("/verify/good/say", {"act": new_key(), "answers": sent})["state"]
        assert (state["done"], state["verified"], state["wrong"]) == (True, 12, 2)
    kept = api.run(recipe, tmp_path / "run").tables["good"].read(["uid"])["uid"].to_pylist()
    assert kept == [uid for uid, label in zip(uids, labels, strict=True) if truth(uid) == label]
    lines = (tmp_path / "run/verify/good/verdicts/studio.jsonl").read_text().splitlines()
    assert {json.loads(line)["uid"]: json.loads(line)["verdict"] for line in lines} == {uid: truth(uid) for uid in uids}


def test_parts_second_look_and_names(tmp_path: Path) -> None:
    live = queue(tmp_path, answer="yes_no", question="Is it {class}?", overlap=2)
    live.store.close()
    run = tmp_path / "run"
    (tmp_path / "rows").mkdir()
    pq.write_table(pa.table({"uid": ["a", "b"], "label": ["x", "x"]}), tmp_path / "rows/rows.parquet")
    data = {"recipe": 1, "name": "r", "pools": {"p": {"read": "table", "path": "rows"}}, "tables": {"q": {"from": "p"}}}
    api.run(Recipe.from_data(data, tmp_path), run)
    (tmp_path / "verify").rename(run / "verify")
    with serving(run) as (port, _):
        owner, ben = Browser(port, "Anna"), Browser(port, "Ben")
        assert b'value="q-2"' in owner.get("/verify")[2], "the name q is taken"
        owner.post("/verify/q/parts", form={"people": "Ben", "group": "dog"})
        owner.post("/verify/q/parts", form={"people": "Anna, Chris", "group": "cat"})
        assert {card["group"] for card in ben.take("q", 60)} == {"dog"}
        assert owner.take("q", 60, "dog") == []
        owner.say("q", {"u000": "positive", "u003": "positive"})
        ben.say("q", {"u000": "negative", "u003": "positive"})
        overview = owner.get("/verify/q")[2].decode()
        assert "2 of 20 rows" in overview
        assert "people differ on" in overview
        page = owner.get("/verify/q/review")[2].decode()
        assert (page.count('class="card differing"'), 'data-uid="u000"' in page) == (1, True)
        owner.say("q", {"u000": "negative"}, f"review {new_key()}")
        assert 'data-uid="u000"' not in owner.get("/verify/q/review")[2].decode()
    with serving(run) as (port, _):
        assert Browser(port, "Anna").take("q", 60, "dog") == [], "parts survive the studio"
    assert deal({"a": 5, "b": 3, "c": 2}, ["Anna", "Ben"]) == {"a": ("Anna",), "b": ("Ben",), "c": ("Ben",)}


def test_a_reviewer_looks_again_and_decides(tmp_path: Path) -> None:
    live = queue(tmp_path, answer="yes_no", overlap=2, unanimous=True, reviewers=["Maria"])
    for who, verdict in (("Anna", "positive"), ("Ben", "negative")):
        live.say(who, [SentVerdict("u000", verdict, new_key()), SentVerdict("u003", "positive", new_key())])
    live.say("Chris", [SentVerdict("u000", "negative", new_key())], f"review {new_key()}")
    (group,) = live.progress("cat")
    assert (group.verified, len(live.take("Zoe", 60, "cat"))) == (1, 18), "only a reviewer decides about u000"
    live.say("Maria", [SentVerdict("u000", "positive", new_key())], f"review {new_key()}")
    now = live.snapshot()
    assert (live.progress("cat")[0].right, now.reviewed, differing(now)) == (2, 1, [])
    assert certificate(now)["reviewed"] == 1


def test_answers_that_were_too_quick(tmp_path: Path) -> None:
    live = queue(tmp_path)
    for who, seconds in (("Anna", 0.9), ("Ben", 0.1)):
        live.say(who, [chosen(uid, truth(uid), seconds=seconds) for uid in live.queue.uids])
    careless = {one.name: one.careless for one in people_of(live.snapshot(), {})}
    assert careless == {"Anna": "", "Ben": "0.1 s a picture, over 60 pictures"}
