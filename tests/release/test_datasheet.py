"""datasheet.md and CITATION.cff: facts of the record, answers of the author, and what is left open."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from pydantic import ValidationError

from poolwright.release.card.about import About
from poolwright.release.card.citation import citation
from poolwright.release.card.datasheet.questions import KEYS, QUESTIONS, SECTIONS
from poolwright.release.layouts.huggingface import HuggingFace
from tests.calling import call
from tests.release.build import toy_rows, write_table


def sections(folder: Path) -> dict[str, str]:
    """Text of each section of a datasheet, by its heading."""
    text = (folder / "datasheet.md").read_text(encoding="utf-8")
    return {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}


def test_facts_answer_what_they_can_and_the_rest_is_open(released: Path) -> None:
    found = sections(released)
    assert list(found) == [*SECTIONS, "Open questions"]
    assert "130 rows, 130 images (87 jpg, 43 png)" in found["Composition"]
    assert "135 rows were read from pool pictures. 130 of them are here (96.3%)" in found["Composition"]
    assert "`author`: names of authors" in found["Composition"]
    assert "No value: continent in 19 rows" in found["Composition"]
    assert "5 rows dropped by `top` of table toy: below the top 100 by similarity" in found[SECTIONS[3]]
    assert "CC-BY-2.0 65, CC0-1.0 65" in found["Distribution"]
    assert "- `funding`: Who paid for it?" in found["Open questions"]
    assert "`rows`" not in found["Open questions"]


def test_every_question_is_answered_or_open_once(released: Path) -> None:
    text = (released / "datasheet.md").read_text(encoding="utf-8")
    assert len(KEYS) == len(QUESTIONS) == 57
    wrong = [key for key, asked in KEYS.items() if (f"### {asked}\n" in text) + (f"- `{key}`: {asked}\n" in text) != 1]
    assert wrong == []


def test_the_author_answers_in_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("uid,url\na,http://example.org/1.jpg\n")
    recipe = (
        "recipe: 1\nname: r\npools: {p: {read: table, path: rows.csv}}\ntables: {t: {from: p, steps: []}}\n"
        "card: {authors: [Mary Somerville], datasheet: {funding: A *grant*., external: Mirrors exist.}}\n"
        "releases: [{table: t, layout: huggingface, images: urls, figures: false, to: out}]\n"
    )
    (tmp_path / "r.yaml").write_text(recipe)
    called = call("run", "r.yaml", folder=tmp_path)
    assert called.code == 0, called.err
    found = sections(tmp_path / "out")
    assert "### Who paid for it?\n\nBy the author:\n\nA *grant*.\n" in found["Motivation"]
    assert "will be gone or have changed.\n\nBy the author:\n\nMirrors exist.\n" in found["Composition"]
    assert "`funding`" not in found["Open questions"]
    assert yaml.safe_load((tmp_path / "out" / "CITATION.cff").read_text())["authors"] == [{"name": "Mary Somerville"}]
    (tmp_path / "r.yaml").write_text(recipe.replace("funding", "fundings"))
    refused = call("check", "r.yaml", folder=tmp_path)
    assert refused.code == 2
    assert "'fundings' is no question of a datasheet; did you mean 'funding'?" in refused.err


def test_dropped_and_broken_rows_and_people_are_named(tmp_path: Path) -> None:
    table = write_table(tmp_path / "toy", toy_rows(6), quarantined="the file is truncated")
    HuggingFace(images="none", figures=False).write(table, tmp_path / "out", About())
    found = sections(tmp_path / "out")
    assert "1 input part could not be read; their rows are missing." in found["Composition"]
    assert not (tmp_path / "out" / "CITATION.cff").exists()
    assert "the recipe names no authors" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_a_whole_table_without_nulls_says_so(tmp_path: Path) -> None:
    table = write_table(tmp_path / "toy", pa.table({"uid": ["a"], "n": [1]}), dropped=0)
    HuggingFace(images="none", figures=False).write(table, tmp_path / "out", About())
    found = sections(tmp_path / "out")
    assert "Every row has a value" in found["Composition"]
    assert "No row was dropped." in found[SECTIONS[3]]


def test_a_citation_has_what_the_recipe_states_and_no_more() -> None:
    assert citation(About(), "Moths") is None
    few = yaml.safe_load(citation(About(authors=("Maria Merian",)), "Moths") or "")
    assert few == {
        "cff-version": "1.2.0",
        "message": "If you use this dataset, please cite it as below.",
        "type": "dataset",
        "title": "Moths",
        "authors": [{"name": "Maria Merian"}],
    }
    about = About(
        authors=("Maria Merian",),
        license="cc-by-4.0",
        homepage="https://example.org/moths",
        version="2.1.0",
        published=date(2026, 3, 4),
        tags=("moths", "moths"),
    )
    many = yaml.safe_load(citation(about, "Moths") or "")
    assert many.items() >= {"license": "CC-BY-4.0", "version": "2.1.0", "keywords": ["moths"]}.items()
    assert many["date-released"] == date(2026, 3, 4)
    assert many["url"] == "https://example.org/moths"
    other = yaml.safe_load(citation(About(authors=("A",), license="OpenMDW-1.0", homepage="soon"), "Moths") or "")
    assert "license" not in other
    assert other["license-url"] == "https://spdx.org/licenses/OpenMDW-1.0"
    assert "url" not in other


def test_answers_are_to_questions_that_are_asked() -> None:
    with pytest.raises(ValidationError, match="did you mean 'consent'"):
        About(datasheet={"concent": "yes"})
