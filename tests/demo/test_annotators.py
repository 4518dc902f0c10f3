"""Simulated annotators: they err as often as they should, always in the same way, and share the rows as asked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.annotation.asking import CLASSES, recipe, write_pool
from tests.annotation.test_verify import desk, run, waits

from poolwright.annotation.exchange.read_answers import answer_file
from poolwright.annotation.exchange.worklist import read_asked
from poolwright.core.table import Table
from poolwright.demo.annotators import Annotator, answer_worklist

TRUTH = {f"u{row:05d}": CLASSES[row % 3] for row in range(6_000)}
ASKED = [(uid, name if row % 2 else "cat") for row, (uid, name) in enumerate(TRUTH.items())]
RIGHT = ["yes" if TRUTH[uid] == name else "no" for uid, name in ASKED]


def test_rates_are_as_given() -> None:
    said = Annotator("ada", error=0.1, unsure=0.05).answers(ASKED, TRUTH)
    wrong = sum({word, right} == {"yes", "no"} for word, right in zip(said, RIGHT, strict=True))
    assert wrong / len(ASKED) == pytest.approx(0.1, abs=0.015)
    assert said.count("unsure") / len(ASKED) == pytest.approx(0.05, abs=0.01)
    assert Annotator("ada").answers(ASKED, TRUTH) == RIGHT
    coin = Annotator("bo", careless=True).answers(ASKED, TRUTH)
    for word in ("yes", "no"):
        of_word = [said for said, right in zip(coin, RIGHT, strict=True) if right == word]
        assert of_word.count("yes") / len(of_word) == pytest.approx(0.5, abs=0.03)


def test_names_of_classes_are_given_at_the_same_rates() -> None:
    said = Annotator("ada", error=0.1).name_classes(ASKED, TRUTH)
    wrong = sum(word != TRUTH[uid] for word, (uid, _) in zip(said, ASKED, strict=True))
    assert 0.04 < wrong / len(ASKED) <= 0.11  # a class drawn at random may be the right one
    assert Annotator("ada").name_classes(ASKED, TRUTH) == list(TRUTH.values())


def test_what_somebody_says_depends_on_the_row_alone() -> None:
    person = Annotator("ada", error=0.3)
    backwards = person.answers(ASKED[::-1], TRUTH)
    assert backwards[::-1] == person.answers(ASKED, TRUTH)
    assert person.answers(ASKED, TRUTH) != Annotator("bo", error=0.3).answers(ASKED, TRUTH)


def test_every_row_has_as_many_people_as_are_asked_for(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    waits(recipe(tmp_path, annotators=2), tmp_path)
    people = [Annotator(name) for name in ("ada", "bo", "cy")]
    files = answer_worklist(desk(tmp_path), people, truth)
    counts = Counter(answer.uid for path in files for answer in answer_file(path).answers)
    assert counts == dict.fromkeys((uid for uid, _ in read_asked(desk(tmp_path)).pairs), 2)
    before = [path.read_bytes() for path in files]
    answer_worklist(desk(tmp_path), people, truth)
    assert [path.read_bytes() for path in files] == before


def test_dawid_skene_releases_what_is_right_although_one_of_five_is_careless(tmp_path: Path) -> None:
    truth = write_pool(tmp_path, 900)
    made = recipe(
        tmp_path, bucket="bucket", by="similarity", annotators=3, rule="dawid_skene", probability="95%", keep=80
    )
    waits(made, tmp_path)
    people = [
        Annotator("ada", 0.03, 0.02),
        Annotator("bo", 0.05),
        Annotator("cy", careless=True),
        Annotator("di", 0.04),
    ]
    answer_worklist(desk(tmp_path), [*people, Annotator("ed", 0.02)], truth)
    table = run(made, tmp_path)
    assert right(table, truth) >= 0.99
    assert table.record.rows_kept > 400
    labels = table.read(["label", "bucket"]).to_pylist()
    assert max(Counter((row["label"], row["bucket"]) for row in labels).values()) == 80


def right(table: Table, truth: dict[str, str]) -> float:
    """Share of the kept rows whose label is true."""
    rows = table.read(["uid", "label"]).to_pylist()
    return sum(truth[row["uid"]] == row["label"] for row in rows) / len(rows)
