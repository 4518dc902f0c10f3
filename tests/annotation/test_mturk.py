"""Batches of Mechanical Turk: what goes out can be published, and results come back in all their forms."""

from __future__ import annotations

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.annotation.asking import labels_of, recipe, write_instructions, write_pool
from tests.annotation.test_verify import desk, honest, reasons, run, waits

from poolwright import api
from poolwright.annotation.exchange.mturk import MOST_BYTES, hit_csv, hit_page
from poolwright.annotation.exchange.read_answers import answer_file, read_verdicts
from poolwright.core.errors import InputError, RecipeError


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))


def batch(hits: list[dict[str, str]], words: dict[str, str], worker: str, status: str = "Submitted") -> list[Any]:
    """Lines of a results file: one assignment of every HIT that the worker has a word for."""
    same = {"HITTypeId": "3T", "Title": "Pictures", "Reward": "$0.05", "WorkerId": worker, "AssignmentStatus": status}
    return [
        {
            "HITId": f"3{number:08d}",
            "AssignmentId": f"3A{number}{worker}",
            "SubmitTime": "Thu Oct 09 07:30:20 UTC 2025",
            **same,
            **{f"Input.{name}": value for name, value in hit.items()},
            "Answer.verdict.label": words[hit["uid"]],
            "Approve": "",
        }
        for number, hit in enumerate(hits)
        if hit["uid"] in words
    ]


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(lines[0]), quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(lines)


