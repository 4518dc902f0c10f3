"""Compare and copy the database of verdicts while a studio may be writing it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from poolwright.annotation.queue.store import TABLES
from poolwright.core.errors import InputError
from poolwright.core.files import PARTIAL


def digest_history(path: Path) -> str:
    """Compute the digest of all entries, hex: two copies with the same entries have the same, whatever their bytes.

    Raises:
        InputError: the file is not such a database.
    """
    from xxhash import xxh3_128

    digest = xxh3_128()
    try:
        with closing(sqlite3.connect(path, timeout=30)) as base:
            for table in TABLES:
                for line in base.execute(f"SELECT * FROM {table} ORDER BY id"):
                    digest.update(repr(line).encode())
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: cannot open the database of verdicts: {error}") from None
    return digest.hexdigest()


def copy_history(path: Path) -> Path:
    """Copy the database, with what its log still holds, to one file next to it; return that file."""
    to = path.with_name(f"{path.name}.copy{PARTIAL}")
    to.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, timeout=30)) as base, closing(sqlite3.connect(to)) as copy:
        base.backup(copy)
    return to
