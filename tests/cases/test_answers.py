"""Answers of people in files that call things otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from poolwright.annotation.exchange.read_answers import verdict_file
from poolwright.annotation.verdicts import Verdict, check_known, merge
from poolwright.core.errors import InputError, RecipeError
from poolwright.recipe.clear_config import recipe_of_config


def annotation(name: str, word: str, **more: Any) -> dict[str, Any]:
    return {"result": [{"from_name": name, "type": "choices", "value": {"choices": [word]}}], **more}


def task(uid: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": 9, "data": {"uid": uid}, "annotations": list(annotations)}


BATCH = '"WorkerId","AssignmentStatus","Input.uid","Answer.kind.label","Reject"\n'
FILES = {
    "full.json": json.dumps([task("a", annotation("kind", "yes", completed_by=1)), task("b")]),
    "short.json": json.dumps([{"id": 1, "uid": "a", "kind": "yes", "annotator": 1}, {"id": 2, "uid": "b"}]),
    "lines.jsonl": '{"id": 1, "uid": "a", "kind": ["yes"]}\n{"id": 2, "uid": "b", "kind": []}\n',
    "batch.csv": BATCH + '"W1","Approved","a","yes",""\n"W2","Submitted","b","yes","too fast"\n',
    "sheet.csv": "uid,kind\na,yes\nb,\n",
}


@pytest.mark.parametrize("name", FILES)
def test_the_field_of_the_verdicts_is_named_or_the_file_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(FILES[name])
    with pytest.raises(InputError, match=r"(no column|a field).*'verdict'.*kind.*field: NAME"):
        verdict_file(path)
    read = verdict_file(path, field="kind")
    assert [(one.uid, one.verdict) for one in read.answers] == [("a", "positive")]
    rejected = "; 1 rejected" if name == "batch.csv" else ""
    assert read.found == f"{name}: 2 rows, 1 answer by 1 person{rejected}"


ODD = {
    "full.json": (
        json.dumps([task(uid, annotation("verdict", word)) for uid, word in (["a", "no"], ["b", "nah"])]),
        "task 2",
    ),
    "short.json": (
        json.dumps([{"uid": "a", "verdict": "no"}, {"uid": "b", "verdict": "nah"}]),
        "task 2",
    ),
    "lines.jsonl": ('{"uid": "a", "verdict": "no"}\n\n{"uid": "b", "verdict": ["nah"]}\n', "line 3"),
    "batch.csv": (BATCH.replace("kind", "verdict") + '"W1","","a","no",""\n"W2","","b","nah",""\n', "line 3"),
    "sheet.tsv": ('uid\tverdict\tcomment\na\tno\t"two\nlines"\nb\tnah\t\n', "line 4"),
}


@pytest.mark.parametrize("name", ODD)
def test_words_and_rows_that_are_not_known_are_errors_with_their_line(tmp_path: Path, name: str) -> None:
    path, (text, line) = tmp_path / name, ODD[name]
    path.write_text(text)
    with pytest.raises(InputError, match=f"{name}: {line}: verdict 'nah' is not known"):
        verdict_file(path)
    read = verdict_file(path, {"nah": "negative"}).answers
    with pytest.raises(InputError, match=rf"1 verdict is about .* the sheet: 'b' \(.*{name}: {line}\)"):
        check_known(read, ["a"])


def test_a_verdict_that_is_no_choice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"uid": "a", "verdict": "no"}\n{"uid": "b", "verdict": {"rating": 4}}\n')
    with pytest.raises(InputError, match=r"x\.jsonl: line 2: a verdict that is no choice: \{'rating': 4\}"):
        verdict_file(tmp_path / "x.jsonl")


def test_a_file_of_the_usual_name_needs_no_field(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("uid,verdict\na,no\n")
    assert verdict_file(tmp_path / "sheet.csv", field="kind").answers == [Verdict("a", "negative", "sheet")]


@pytest.mark.parametrize("short", [False, True])
def test_annotations_without_a_name_are_of_different_people(tmp_path: Path, short: bool) -> None:
    words = ("no", "no", "yes")
    one = [task("a", *(annotation("verdict", word) for word in words))]
    rows = [{"uid": "a", "verdict": word, "annotation_id": number} for number, word in enumerate(words)]
    (tmp_path / "x.json").write_text(json.dumps(rows if short else one))
    read = verdict_file(tmp_path / "x.json")
    assert [verdict.annotator for verdict in read.answers] == ["x", "x 2", "x 3"]
    assert merge(read.answers) == {"a": "negative"}


@pytest.mark.parametrize("header", ["uid,verdict,Verdict", "uid,uid,verdict", "uid,kind,kind"])
def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path, header: str) -> None:
    (tmp_path / "x.csv").write_text(f"{header}\na,no,yes\n")
    with pytest.raises(InputError, match="more than once; rename or remove one"):
        verdict_file(tmp_path / "x.csv", field="kind" if "kind" in header else "verdict")


def test_keys_of_a_label_map_that_are_no_prompts_are_named(tmp_path: Path) -> None:
    config = {"NAME": "c", "CLIP_MODEL": "RN50", "GROUP": ["cup of tea", "ferry"]}
    config |= {f"NUM_OF_IMAGES_PER_CLASS_PER_BUCKET{end}": 9 for end in ("", "_TO_QUERY")}
    (tmp_path / "c.json").write_text(json.dumps(config))
    (tmp_path / "map.json").write_text(json.dumps({"tea": "cup"}))
    with pytest.raises(RecipeError, match=r"1 of 1 keys .* no prompts: 'tea'; .* short name: 'cup of tea', 'ferry'"):
        recipe_of_config(tmp_path / "c.json", tmp_path / "map.json")


def test_a_quote_that_is_never_closed_hides_no_answers(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text('uid,verdict,why\na,yes,"too dark\nb,no,\nc,no,\n')
    with pytest.raises(InputError, match=r"sheet\.csv: line 2: a quote mark opens a value that is never closed"):
        verdict_file(tmp_path / "sheet.csv")


def test_a_control_that_is_no_choice_is_an_error(tmp_path: Path) -> None:
    stars = {"result": [{"from_name": "verdict", "type": "rating", "value": {"rating": 4}}]}
    (tmp_path / "x.json").write_text(json.dumps([task("a", stars)]))
    with pytest.raises(InputError, match=r"x\.json: task 1: a verdict that is no choice but rating: \{'rating': 4\}"):
        verdict_file(tmp_path / "x.json")


def test_half_of_a_surrogate_pair_in_an_answer_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"uid": "a\\ud83e", "verdict": "no"}\n')
    assert [one.uid for one in verdict_file(tmp_path / "x.jsonl").answers] == ["a\ufffd"]
