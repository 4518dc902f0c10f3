"""Store tags: rows that people marked with a word, with who did and when, as files that steps read.

`tags/TAG.csv` in the run folder has `uid`, `tag`, `table`, `by` and `time` of each row that has the tag now. The steps
`tags`, `keep`, `remove` and `join` read it as it is. It is replaced as a whole, so that it is never half written.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from poolwright.core.errors import InputError
from poolwright.core.files import write_text

FOLDER = "tags"
MOST_ROWS = 1_000_000
"""Maximum number of rows with one tag."""

_NAME = re.compile(r"[^\W_][\w.-]{0,59}")


@dataclass(frozen=True)
class TaggedRow:
    """A row with a tag.

    Attributes:
        uid: of the row.
        tag: the word.
        table: name of the table in which it was tagged.
        by: name of the person.
        time: ISO 8601, UTC.
    """

    uid: str
    tag: str
    table: str = ""
    by: str = ""
    time: str = ""


_COLUMNS = tuple(one.name for one in fields(TaggedRow))


def tag_names(run_folder: Path) -> list[str]:
    """List the tags of a run."""
    return sorted(path.stem for path in (run_folder / FOLDER).glob("*.csv"))


def tag_file(run_folder: Path, tag: str) -> Path:
    """Return the file of a tag.

    Raises:
        InputError: it is no word that can name a file.
    """
    if not _NAME.fullmatch(tag):
        raise InputError(f"'{tag[:60]}' cannot be a tag; use letters, digits, '-', '_' and '.', at most 60")
    return run_folder / FOLDER / f"{tag}.csv"


def read_tag(run_folder: Path, tag: str) -> list[TaggedRow]:
    """Return the rows that have a tag, in the order in which they got it."""
    path = tag_file(run_folder, tag)
    return parse_tags(path.read_text(encoding="utf-8"), path.name) if path.exists() else []


def add_tag(run_folder: Path, rows: Iterable[TaggedRow]) -> int:
    """Tag rows; those that have the tag already keep who gave it and when.

    Returns:
        The number of rows that did not have it.

    Raises:
        InputError: the tag is not valid, or too many rows would have it.
    """
    added, of_tag, now = 0, dict[str, list[TaggedRow]](), datetime.now(UTC).isoformat(timespec="seconds")
    for row in rows:
        of_tag.setdefault(row.tag, []).append(row if row.time else replace(row, time=now))
    for tag, given in of_tag.items():
        known = {row.uid: row for row in read_tag(run_folder, tag)}
        merged = {row.uid: row for row in given} | known
        if len(merged) > MOST_ROWS:
            raise InputError(f"{len(merged):,} rows would have the tag '{tag}'; tags are for {MOST_ROWS:,} at most")
        added += len(merged) - len(known)
        _write(run_folder, tag, [*known.values(), *(row for uid, row in merged.items() if uid not in known)])
    return added


def remove_tag(run_folder: Path, tag: str, uids: Iterable[str]) -> int:
    """Take a tag from rows; returns how many had it. A tag that no row has is gone."""
    gone, known = set(uids), read_tag(run_folder, tag)
    left = [row for row in known if row.uid not in gone]
    if left:
        _write(run_folder, tag, left)
    else:
        tag_file(run_folder, tag).unlink(missing_ok=True)
    return len(known) - len(left)


def parse_tags(text: str, name: str) -> list[TaggedRow]:
    """Read a file of tags, ours or another with the columns `uid` and `tag`.

    Raises:
        InputError: it has not these columns, or a line has no uid.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    if not {"uid", "tag"} <= set(reader.fieldnames or ()):
        raise InputError(f"{name}: a file of tags has the columns uid and tag")
    rows = [TaggedRow(**{column: line.get(column) or "" for column in _COLUMNS}) for line in reader]
    bad = next((number for number, row in enumerate(rows, 2) if not row.uid or not row.tag), None)
    if bad:
        raise InputError(f"{name}: line {bad}: no uid or no tag")
    return rows


def _write(run_folder: Path, tag: str, rows: Sequence[TaggedRow]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([getattr(row, column) for column in _COLUMNS] for row in rows)
    path = tag_file(run_folder, tag)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, out.getvalue())
