"""The database of expressions: closed to files, network and settings, in UTC."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from poolwright.expressions.connection import answers, session


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_text('{file}')",
        "select * from read_csv('https://example.org/a.csv')",
        "select * from '{file}'",
        "copy (select 1) to '{file}.copy'",
        "attach '{file}.db' as other",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set threads = 4",
        "set TimeZone = 'Asia/Tokyo'",
        "reset lock_configuration",
    ],
)
def test_nothing_leads_outside(statement: str, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("secret")
    with session() as taken, pytest.raises(duckdb.Error):
        taken.cursor.execute(statement.format(file=file)).fetchall()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_variables_of_python_are_no_tables() -> None:
    pool = pa.table({"a": [1]})
    with pytest.raises(duckdb.Error, match="pool"):
        answers("select * from pool")
    assert pool


def test_settings() -> None:
    names = ("threads", "TimeZone", "autoload_known_extensions", "temp_directory", "lock_configuration")
    (found,) = answers("select " + ", ".join(f"current_setting('{name}')" for name in names))
    assert found == (1, "UTC", False, "", True)


def test_sessions_are_used_again() -> None:
    with session() as first:
        with session() as second:
            assert first is not second
    with session() as third:
        assert third is first
