"""Answers that name all classes of a row: every form of sheets, every rule, and the column that they become."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.annotation.asking import recipe, write_pool
from tests.annotation.people import annotation
from tests.annotation.test_verify import desk, give, run, waits

from poolwright import api
from poolwright.annotation.answers import meanings_of
from poolwright.annotation.deciding.class_by_class import classes_of_rows, decide_classes
from poolwright.annotation.deciding.judging import Terms
from poolwright.annotation.deciding.rules import Rule, Votes
from poolwright.annotation.verdicts import Verdict
from poolwright.api import Recipe
from poolwright.core.errors import InputError, RecipeError

NAMES = {"cat", "dog", "sea otter"}


@pytest.mark.parametrize(
    ("word", "chosen", "meaning"),
    [
        ("cat", ("cat",), "positive"),
        (" Dog | CAT ", ("cat", "dog"), "positive"),
        ("dog|sea otter", ("dog", "sea otter"), "negative"),
        ('["dog", "cat", "dog"]', ("cat", "dog"), "positive"),
        ('{"choices": ["sea otter", "dog"]}', ("dog", "sea otter"), "negative"),
        ("none of them", (), "negative"),
        ('["unsure"]', (), "unsure"),
        ("skip", (), "skipped"),
        ("right", ("cat",), "positive"),
    ],
)
def test_words(word: str, chosen: tuple[str, ...], meaning: str) -> None:
    meanings = meanings_of("classes", NAMES, {"right": "positive"})
    assert (meanings.chosen(word, "cat"), meanings.meaning(word, "cat")) == (chosen, meaning)


@pytest.mark.parametrize(
    ("answer", "word", "error"),
    [
        ("classes", "cat | whale", "'whale' is not one of the classes"),
        ("classes", "cat | unsure", "names classes, and says that it shows none or that it is not sure"),
        ("class", '["cat", "dog"]', "2 choices for one row: cat, dog"),
        ("yes_no", '["yes", "no"]', "2 choices for one row: yes, no"),
    ],
)
def test_words_that_do_not_fit(answer: str, word: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        meanings_of(answer, NAMES, {}).meaning(word, "cat")


def votes_of(said: dict[str, dict[str, tuple[str, ...] | None]], about: str = "cat", *reviewers: str) -> Votes:
    """None is unsure."""
    verdicts = [
        Verdict(
            uid, "unsure" if names is None else "positive" if about in names else "negative", who, chosen=names or ()
        )
        for uid, answers in said.items()
        for who, names in answers.items()
    ]
    return Votes.of(verdicts, list(said), reviewers)


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("agree", [["cat"], [], [], None, []]),
        ("majority", [["cat", "dog"], ["dog"], [], None, []]),
        ("dawid_skene", [["cat", "dog"], ["dog"], [], None, []]),
    ],
)
def test_each_class_by_itself(rule: Rule, found: list[Any]) -> None:
    said: dict[str, dict[str, tuple[str, ...] | None]] = {
        "a": {"x": ("cat", "dog"), "y": ("cat", "dog"), "z": ("cat",)},
        "b": {"x": ("dog",), "y": ("dog",), "z": ("cat",)},
        "c": {"x": (), "y": (), "z": ()},
        "d": {"x": ("cat",)},
        "e": {"x": None, "y": None, "z": None},
    }
    for n in range(20):
        said[f"f{n}"] = dict.fromkeys("xyz", ("cat", "dog") if n % 2 else ())
    votes, terms = votes_of(said), Terms(rule=rule, annotators=3)
    decided = decide_classes(votes, terms)
    assert classes_of_rows(votes, terms, decided)[:5] == found
    assert [one.name for one in decided] == ["cat", "dog"]
    assert decided[0].agreement.items == 23
    if rule == "agree":
        assert [one.unclear for one in decided] == [1, 2]
    reviewed = {**said, "b": {**said["b"], "Maria": ("cat",)}}
    votes = votes_of(reviewed, "cat", "Maria")
    assert classes_of_rows(votes, terms, decide_classes(votes, terms))[1] == ["cat"]


def answered(folder: Path, format: str, **more: Any) -> Any:
    """Ask, let Ada fill in what was written in this format, and run again."""
    truth = write_pool(folder)
    made = recipe(folder, answer="classes", format=format, **more)
    message = waits(made, folder)
    assert "answers: boat, cat, dog, none of them, unsure\n  several classes: boat | cat\n" in message
    seen = {uid: [name] if number % 3 else sorted({name, "dog"}) for number, (uid, name) in enumerate(truth.items())}
    sheets = desk(folder) / "sheets"
    if format == "csv":
        give(folder, "ada", {uid: " | ".join(names) for uid, names in seen.items()})
    elif format == "jsonl":
        rows = [json.loads(line) for line in (sheets / "sheet-1.jsonl").read_text("utf-8").splitlines()]
        lines = [json.dumps({**row, "verdict": seen[row["uid"]]}) for row in rows]
        (desk(folder) / "verdicts/ada.jsonl").write_text("\n".join(lines))
    elif format == "label_studio":
        assert 'choice="multiple"' in (sheets / "sheet-1.config.xml").read_text("utf-8")
        tasks = json.loads((sheets / "sheet-1.json").read_text("utf-8"))
        done = [{**task, "id": number, "annotations": [annotation("", number)]} for number, task in enumerate(tasks, 1)]
        for task in done:
            task["annotations"][0]["result"][0]["value"]["choices"] = seen[task["data"]["uid"]]
        (desk(folder) / "verdicts/ada.json").write_text(json.dumps(done))
    else:
        page = (sheets / "sheet-1.html").read_text("utf-8")
        assert "<crowd-image-classifier-multi-select" in page
        assert "<crowd-form>" in page, "its answers are JSON: lists stay lists"
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["WorkerId", "AssignmentStatus", "Input.uid", "Input.class", "Answer.taskAnswers"])
        for row in csv.DictReader(io.StringIO((sheets / "sheet-1.mturk.csv").read_text("utf-8"))):
            answer = json.dumps([{"verdict": {"labels": seen[row["uid"]]}}])
            writer.writerow(["A1", "Approved", row["uid"], row["class"], answer])
        (desk(folder) / "verdicts/batch.csv").write_text(out.getvalue())
    return run(made, folder), seen


@pytest.mark.parametrize("format", ["csv", "jsonl", "label_studio", "mturk"])
def test_the_decided_classes_are_a_column(tmp_path: Path, format: str) -> None:
    table, seen = answered(tmp_path, format)
    rows = table.read(["uid", "label", "verified_classes"]).to_pylist()
    assert {row["uid"]: row["verified_classes"] for row in rows} == {row["uid"]: seen[row["uid"]] for row in rows}
    assert all(row["label"] in row["verified_classes"] for row in rows)
    assert table.record.rows_kept < 72, "the class of some rows is not among those seen"
    values = table.state(0).values
    counts = {one["class"]: one["rows"] for one in values["classes"]}
    assert counts == {name: sum(name in names for names in seen.values()) for name in ("boat", "cat", "dog")}
    (found,) = table.folder.rglob("certificate.json")
    assert json.loads(found.read_text())["classes"] == values["classes"]
    if format == "csv":
        data = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
        release = {"table": "good", "layout": "parquet", "images": "none", "figures": False, "to": "out"}
        api.run(Recipe.from_data({**data, "releases": [release]}, tmp_path), tmp_path / "run")
        assert f"| boat | {counts['boat']} | 0 | 0 |  |  |" in (tmp_path / "out/README.md").read_text()
        assert api.verify(tmp_path / "out").ok


def test_what_cannot_be_written_in_one_answer(tmp_path: Path) -> None:
    write_pool(tmp_path, labels={"r001": "cat|dog"})
    with pytest.raises(InputError, match=r"class 'cat\|dog' has a '\|', which separates classes in answers"):
        run(recipe(tmp_path, answer="classes"), tmp_path)
    with pytest.raises(RecipeError, match="answer: classes needs the column of the class"):
        recipe(tmp_path, **{"class": None, "answer": "classes"})
