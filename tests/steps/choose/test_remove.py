"""remove: lists in all the files they come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.core.errors import InputError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.steps.choose.remove import Remove


def removed(table: pa.Table, **parameters: object) -> list[object]:
    step = Remove.model_validate(parameters)
    step.check_files(table.schema)
    step.gives(table.schema)
    state = step.fit(MemoryFrame(table), Context())
    drop = step.apply(Rows(table), state).drop
    assert drop is not None
    return list(table.filter(pa.array(drop == 1)).column(step.by).to_pylist())


POOL = pa.table(
    {"uid": ["007", "7", "a,b", "é", "NA", "00000000000000010000000000000002"], "sha256": ["AB", "cd", *"efgh"]}
)


def test_text_files(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes("\ufeff007\r\né\r\n\r\nnowhere\r\na,b".encode())
    assert removed(POOL, file=str(file)) == ["007", "a,b", "é"]


def test_csv_files_are_read_as_text(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text('uid,why\n007,asked\n"a,b",asked\nNA,asked\n')
    assert removed(POOL, file=str(file)) == ["007", "a,b", "NA"]
    file.write_text("name\n7\n")
    assert removed(POOL, file=str(file)) == ["7"]


def test_parquet_files_and_their_columns(tmp_path: Path) -> None:
    file = tmp_path / "list.parquet"
    pq.write_table(pa.table({"old": ["7", None], "new": ["é", "nowhere"]}), file)
    assert removed(POOL, file=str(file), column="old") == ["7"]
    with pytest.raises(InputError, match=r"list.parquet: has no column 'uid'"):
        removed(POOL, file=str(file))


def test_npy_files_of_strings_and_of_datacomp_uids(tmp_path: Path) -> None:
    file = tmp_path / "list.npy"
    np.save(file, np.array(["7", "é"]))
    assert removed(POOL, file=str(file)) == ["7", "é"]
    np.save(file, np.array([(1, 2)], dtype="u8,u8"))
    assert removed(POOL, file=str(file)) == ["00000000000000010000000000000002"]
    np.save(file, np.array([0.5]))
    with pytest.raises(InputError, match="float64"):
        removed(POOL, file=str(file))


def test_hashes_are_compared_in_lower_case() -> None:
    assert removed(POOL, ids=["ab", "CD"], by="sha256") == ["AB", "cd"]


def test_integer_columns() -> None:
    table = pa.table({"photo": pa.array([1, 2, None], pa.uint32())})
    assert removed(table, ids=[2, 3], by="photo") == [2]


def test_a_long_list() -> None:
    uids = [f"uid-{number}" for number in range(120_000)]
    table = pa.table({"uid": [uids[5], "other", uids[119_999]]})
    assert removed(table, ids=uids) == [uids[5], uids[119_999]]


def test_a_missing_file_is_found_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="there is no file"):
        removed(POOL, file=str(tmp_path / "nowhere.txt"))
