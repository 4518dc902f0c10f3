"""The desk: the folder of what people are asked about a table, and of what they answer.

    asked.parquet       every row that was ever asked about, on which sheet, and in the schema how
    sheets/sheet-1.csv  sheets, written once and never changed; filled in where they lie, they count as answers
    instructions/       what people are to be shown
    verdicts/           files with answers: filled-in copies, exports, results
    people.csv          who answered how much and how far they agree with the others; names are nowhere else

`answers` is the one place where answers come from.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.annotation.answers import Answer
from poolwright.annotation.exchange.read_answers import SUFFIXES, read_answers
from poolwright.core.errors import InputError
from poolwright.core.files import digest_file
from poolwright.core.parquet import write_parquet

ASKED = "asked.parquet"
SHEETS, VERDICTS, INSTRUCTIONS, PEOPLE = "sheets", "verdicts", "instructions", "people.csv"
FORMAT = 1

_KEY = b"poolwright.asked"
_SCHEMA = pa.schema([(name, pa.string()) for name in ("uid", "class", "bucket", "question", "image", "text", "sheet")])


@dataclass(frozen=True)
class Asked:
    """What people were asked so far.

    Attributes:
        rows: `uid`, `class` and `bucket` ('' where rows have none), `question`, `image`, `text`, `sheet`: one a row
            that was asked about, in the order of the sheets. A row is there again where its class changed.
        about: how it was asked: `format`, `answer` ("yes_no" or "class"), `choices`, `annotators`, `sheets` (digest of
            each file by sheet and name).
    """

    rows: pa.Table = field(default_factory=_SCHEMA.empty_table)
    about: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(uid, class) of every row."""
        return list(zip(self.rows["uid"].to_pylist(), self.rows["class"].to_pylist(), strict=True))

    @property
    def sheets(self) -> dict[str, dict[str, str]]:
        """Of each sheet by name: digest of each of its files as it was written, the sheet itself first."""
        return dict(self.about.get("sheets", {}))


def read_asked(desk: Path) -> Asked:
    """What was asked so far; nothing where there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    path = desk / ASKED
    if not path.exists():
        return Asked()
    try:
        rows = pq.read_table(path)
        about = json.loads(rows.schema.metadata[_KEY])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        about = {}
    if about.get("format") != FORMAT:
        raise InputError(
            f"{path} is damaged, or of another version; move the folder {desk} away and run again: new sheets are "
            f"written, and answers that are put into {VERDICTS}/ count as before"
        )
    return Asked(rows.select(_SCHEMA.names), about)


def write_asked(desk: Path, asked: Asked) -> None:
    """Write what was asked, in one piece."""
    about = {"format": FORMAT, **asked.about}
    table = asked.rows.cast(_SCHEMA).replace_schema_metadata({_KEY: json.dumps(about, ensure_ascii=False)})
    write_parquet(desk / ASKED, table)


def answers(desk: Path | None, files: Sequence[Path] = ()) -> list[Answer]:
    """Everything that people answered so far, in the order of the files' names and within them.

    Args:
        desk: None reads only the files.
        files: more files with answers; those that are not there yet are passed over.

    Raises:
        InputError: a file cannot be read, or has bad lines.
    """
    return [answer for path in answer_files(desk, files) for answer in read_answers(path)]


def answer_files(desk: Path | None, files: Sequence[Path] = ()) -> list[Path]:
    """The files that hold answers.

    Raises:
        InputError: a file in `verdicts/` is of a kind that is not read.
    """
    found = [path for path in files if path.exists()]
    if desk is None:
        return found
    for path in sorted((desk / VERDICTS).glob("*")):
        if path.name.startswith((".", "~")) or not path.is_file():
            continue  # what editors and file managers leave
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path}: verdicts are read from {', '.join(SUFFIXES)}; save it as one, or take it away")
        found.append(path)
    return found + filled_in(desk)


def filled_in(desk: Path) -> list[Path]:
    """Sheets that were changed where they lie."""
    firsts = [next(iter(files.items())) for files in read_asked(desk).sheets.values()]
    sheets = [(desk / SHEETS / name, digest) for name, digest in firsts if name.count(".") == 1]
    return [path for path, digest in sheets if path.suffix != ".json" and path.exists() and digest_file(path) != digest]


def digests(desk: Path | None, files: Sequence[Path] = ()) -> dict[str, str]:
    """Digest of every file that holds answers, by its path."""
    return {str(path): digest_file(path) for path in answer_files(desk, files)}


def late(desk: Path, files: Sequence[Path], seen: Collection[str]) -> list[str]:
    """Names of the files of answers that are other than those with the digests `seen`.

    Never fails: it is asked of tables that are done.
    """
    try:
        return [Path(path).name for path, digest in digests(desk, files).items() if digest not in seen]
    except (InputError, OSError):
        return []
