"""Text of strangers: encodings by their marks, delimiters, JSON of any depth, and who reads it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poolwright.annotation.exchange.read_answers import read_verdicts
from poolwright.core.errors import PoolwrightError
from poolwright.core.texts.text_files import decode, delimiter_of, load_json, whole_text
from poolwright.models.texts.vocabulary import read_vocabulary
from poolwright.steps.choose.read_list import read_list

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_names_the_encoding(encoding: str) -> None:
    assert decode("café".encode(encoding), "cp1252" if encoding != "utf-8" else "utf-8") == "café"


def test_the_delimiter_is_that_of_the_first_line_with_names() -> None:
    assert [delimiter_of(text) for text in ("a;b,c;d\n1,2,3,4", ";;\n\na\tb", "a", "")] == [";", "\t", ",", ","]


def test_halves_of_pairs_are_replaced() -> None:
    assert whole_text("a\ud83d b\U0001f600") == "a\ufffd b\U0001f600"


def test_json_has_one_kind_of_error() -> None:
    assert load_json('{"a": 1, "a": 2}', list) == [("a", 1), ("a", 2)]
    for text, words in ((DEEP, "nested too deeply"), ('{"a"', "delimiter")):
        with pytest.raises(json.JSONDecodeError, match=words):
            load_json(text)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("list.json", lambda path: read_list(path, "uid")),
        ("list.jsonl", lambda path: read_list(path, "uid")),
        ("answers.json", lambda path: read_verdicts(Path(path))),
        ("answers.jsonl", lambda path: read_verdicts(Path(path))),
        ("classes.json", read_vocabulary),
        ("classes.yaml", read_vocabulary),
    ],
)
def test_a_file_that_is_nested_too_deeply_is_one_error_that_names_it(
    name: str, read: Callable[[str], Any], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(DEEP + "\n")
    with pytest.raises(PoolwrightError, match=name):
        read(str(tmp_path / name))
