"""Cells of CSV files: columns that are cast as a whole give the values that they give cell by cell."""

from __future__ import annotations

import codecs
import io

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.pools.text.csv_values import DAMAGED, ValidUtf8, converted

TYPES = [pa.int16(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us")]
CELLS = ["", "7", "-5", "007", "99999", "0.5", "5.", "-.5", "1e5", "18446744073709551615", "12345678901234567890"]
CELLS += ["0", "1", "true", "False", "2014-01-31", "2014-02-31", "2014-1-1", "2014-01-31 10:00:00", "2014-01-31T10:00Z"]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@settings(max_examples=40)
@given(cells=st.lists(st.sampled_from(CELLS) | st.text("-+.eE019:aflrstu ", max_size=5), min_size=1, max_size=3))
def test_a_column_as_a_whole_is_its_cells_alone(dtype: pa.DataType, exact: bool, cells: list[str]) -> None:
    values, wrong = converted(pa.array(cells, pa.string()), dtype, exact)
    # A cell with another sign makes the column one of mixed values, which are looked at one by one.
    alone, wrong_alone = converted(pa.array([*cells, "#"], pa.string()), dtype, exact)
    assert repr(values.to_pylist()) == repr(alone.to_pylist()[:-1])
    assert wrong.tolist() == wrong_alone.tolist()[:-1]


@given(data=st.binary(max_size=40) | st.text(max_size=20).map(str.encode), size=st.integers(1, 9))
def test_what_is_not_utf_8_is_marked_wherever_reads_are_cut(data: bytes, size: int) -> None:
    file, found = ValidUtf8(io.BytesIO(data)), []
    while piece := file.read(size):
        found.append(piece)
    wanted = codecs.decode(data, "utf-8", "poolwright_damaged")
    assert b"".join(found).decode() == wanted
    assert (DAMAGED in wanted) == (data.decode("utf-8", "replace") != data.decode("utf-8", "ignore"))
