"""The shipped suites find faults: each of these steps and pools breaks one property, and its test says so."""

from __future__ import annotations

import operator
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import Field

from poolwright import BadPart, Outcome, Part, Pool, Reason, RecipeError, Rows, State, Step
from poolwright.core.pool import PathOrUrl
from poolwright.testing import PoolSuite, StepCase, StepSuite
from tests.conftest import REPOSITORY
from tests.docs.pages import blocks


def _count(total: int, rows: Rows) -> int:
    return total + len(rows)


def _count_batches(total: int, rows: Rows) -> int:
    return total + 1


class Marked(Step):
    """Drop rows whose label is missing, and give the length of the others."""

    verb: ClassVar[str] = "marked"
    kind: ClassVar[Any] = "describe"
    example: ClassVar[str] = "marked"
    reasons: ClassVar[tuple[Reason, ...]] = (Reason("no_label", "no label"),)

    fault: str = Field(default="", description="what is wrong with it")

    def needs(self) -> tuple[str, ...]:
        return ("label",)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        return [] if self.fault == "gives" else [pa.field("length", pa.int64())]

    def fit(self, frame: Any, context: Any) -> State:
        add = _count_batches if self.fault == "cuts" else _count
        return State({"rows": frame.fold(["uid"], int, add, operator.add)})

    def apply(self, rows: Rows, state: State) -> Outcome:
        labels = rows.strings("label")
        drop = np.array([label is None for label in labels], np.uint8)
        lengths = [len(label or "") + (len(rows) if self.fault == "row-wise" else 0) for label in labels]
        if self.fault == "codes":
            drop = drop * 2
        if self.fault == "lost":
            lengths = lengths[:-1]
        if self.fault == "state":
            state.values["seen"] = len(rows)
        values = pa.array(lengths, pa.int64())
        return Outcome({"length": values.cast(pa.string()) if self.fault == "type" else values}, drop)


class Marks(StepSuite):
    step = Marked


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("gives", "test_no_row_is_lost_and_gives_is_honest"),
        ("codes", "test_no_row_is_lost_and_gives_is_honest"),
        ("type", "test_no_row_is_lost_and_gives_is_honest"),
        ("lost", "test_no_row_is_lost_and_gives_is_honest"),
        ("cuts", "test_order_cuts_batches_and_coding_change_nothing"),
        ("row-wise", "test_apply_is_row_wise"),
        ("state", "test_inputs_stay_as_they_were"),
    ],
)
def test_the_suite_of_steps_finds_faults(fault: str, test: str) -> None:
    getattr(Marks(), test)(case=StepCase({}))
    with pytest.raises((AssertionError, ValueError)):
        getattr(Marks(), test)(case=StepCase({"fault": fault}))


class Words(Pool):
    """A word in each line of text files."""

    kind: ClassVar[str] = "words"
    example: ClassVar[str] = "some: {read: words, path: data}"

    path: PathOrUrl = Field(description="folder of the files")
    fault: str = Field(default="", description="what is wrong with it")

    def arrow_schema(self) -> pa.Schema:
        self._files()
        number = pa.int64() if self.fault != "schema" else pa.int32()
        return pa.schema([("uid", pa.string()), ("number", number)])

    def parts(self) -> list[Part]:
        files = self._files()
        rows = {str(file): len(file.read_bytes().splitlines()) for file in files}
        more = int(self.fault == "count")
        return [Part(index=i, name=f.name, files=(str(f),), rows=rows[str(f)] + more) for i, f in enumerate(files)]

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        data = Path(part.files[0]).read_bytes()
        try:
            words = data.decode("ascii").split("\n")[:-1]
        except UnicodeDecodeError as error:
            if self.fault == "damage":
                raise
            index = part.index + (self.fault == "blame")
            raise BadPart(index, part.name, str(error)) from None
        if self.fault == "writes":
            Path(part.files[0]).with_suffix(".index").write_text("an index")
        for start in range(0, len(words), batch_rows):
            some = words[start : start + batch_rows]
            first = 0 if self.fault == "batches" else start
            made = {"uid": pa.array(some, pa.string()), "number": pa.array(range(first, first + len(some)), pa.int64())}
            names = sorted(columns) if self.fault == "order" else list(columns)
            yield pa.table({name: made[name] for name in names})

    def _files(self) -> list[Path]:
        files = sorted(Path(self.path).glob("*.txt"))
        if not files and self.fault != "missing":
            raise RecipeError(f"{self.path}: no files")
        return files


class Sources(PoolSuite):
    pool = Words
    rows = 5
    fault = ""

    def write(self, folder: Path) -> dict[str, Any]:
        (folder / "data").mkdir()
        (folder / "data" / "a.txt").write_text("one\ntwo\nthree\n")
        (folder / "data" / "b.txt").write_text("four\nfive\n")
        return {"path": "data", "fault": self.fault}


def run(suite: PoolSuite, test: str, folders: pytest.TempPathFactory) -> None:
    if test == "test_a_broken_file_harms_its_part_alone":
        suite.test_a_broken_file_harms_its_part_alone("overwritten at its beginning", folders.mktemp("source"))
    elif test == "test_batches_columns_and_order_of_parts_change_nothing":
        suite.test_batches_columns_and_order_of_parts_change_nothing(tmp_path_factory=folders)
    else:
        getattr(suite, test)(folders.mktemp("source"))


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("schema", "test_the_schema_is_honest"),
        ("count", "test_every_row_comes_or_has_a_reason"),
        ("batches", "test_batches_columns_and_order_of_parts_change_nothing"),
        ("order", "test_batches_columns_and_order_of_parts_change_nothing"),
        ("writes", "test_the_source_stays_as_it_was"),
        ("damage", "test_a_broken_file_harms_its_part_alone"),
        ("blame", "test_a_broken_file_harms_its_part_alone"),
        ("missing", "test_a_source_that_is_missing_is_named"),
    ],
)
def test_the_suite_of_pools_finds_faults(fault: str, test: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    run(Sources(), test, tmp_path_factory)
    suite = Sources()
    suite.fault = fault
    with pytest.raises((AssertionError, UnicodeDecodeError, pytest.fail.Exception)):
        run(suite, test, tmp_path_factory)


def test_the_classes_of_the_documentation_pass_their_suites(tmp_path: Path) -> None:
    page = REPOSITORY / "docs" / "extending.md"
    module = tmp_path / "test_extending.py"
    module.write_text("\n".join(block.text for block in blocks(page) if block.language == "python"), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(module)]
    clean = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
