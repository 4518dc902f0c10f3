"""Which files are below a folder once links are resolved: a folder is below itself, links lead where they lead."""

from __future__ import annotations

import os
from pathlib import Path

from poolwright.core.files import is_below, leading_out


def test_files_and_folders_are_below_their_folders(tmp_path: Path) -> None:
    (tmp_path / "rows" / "deep").mkdir(parents=True)
    (tmp_path / "rows" / "deep" / "a").touch()
    rows = str(tmp_path / "rows")
    assert is_below(rows, rows)
    assert is_below(rows, f"{rows}/deep")
    assert is_below(rows, f"{rows}/deep/a")
    assert is_below(rows, f"{rows}/missing")
    assert not is_below(rows, str(tmp_path))
    assert not is_below(rows, f"{rows}er")
    assert leading_out([rows], [f"{rows}/a", f"{rows}/deep/a", str(tmp_path / "b")]) == [str(tmp_path / "b")]


def test_links_are_below_where_they_lead(tmp_path: Path) -> None:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    top = tmp_path / "in"
    os.symlink(tmp_path / "out" / "file", top / "stranger")
    os.symlink(tmp_path / "out", top / "away")
    os.symlink(top / "file", top / "friend")
    os.symlink(top, tmp_path / "door")
    assert [is_below(str(top), str(top / name)) for name in ("stranger", "away/file", "friend")] == [False, False, True]
    assert is_below(str(tmp_path / "door"), str(top / "file"))
    assert is_below(str(top), str(tmp_path / "door" / "file"))


def test_a_folder_that_becomes_a_link_is_looked_at_again(tmp_path: Path) -> None:
    for name in ("in/part", "out"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    path = str(tmp_path / "in" / "part" / "file")
    assert is_below(str(tmp_path / "in"), path)
    os.rename(tmp_path / "in" / "part", tmp_path / "in" / "gone")
    os.symlink(tmp_path / "out", tmp_path / "in" / "part")
    assert not is_below(str(tmp_path / "in"), path)
