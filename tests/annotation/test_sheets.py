"""Sheets go out and come back as they were, whatever is in them and whichever tool had them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.annotation.people import annotation, fill_csv, fill_json_lines, fill_label_studio

from poolwright.annotation.exchange.read_answers import read_verdicts
from poolwright.annotation.exchange.sheets import SheetRow, write_sheet
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.wording import guarded, unguarded

ROWS = [
    SheetRow("a1", "https://example.org/1.jpg", 'A "map", of; Taiwan\nand more', 1.5),
    SheetRow("b2", "photos/2 ü.jpg", "=HYPERLINK(1)", -0.25),
    SheetRow("c3", "", "", None),
]
WORDS = {"a1": "Map", "b2": "other"}
MEANING = {"map": "positive", "other": "negative"}


def said(path: Path) -> list[tuple[str, str]]:
    return [(verdict.uid, verdict.verdict) for verdict in read_verdicts(path, MEANING)]


ANSWERS = [("a1", "positive"), ("b2", "negative")]


@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(",", "utf-8-sig"), (",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-16")]
)
def test_a_csv_sheet_comes_back_from_any_spreadsheet(tmp_path: Path, delimiter: str, encoding: str) -> None:
    sheet = tmp_path / "sheet.csv"
    assert write_sheet(ROWS, sheet) == [sheet]
    fill_csv(sheet, WORDS, delimiter=delimiter, encoding=encoding)
    assert said(sheet) == ANSWERS
    assert {verdict.annotator for verdict in read_verdicts(sheet, MEANING)} == {"sheet"}


def test_a_csv_sheet_hides_the_decision_and_guards_formulas(tmp_path: Path) -> None:
    write_sheet(ROWS, tmp_path / "plain.csv")
    write_sheet(ROWS, tmp_path / "shown.csv", show_decision=True)
    plain, shown = ((tmp_path / name).read_bytes() for name in ("plain.csv", "shown.csv"))
    assert plain.startswith(b"\xef\xbb\xbfuid,image,text,verdict,annotator,comment\r\n")
    assert b"-0.25" in shown
    assert b"-0.25" not in plain
    texts = [row[2] for row in csv.reader(io.StringIO(plain.decode("utf-8-sig"), newline=""))]
    assert texts[2] == "'=HYPERLINK(1)"


def test_json_lines_come_back(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.jsonl"
    write_sheet(ROWS, sheet, "jsonl")
    assert "decision" not in sheet.read_text("utf-8")
    fill_json_lines(sheet, WORDS)
    assert said(sheet) == ANSWERS
    assert read_verdicts(sheet, MEANING)[0].annotator == "ada"


def test_label_studio_tasks_come_back(tmp_path: Path) -> None:
    tasks, export = tmp_path / "tasks.json", tmp_path / "export.json"
    written = write_sheet(ROWS, tasks, "label_studio", choices=["Map", "other", "unsure"], question='Is it a "map"?')
    assert written == [tasks, tmp_path / "tasks.config.xml"]
    config = ElementTree.parse(written[1])
    assert [choice.get("value") for choice in config.iter("Choice")] == ["Map", "other", "unsure"]
    assert config.find("Header").get("value") == 'Is it a "map"?'  # type: ignore[union-attr]
    data = [task["data"] for task in json.loads(tasks.read_text("utf-8"))]
    assert {
        tag.get("value") for tag in config.iter() if tag.get("toName") is None and tag.tag in ("Image", "Text")
    } == {
        "$image",
        "$text",
    }
    assert [one["image"] for one in data[:2]] == [ROWS[0].image, "/data/local-files/?d=photos/2%20%C3%BC.jpg"]
    fill_label_studio(tasks, WORDS, export)
    assert said(export) == ANSWERS
    first = read_verdicts(export, MEANING)[0]
    assert (first.annotator, first.time) == ("1", "2026-03-01T10:05:00.000000Z")


def test_label_studio_has_annotators_skips_and_comments(tmp_path: Path) -> None:
    comment = {"from_name": "comment", "type": "textarea", "value": {"text": ["blurred", "twice"]}}
    skipped = {**annotation("yes", by={"id": 4, "email": "bo@example.org"}), "result": [], "was_cancelled": True}
    noted = annotation("yes", by=2)
    noted["result"].append(comment)
    export = tmp_path / "export.json"
    export.write_text(json.dumps([{"data": {"uid": "a"}, "annotations": [noted, skipped]}, {"data": {"uid": "b"}}]))
    one, other = read_verdicts(export)
    assert (one.annotator, one.verdict, one.comment) == ("2", "positive", "blurred twice")
    assert (other.annotator, other.verdict) == ("bo@example.org", "unsure")
    short = [{"uid": "a", "verdict": "no", "annotator": 7, "updated_at": "2026-03-01"}, {"uid": "b", "annotator": 7}]
    export.write_text(json.dumps(short))
    (found,) = read_verdicts(export)
    assert (found.uid, found.verdict, found.annotator, found.time) == ("a", "negative", "7", "2026-03-01")


def test_a_sheet_with_the_quirks_of_spreadsheets(tmp_path: Path) -> None:
    sheet = tmp_path / "mine.csv"
    lines = ["sep=;", ";;;", " UID ;Verdict;Comment;", 'a;YES;"so\nit is";', ";;;", "b; no ;;", "c;;later;", ""]
    sheet.write_bytes("\r\n".join(lines).encode())
    found = read_verdicts(sheet)
    assert [(verdict.uid, verdict.verdict, verdict.comment) for verdict in found] == [
        ("a", "positive", "so\nit is"),
        ("b", "negative", ""),
    ]


@pytest.mark.parametrize(
    ("name", "text", "errors"),
    [
        ("x.csv", "uid,verdict,comment\na,yes,\nb,perhaps,\n,no,\nc,no,one,two\n",
         ["line 3: verdict 'perhaps' is not known", "line 4: a verdict without uid", "line 5: 4 cells for 3 columns"]),
        ("x.csv", "uid,verdict,comment\na,yes,\"two\nlines\"\nb,perhaps,\n", ["line 4: verdict 'perhaps'"]),
        ("x.csv", "uid,verdikt\na,yes\n", ["no column 'verdict'", "did you mean 'verdikt'"]),
        ("x.csv", "", ["is empty"]),
        ("x.jsonl", '{"uid": "a", "verdict": "yes"}\n\n{"uid": \n[1]\n',
         ["line 3: not valid JSON:", "line 4: not a JSON object"]),
        ("x.json", '{"uid": "a"}', ["a list is expected"]),
        ("x.json", '[\n{"uid": \n', ["line 3: not valid JSON"]),
        ("x.json",
         '[{"data": {"image": "x"}, "annotations": []}, {"uid": "a", "verdict": {"choices": ["yes", "no"]}}, 3]',
         ["task 1: no uid among the data", "task 2: 2 choices for one row: yes, no", "task 3: not a JSON object"]),
        ("x.json", '[{"data": {"uid": "a"}, "annotations": [7]}]', ["task 1: an annotation without result"]),
        ("x.xlsx", "", ["verdicts are read from .csv"]),
    ],
)  # fmt: skip
def test_bad_lines_are_named(tmp_path: Path, name: str, text: str, errors: list[str]) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        read_verdicts(tmp_path / name)
    assert all(error in str(caught.value) for error in [name, *errors])


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_verdicts(tmp_path / "none.csv")
    (tmp_path / "old.csv").write_bytes("uid,verdict\nü,yes\n".encode("cp1252"))
    with pytest.raises(InputError, match="CSV UTF-8"):
        read_verdicts(tmp_path / "old.csv")


def test_sheets_that_could_not_come_back_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="twice"):
        write_sheet([SheetRow("a"), SheetRow("a")], tmp_path / "x.csv")
    with pytest.raises(InputError, match="row 2 of the sheet has no uid"):
        write_sheet([SheetRow("a"), SheetRow(" ")], tmp_path / "x.csv")
    with pytest.raises(RecipeError, match="did you mean 'jsonl'"):
        write_sheet([SheetRow("a")], tmp_path / "x.csv", "json")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT), unique_by=lambda row: row[0]), st.sampled_from(["csv", "jsonl", "json"]))
def test_odd_texts_survive_every_form(given: list[tuple[str, str, str]], form: str) -> None:
    rows = [SheetRow(uid, image, text) for uid, image, text in given if uid.strip()]
    words = {row.uid: "yes" for row in rows}
    with TemporaryDirectory() as folder:
        sheet = Path(folder) / f"sheet.{form}"
        write_sheet(rows, sheet, "label_studio" if form == "json" else form)
        if form == "csv":
            fill_csv(sheet, {guarded(uid): word for uid, word in words.items()})
        elif form == "jsonl":
            fill_json_lines(sheet, words)
        else:
            fill_label_studio(sheet, words, sheet)
        assert [verdict.uid for verdict in read_verdicts(sheet)] == [row.uid for row in rows]


@given(TEXT)
def test_guarding_a_cell_can_be_undone(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert guarded(text)[:1] not in set("=+-@\t\r\n")
