"""Read metadata of YFCC100M from the SQLite database that the package `yfcc100m` uses, as lines.

Format: https://pypi.org/project/yfcc100m/ 1.0.1. The file is called `yfcc100m_dataset.sql`, but is a database with the
table `yfcc100m_dataset`, one row per photo or video, with the fields of a line as columns, without its number and hash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from poolwright.core.errors import RecipeError
from poolwright.core.remote.schemes import is_url
from poolwright.pools.readers.paths import Unreadable, base_name, find_files
from poolwright.pools.yfcc.fields import ALIASES, plain_name
from poolwright.pools.yfcc.zips import hash_of

TABLE = "yfcc100m_dataset"
_MAGIC = b"SQLite format 3\0"
_PART_ROWS = 131_072
_MOST_PARTS = 1_024
_REQUIRED = ("photoid", "uid", "downloadurl", "marker")


def find_databases(paths: Sequence[str]) -> list[str]:
    """Find databases: files, globs, or folders with a file called yfcc100m_dataset.sql or so.

    Raises:
        RecipeError: there is none, a file is no database of SQLite, or has not the table and columns of YFCC100M.
        InputError: a database cannot be read.
    """
    files = find_files(paths, ("sql", "db", "sqlite", "sqlite3"))
    for file in files:
        if is_url(file):
            raise RecipeError(f"{file}: SQLite reads local files alone; copy the database to a disk")
        with open(file, "rb") as start:
            if start.read(len(_MAGIC)) != _MAGIC:
                raise RecipeError(f"{file}: is no database of SQLite; name files of lines with 'path'")
        with _connected(file) as database:
            _columns(database, file)
    return files


def cut_database(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the position of parts that have all rows: ranges of row ids.

    Raises:
        InputError: the database cannot be read.
    """
    with _connected(path) as database:
        first, last = database.execute(f"SELECT min(rowid), max(rowid) FROM {TABLE}").fetchone()
    if first is None:
        return
    step = max(_PART_ROWS, -(-(last + 1 - first) // _MOST_PARTS))
    for begin in range(first, last + 1, step):
        end = min(begin + step, last + 1)
        yield f"{base_name(path)} rows {begin}-{end - 1}", {"detail": {"database": True, "begin": begin, "end": end}}


def line_batches(path: str, begin: int, end: int, rows: int, hashes: bool) -> Iterator[tuple[np.ndarray, pa.Array]]:
    """Yield the rows of a range of row ids as lines, in batches.

    Args:
        hashes: whether to compute the hash, which is the one of the download URL.

    Returns:
        int64 (n,) row ids, and (n,) lines of 24 fields, or 23 without a hash.

    Raises:
        Unreadable: the database is damaged.
    """
    with _connected(path) as database:
        names = _columns(database, path)
        texts = ", ".join("''" if name is None else f"coalesce(CAST({_quoted(name)} AS TEXT), '')" for name in names)
        found = database.execute(
            f"SELECT rowid, {texts} FROM {TABLE} WHERE rowid >= ? AND rowid < ? ORDER BY rowid", (begin, end)
        )
        encoded = _is_encoded(database, names)
        while some := found.fetchmany(rows):
            lines = [_line(row[1:], names[1] is not None, hashes, encoded) for row in some]
            yield np.array([row[0] for row in some], np.int64), pa.array(lines, pa.string())


_URL = 15
_FREE_TEXT = (3, 6, 7, 8, 9, 10)
"""Places of the download URL and of the texts that are URL-encoded in a line, in `ALIASES`."""


def _line(fields: Sequence[str], has_hash: bool, hashes: bool, encoded: bool) -> str:
    values = [text.replace("\t", " ").replace("\n", " ") for text in fields]
    if not encoded:
        for at in _FREE_TEXT:
            values[at] = quote(fields[at], safe=",:;/ ").replace(" ", "+")
    if not has_hash:
        values[1] = hash_of(fields[_URL]) if hashes and fields[_URL] else ""
    return "\t".join(values)


def _is_encoded(database: sqlite3.Connection, names: Sequence[str | None]) -> bool:
    """Whether texts are URL-encoded, as in lines: so none of the first has a space."""
    wanted = [_quoted(name) for at in (7, 8, 6) if (name := names[at]) is not None]
    if not wanted:
        return True
    texts = database.execute(f"SELECT {', '.join(wanted)} FROM {TABLE} LIMIT 1000")
    return not any(isinstance(text, str) and " " in text.strip() for row in texts for text in row)


@contextmanager
def _connected(path: str) -> Iterator[sqlite3.Connection]:
    """Open a database for reading only, and report damage."""
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, check_same_thread=False)) as database:
            database.text_factory = lambda data: data.decode(errors="replace")
            yield database
    except sqlite3.Error as error:
        raise Unreadable(path, f"{base_name(path)} is damaged, or its disk fails: {error}") from None


def _columns(database: sqlite3.Connection, path: str) -> list[str | None]:
    """Return the column of each field of a line, None for one that there is none for."""
    there = {plain_name(row[1]): str(row[1]) for row in database.execute(f"PRAGMA table_info({TABLE})")}
    if not there:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        named = ", ".join(tables) or "none"
        raise RecipeError(f"{path}: no table '{TABLE}', so it is not the database of YFCC100M (there are: {named})")
    found = [next((there[alias] for alias in aliases if alias in there), None) for aliases in ALIASES]
    for aliases, name in zip(ALIASES, found, strict=True):
        if name is None and aliases[0] in _REQUIRED:
            columns = ", ".join(there.values())
            raise RecipeError(f"{path}: table '{TABLE}' has no column '{aliases[0]}' (there are: {columns})")
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