class Tags(HTMLParser):
    """Attributes of the tags of a page, by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, list[dict[str, str | None]]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.setdefault(tag, []).append(dict(attrs))


def test_a_batch_goes_out_and_its_results_come_in(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    write_instructions(tmp_path)
    made = recipe(
        tmp_path,
        format="mturk",
        annotators=2,
        rule="majority",
        instructions="instructions.md",
        hosted="https://x.org/i/",
    )
    assert "sheet-1.mturk.csv (72 rows)" in waits(made, tmp_path)
    sheets = desk(tmp_path) / "sheets"
    assert {path.name for path in sheets.iterdir()} == {"sheet-1.mturk.csv", "sheet-1.html"}
    hits = read(sheets / "sheet-1.mturk.csv")
    assert list(hits[0]) == ["uid", "image_url", "class", "question", "text"]
    assert all(ord(letter) < 0x10000 for hit in hits for value in hit.values() for letter in value)
    page = (sheets / "sheet-1.html").read_text("utf-8")
    tags = Tags(page).found
    (element,) = tags["crowd-image-classifier"]
    assert (element["name"], element["src"], element["header"]) == ("verdict", "${image_url}", "${question}")
    assert json.loads(element["categories"] or "") == ["yes", "no", "unsure"]
    assert {image["src"] for image in tags["img"]} >= {"https://x.org/i/pictures/cat%20positive.png"}
    assert len(tags["img"]) == 6
    assert page.count("${") == 3  # image_url, question, text: none in the instructions
    said = honest(tmp_path, truth)
    wrong = {uid: "no" if word == "yes" else "yes" for uid, word in said.items()}
    lines = batch(hits, said, "A1") + batch(hits, said, "B2") + batch(hits, wrong, "C3", status="Rejected")
    write(desk(tmp_path) / "verdicts" / "Batch_1_batch_results.csv", lines)
    table = run(made, tmp_path)
    assert table.state(0).values["annotators"] == 2
    assert table.record.rows_kept == sum(word == "yes" for word in said.values())
    assert reasons(table).keys() == {"rejected"}


def test_pictures_need_a_url(tmp_path: Path) -> None:
    write_pool(tmp_path)
    write_instructions(tmp_path)
    with pytest.raises(RecipeError, match="hosted: https"):
        api.check(recipe(tmp_path, format="mturk", instructions="instructions.md"))
    drop = {"keep_columns": ["label", "text"]}
    named = {"derive": {"image_path": "concat('a b/', uid, '.jpg')"}}
    with pytest.raises(InputError, match=r"has no picture on the web, only 'a b/r\d+.jpg'"):
        run(recipe(tmp_path, format="mturk", before=[drop, named]), tmp_path, "one")
    waits(recipe(tmp_path, format="mturk", before=[drop, named], images="https://x.org/p/"), tmp_path, "two")
    hits = read(desk(tmp_path, "two") / "sheets" / "sheet-1.mturk.csv")
    assert {hit["image_url"] for hit in hits} == {f"https://x.org/p/a%20b/{uid}.jpg" for uid in labels_of(tmp_path)}


def test_a_page_that_is_too_long_shows_the_hosted_one() -> None:
    long = "<p>{word} $5</p>" * 5_000
    with pytest.raises(InputError, match="bytes with its instructions"):
        hit_page(["yes"], 1, long)
    page = hit_page(["yes"], 1, long, "https://x.org/instructions.html")
    assert '<iframe src="https://x.org/instructions.html"' in page
    short = hit_page(["ye's", '"no"'], 3, "<p>{word} $5</p>")
    assert "3 assignments" in short
    assert "&#123;word&#125; &#36;5" in short
    (element,) = Tags(short).found["crowd-image-classifier"]
    assert json.loads(element["categories"] or "") == ["ye's", '"no"']
    assert len(page.encode()) < MOST_BYTES


def test_captions_of_strangers_become_no_tags() -> None:
    row = {"uid": "a", "image_url": 'https://x.org/1.jpg?a=1&b="><script>', "class": "a&b", "question": "Is it a&b?"}
    (line,) = csv.DictReader(io.StringIO(hit_csv([{**row, "text": "<script>alert(1)</script>"}]), newline=""))
    assert line["text"] == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert line["image_url"] == "https://x.org/1.jpg?a=1&b=%22%3E%3Cscript%3E"
    assert (line["class"], line["question"]) == ("a&b", "Is it a&amp;b?")


def test_uids_that_the_site_refuses_are_reported() -> None:
    row = {"uid": "a🙂", "image_url": "https://x.org/1.jpg", "class": "", "question": "", "text": ""}
    with pytest.raises(InputError, match="characters that Mechanical Turk refuses"):
        hit_csv([row])


@pytest.mark.parametrize(
    ("column", "value", "word"),
    [
        ("Answer.verdict", "yes", "yes"),
        ("Answer.taskAnswers", '[{"verdict":{"label":"no"}}]', "no"),
        ("Answer.taskAnswers", '[{"verdict.label":"no"}]', "no"),
        ("Answer.taskAnswers", '[{"verdict":"unsure"}]', "unsure"),
        ("Answer.verdict.label", "", None),
    ],
)
def test_the_forms_of_an_answer(tmp_path: Path, column: str, value: str, word: str | None) -> None:
    line = {
        "HITId": "3",
        "WorkerId": "A1",
        "AssignmentStatus": "Approved",
        "Input.uid": "'=1",
        "Input.class": "cat",
        column: value,
    }
    write(tmp_path / "results.csv", [line])
    found = answer_file(tmp_path / "results.csv").answers
    assert [(one.uid, one.word, one.annotator, one.about) for one in found] == (
        [("=1", word, "A1", "cat")] if word else []
    )
    if word:
        assert len(read_verdicts(tmp_path / "results.csv")) == 1


@pytest.mark.parametrize("value", ["{}", "[", '[{"other": 1}]', '[{"verdict": 5}]', "[1]"])
def test_answers_that_cannot_be_read_are_reported_with_their_line(tmp_path: Path, value: str) -> None:
    line = {"WorkerId": "A1", "AssignmentStatus": "Submitted", "Input.uid": "a", "Answer.taskAnswers": value}
    write(tmp_path / "results.csv", [line])
    with pytest.raises(InputError, match=r"results\.csv: line 2: no answer 'verdict' in Answer\.taskAnswers"):
        answer_file(tmp_path / "results.csv")
