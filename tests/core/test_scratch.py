"""Databases for more rows than fit into memory: each is empty at first and gone at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.core.runtime import scratch
from poolwright.core.runtime.scratch import scratch_database

MILLION = "create table numbers as select md5(range::varchar) k from range(600_000)"


def files(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_each_is_empty_and_its_folder_goes(tmp_path: Path) -> None:
    folder = tmp_path / "a folder's name"
    for _ in range(2):
        with scratch_database("some-", folder) as (base, work):
            base.execute("create table numbers as select 1 k")
            assert base.execute("select * from numbers").fetchall() == [(1,)]
            assert work.parent == folder
        assert not list(folder.iterdir())


def test_two_at_once_do_not_meet() -> None:
    with scratch_database("one-") as (one, _), scratch_database("other-") as (other, _):
        one.execute("create table numbers as select 1 k")
        other.execute("create table numbers as select 2 k")
        assert one.execute("select * from numbers").fetchall() == [(1,)]


def test_what_does_not_fit_goes_to_the_folder_of_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_MEMORY", "40MB")
    monkeypatch.setattr(scratch, "_free", [])
    for name in ("one", "other"):
        with scratch_database("some-", tmp_path / name) as (base, work):
            base.execute(MILLION)
            found = base.execute("select count(*) from (select k from numbers order by k)").fetchone()
            assert found == (600_000,)
            base.execute("create table sorted as select k from numbers order by k")
            assert files(work) > 0


def test_an_error_leaves_no_rows_behind() -> None:
    def stopped() -> None:
        with scratch_database("some-") as (base, _):
            base.execute("begin")
            base.execute("create table numbers as select 1 k")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with scratch_database("some-") as (base, _):
        base.execute("create table numbers as select 2 k")
        assert base.execute("select * from numbers").fetchall() == [(2,)]
