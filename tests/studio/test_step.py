"""The step `verify` and the studio: the run waits, people answer, the run goes on, the release certifies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import RecipeError, WaitingForPeople
from poolwright.core.table import Table
from poolwright.kernels.statistics.acceptance_sampling import plan
from poolwright.studio.verifying.live import SentVerdict
from poolwright.studio.verifying.open_queues import OpenQueues
from tests.studio.made import Browser, new_key, picture, serving

WRONG = {"cat": set(range(0, 300, 12)), "dog": {7}}  # 25 of 300, and 1 of 300


def pool(folder: Path) -> None:
    names = [f"{name}{row:03d}" for name in WRONG for row in range(300)]
    halves = [int(name[3:]) % 2 for name in names]
    images = [picture(3, (8, 8))] * len(names)
    table = pa.table({"uid": names, "label": [name[:3] for name in names], "half": halves, "image": images})
    pq.write_table(table, folder / "rows.parquet")


def right(uid: str) -> bool:
    return int(uid[3:]) not in WRONG[uid[:3]]


def recipe(folder: Path, **parameters: Any) -> Recipe:
    data = {
        "recipe": 1,
        "name": "asking",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"good": {"from": "rows", "steps": [{"verify": {"class": "label", **parameters}}]}},
        "releases": [{"table": "good", "layout": "huggingface", "to": "release"}],
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return Recipe.load(folder / "recipe.yaml")


def answer(run: Path, who: str = "Anna", most: int = 10_000) -> int:
    """Somebody who knows the truth answers in the studio until nothing is asked any more, or so many rows."""
    queues = OpenQueues(run)
    live = queues.queue("good")
    given = 0
    while given < most and (cards := live.take(who, min(20, most - given))):
        live.say(
            who, [SentVerdict(card.uid, "positive" if right(card.uid) else "negative", new_key()) for card in cards]
        )
        given += len(cards)
    queues.store.close()  # as if it was killed: nothing is written but the history
    return given


def test_the_run_goes_on_with_what_was_said_in_the_studio(tmp_path: Path) -> None:
    pool(tmp_path)
    made = recipe(tmp_path)
    run = tmp_path / "run"
    with pytest.raises(WaitingForPeople, match="waiting for 600 verdicts on 600 rows"):
        api.run(made, run)
    answer(run, most=100)
    with pytest.raises(WaitingForPeople, match="waiting for 500 verdicts on 500 rows"):
        api.run(made, run)
    assert answer(run) == 500
    table = api.run(made, run).tables["good"]
    assert set(table.read(["uid"])["uid"].to_pylist()) == {
        f"{n}{r:03d}" for n in WRONG for r in range(300) if r not in WRONG[n]
    }


def test_clean_classes_stop_early_and_the_release_certifies_it(tmp_path: Path) -> None:
    pool(tmp_path)
    made = recipe(tmp_path, precision="98%")
    run = tmp_path / "run"
    with pytest.raises(WaitingForPeople):
        api.run(made, run)
    given = answer(run)
    stops = plan(300, 0.98).stops
    assert 300 + stops[0] <= given <= 300 + stops[1] + 20, "cats in full, dogs to a stop, and what was taken with it"
    result = api.run(made, run)
    kept = set(result.tables["good"].read(["uid"])["uid"].to_pylist())
    assert {uid for uid in kept if uid[:3] == "cat"} == {
        f"cat{row:03d}" for row in range(300) if row not in WRONG["cat"]
    }
    assert 299 <= sum(uid[:3] == "dog" for uid in kept) <= 300
    document = json.loads((tmp_path / "release/certificate/certificate.json").read_text())
    groups = {group["group"]: group for group in document["groups"]}
    assert groups["cat"]["conclusion"] == "complete"
    assert (groups["cat"]["right"], groups["cat"]["wrong"]) == (275, 25)
    assert groups["dog"]["conclusion"] == "met"
    assert groups["dog"]["concluded_after"] in stops
    assert 0.98 <= groups["dog"]["bound"] <= 299 / 300
    assert document["target"] == 0.98
    assert "Anna" not in json.dumps(document)
    card = (tmp_path / "release/README.md").read_text()
    assert "certificate/" in card
    assert "| cat | 300 | 300 | 275 | 25 | 0 | 91.7% | all looked at |" in card
    dog = groups["dog"]
    assert f"| dog | 300 | {dog['verified']} | {dog['right']} | {dog['wrong']} | 0 | " in card
    assert "Lower limits hold with 95% confidence" in card
    assert api.verify(tmp_path / "release").ok
    learned = Table(run / "tables/good").record.steps[0].learned
    assert "1 of 2 groups were shown to be good" in learned
    unseen = next(uid for uid in sorted(kept) if "kept, as its group" in api.why(run, uid)[0].chapters[0].explanation)
    assert unseen[:3] == "dog"


def test_a_skipped_row_keeps_nobody_waiting_and_is_no_error(tmp_path: Path) -> None:
    """400 rows, a precision of 90 %, one of them skipped: studio, run and certificate say the same."""
    uids, image = [f"u{row:03d}" for row in range(400)], picture(3, (8, 8))
    rows = pa.table({"uid": uids, "label": ["cat"] * 400, "image": [image] * 400})
    pq.write_table(rows, tmp_path / "rows.parquet")
    made, run = recipe(tmp_path, precision="90%"), tmp_path / "run"
    with pytest.raises(WaitingForPeople):
        api.run(made, run)
    queues = OpenQueues(run)
    live = queues.queue("good")
    skipped = live.take("Anna", 1)[0].uid
    live.skip("Anna", skipped, "a key that is sent twice")
    live.skip("Anna", skipped, "a key that is sent twice")
    queues.store.close()  # killed: the skip is on the disk
    queues = OpenQueues(run)
    live = queues.queue("good")
    while cards := live.take("Anna", 1):
        live.say("Anna", [SentVerdict(cards[0].uid, "positive", new_key())])
    (group,) = live.progress()
    stops = plan(400, 0.9).stops
    assert (group.judgement.conclusion, group.judgement.verified, group.skipped) == ("met", stops[1], 1)
    queues.stop()
    table = api.run(made, run).tables["good"]
    assert table.record.rows_kept == 400
    released = json.loads((tmp_path / "release/certificate/certificate.json").read_text())
    studio = json.loads((run / "verify/good/certificate.json").read_text())
    assert released["groups"] == studio["groups"]
    (found,) = released["groups"]
    assert (found["verified"], found["errors"], found["wrong"], found["unsure"]) == (stops[1] - 1, 0, 0, 0)
    assert (found["skipped"], found["passed_over"]) == (1, 1)
    assert (released["verdicts"], released["skips"]) == (stops[1] - 1, 1)
    assert "skipped" in api.why(run, skipped)[0].chapters[0].explanation


def test_pages_of_a_run_that_waits(tmp_path: Path) -> None:
    """Its table is not there yet; the pictures come from what the step reads."""
    pool(tmp_path)
    run = tmp_path / "run"
    with pytest.raises(WaitingForPeople):
        api.run(recipe(tmp_path), run)
    with serving(run) as (port, _):
        anna = Browser(port, "Anna")
        assert b"waits for people: 0 of 600 rows are verified" in anna.get("/")[2]
        (card,) = anna.take("good", 1)
        assert card["question"] == "Does it show: cat?"
        status, headers, _ = anna.get(f"/picture?table=good&uid={card['uid']}&edge=320")
        assert (status, headers["content-type"]) == (200, "image/jpeg")
        assert b"label" in anna.get(f"/verify/good/row?uid={card['uid']}")[2]
        anna.say("good", {card["uid"]: "positive"})
    text = (run / "verify/good/verdicts/studio.jsonl").read_text()
    assert json.loads(text)["uid"] == card["uid"], "written when the studio ends, and a moment after each verdict"


def test_answers_in_files_are_counted_in_the_studio_too(tmp_path: Path) -> None:
    pool(tmp_path)
    run = tmp_path / "run"
    with pytest.raises(WaitingForPeople):
        api.run(recipe(tmp_path), run)
    queues = OpenQueues(run)
    uids = queues.queue("good").queue.uids
    assert queues.queue("good").progress("cat")[0].verified == 0
    lines = [f"{uid},{'yes' if right(uid) else 'no'},Ben" for uid in uids[:300]]
    (run / "verify/good/verdicts/ben.csv").write_text("\n".join(["uid,verdict,annotator", *lines]))
    found = queues.queue("good").progress("cat")[0]
    assert (found.verified, found.wrong, found.done) == (300, 25, True)
    queues.stop()
    assert answer(run) == 300, "nobody is asked again"
    assert not (run / "verify/good/verdicts/studio.jsonl").exists(), "nothing was said in the studio"
    table = api.run(recipe(tmp_path), run).tables["good"]
    assert table.record.rows_kept == 574


def test_who_is_set_aside_is_asked_again_also_about_what_they_wrote_in_files(tmp_path: Path) -> None:
    pool(tmp_path)
    run, made = tmp_path / "run", recipe(tmp_path)
    with pytest.raises(WaitingForPeople):
        api.run(made, run)
    queues = OpenQueues(run)
    uids = queues.queue("good").queue.uids
    file = run / "verify/good/verdicts/ben.csv"
    file.write_text("\n".join(["uid,verdict,annotator", *(f"{uid},yes,Ben" for uid in uids[:50])]))
    live = queues.queue("good")
    assert live.progress("cat")[0].verified == 50
    live.ask_again("Ben", "owner")
    assert live.progress("cat")[0].verified == 0
    queues.stop()
    with pytest.raises(WaitingForPeople, match="waiting for 600 verdicts"):
        api.run(made, run)
    queues = OpenQueues(run)
    queues.queue("good").let_count("Ben", "owner")
    queues.stop()
    with pytest.raises(WaitingForPeople, match="waiting for 550 verdicts"):
        api.run(made, run)


def test_a_verdict_is_about_the_class_that_was_asked_about(tmp_path: Path) -> None:
    """Rows that have another class now are asked about again, also if the studio had a verdict on them."""
    pool(tmp_path)
    run = tmp_path / "run"
    with pytest.raises(WaitingForPeople):
        api.run(recipe(tmp_path), run)
    assert answer(run) == 600
    rows = pq.read_table(tmp_path / "rows.parquet")
    labels = rows["label"].to_pylist()
    labels[rows["uid"].to_pylist().index("cat001")] = "dog"
    pq.write_table(rows.set_column(1, "label", [labels]), tmp_path / "rows.parquet")
    with pytest.raises(WaitingForPeople, match="waiting for 1 verdict on 1 row"):
        api.run(recipe(tmp_path), run, fresh=["good"])
    queues = OpenQueues(run)
    live = queues.queue("good")
    (group,) = live.progress("dog")
    assert (group.rows, group.verified) == (301, 300)
    assert [card.uid for card in live.take("Anna", 5)] == ["cat001"]
    queues.stop()


def test_buckets_are_groups_of_their_own(tmp_path: Path) -> None:
    pool(tmp_path)
    run = tmp_path / "run"
    with pytest.raises(WaitingForPeople):
        api.run(recipe(tmp_path, precision="95%", bucket="half"), run)
    queues = OpenQueues(run)
    assert list(queues.queue("good").queue.groups) == ["cat · 0", "cat · 1", "dog · 0", "dog · 1"]
    queues.store.close()
    answer(run)
    api.run(recipe(tmp_path, precision="95%", bucket="half"), run)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"precision": "99%", "keep": 5}, "leave out keep"),
        ({"precision": "99%", "partial": True}, "leave out partial"),
        ({"precision": 1.0}, "between 50% and 100%"),
        ({"confidence": "90%"}, "confidence is for precision"),
        ({"precision": "99%", "rule": "dawid_skene", "annotators": 3}, "use rule: agree or majority"),
    ],
)
def test_what_precision_does_not_go_with(tmp_path: Path, parameters: dict[str, Any], words: str) -> None:
    pool(tmp_path)
    with pytest.raises(RecipeError, match=words):
        recipe(tmp_path, **parameters)
