"""Run the suites of poolwright on the step, pool and layout of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from poolwright_example.brightness import Brightness
from poolwright_example.captioned_list import CaptionedList
from poolwright_example.csv_rows import CsvRows
from poolwright_example.thumbnail import Thumbnail

from poolwright import EncoderSpec, RecipeError
from poolwright.testing import LayoutSuite, PoolSuite, StepCase, StepSuite


class TestBrightness(StepSuite):
    step = Brightness
    cases = [StepCase(), StepCase({"least": 0.5})]


class TestCaptionedList(PoolSuite):
    pool = CaptionedList
    rows = 8

    def write(self, folder: Path) -> dict[str, Any]:
        """Write two lists, with a line that has no tab."""
        (folder / "lists").mkdir()
        (folder / "lists" / "a.tsv").write_text("1.png\tone\n2.png\tzwei ä\nno tab\n4.png\t\n", encoding="utf-8")
        (folder / "lists" / "b.tsv").write_text("".join(f"{n}.png\tnumber {n}\n" for n in range(5, 9)))
        return {"path": "lists"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        """Write a list without lines."""
        (folder / "lists").mkdir()
        (folder / "lists" / "a.tsv").write_text("")
        return {"path": "lists"}


class TestCsvRows(LayoutSuite):
    layout = CsvRows(columns=("text", "label"), figures=False)


def test_a_thumbnail_is_of_its_image_alone() -> None:
    spec = EncoderSpec(model="thumbnail:2")
    encoder, known = Thumbnail().load(spec), Thumbnail().peek(spec)
    vectors, problems = encoder.images([b"no image", None])
    assert problems == ["not_an_image", "missing_file"]
    assert np.isnan(vectors).all()
    assert (known.name, known.width, known.weights) == (encoder.name, 12, encoder.weights)
    with pytest.raises(RecipeError, match="an edge is a number from 1 to 64"):
        Thumbnail().check(EncoderSpec(model="thumbnail:big"))
