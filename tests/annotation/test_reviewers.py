"""A reviewer's verdict decides about a row on which people differ, and a row that no rule decides waits for one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.annotation.asking import recipe, write_pool
from tests.annotation.test_verify import desk, give, honest, run, waits

from poolwright.annotation.deciding.rules import REJECTED, UNCLEAR, VERIFIED, Rule, Votes, decide
from poolwright.annotation.exchange.candidate_file import read_candidates
from poolwright.annotation.queue.queue import read_queue
from poolwright.annotation.queue.store import Said
from poolwright.annotation.queue.tally import Tally
from poolwright.annotation.verdicts import Verdict
from poolwright.core.errors import RecipeError


@pytest.mark.parametrize("rule", ["agree", "majority", "dawid_skene"])
def test_a_reviewer_decides_where_people_differ(rule: Rule) -> None:
    said = {
        "a": {"x": "positive", "y": "positive", "z": "negative", "Maria": "negative"},
        "b": {"x": "negative", "y": "negative", "z": "negative", "Maria": "positive"},
        "c": {"x": "positive", "y": "negative", "Maria": "unsure"},
        "d": {"x": "positive", "y": "negative", "Maria": "positive", "Otto": "negative"},
        "e": {"x": "positive", "y": "positive", "z": "positive"},
    }
    verdicts = [Verdict(uid, word, who) for uid, votes in said.items() for who, word in votes.items()]
    votes = Votes.of(verdicts, list(said), ["Maria", "Otto", "nobody"])
    code, probability = decide(votes, rule, 0.5)
    assert code.tolist() == [REJECTED, VERIFIED, UNCLEAR, UNCLEAR, VERIFIED]
    assert np.isnan(probability[:4]).all()
    assert votes.counts()[0].tolist() == [2, 2, 0], "all verdicts are still counted"
    assert len(votes.ratings().item) - len(votes.ratings(independent=True).item) == 4


def test_the_run_waits_for_a_reviewer_and_says_what_they_decided(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path, annotators=2, rule="majority", reviewers=["Maria"])
    waits(made, tmp_path)
    said = honest(tmp_path, truth)
    yes = [uid for uid, word in said.items() if word == "yes"]
    give(tmp_path, "ada", said)
    give(tmp_path, "bo", said | dict.fromkeys(yes[:4], "no"))
    message = waits(made, tmp_path)
    assert "good: waiting for 4 verdicts on 4 rows" in message
    assert "  people differ on 4 rows, and a reviewer decides: Maria\n" in message
    queue = read_queue(desk(tmp_path))
    given = [Said("good", uid, who, verdict, f"{who} {uid}") for who in ("Ada", "Bo") for uid, verdict in
             ((yes[0], "positive" if who == "Ada" else "negative"), (yes[9], "positive"))]  # fmt: skip
    tally = Tally(queue, {}, given)
    row, other = queue.row_of[yes[0]], queue.row_of[yes[9]]
    assert (tally.outcome(row), tally.outcome(other)) == (None, "positive")
    tally.put(Said("good", yes[0], "Maria", "negative", "m"))
    assert (tally.outcome(row), tally.snapshot().reviewed) == ("negative", 1)
    assert {one.annotator for one in tally.snapshot().independent} == {"Ada", "Bo"}

    give(tmp_path, "maria", {yes[0]: "yes", yes[1]: "yes", yes[2]: "no", yes[3]: "unsure"}, annotator="Maria")
    table = run(made, tmp_path)
    step = table.record.steps[0]
    assert set(yes) - set(table.read(["uid"])["uid"].to_pylist()) == {yes[2], yes[3]}
    assert table.record.funnel[-1].dropped == {"rejected": 72 - len(yes), "unsure": 1, "rejected_on_review": 1}
    values = table.state(0).values
    assert (values["reviewed"], values["reviewed_kept"], values["agreement"]["rows"]) == (4, 2, 72)
    assert "a reviewer decided about 4 rows, 2 of them kept" in step.learned
    (found,) = table.folder.rglob("certificate.json")
    assert json.loads(found.read_text())["reviewed"] == 4
    assert "Maria" not in found.read_text() + str(values)
    known = read_candidates(desk(tmp_path))
    assert known is not None
    assert known.terms.reviewers == ("Maria",)


def test_a_majority_waits_for_nobody_but_may_be_overruled(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = recipe(tmp_path, annotators=3, rule="majority", reviewers=["Maria"])
    waits(made, tmp_path)
    said = honest(tmp_path, truth)
    for name in ("ada", "bo"):
        give(tmp_path, name, said)
    give(tmp_path, "cy", dict.fromkeys(said, "no"))
    yes = [uid for uid, word in said.items() if word == "yes"]
    give(tmp_path, "maria", {yes[0]: "no"}, annotator="Maria")
    assert set(run(made, tmp_path).read(["uid"])["uid"].to_pylist()) == set(yes[1:])


def test_an_empty_name_is_no_reviewer(tmp_path: Path) -> None:
    write_pool(tmp_path)
    with pytest.raises(RecipeError, match="reviewers has an empty name"):
        recipe(tmp_path, reviewers=[""])
