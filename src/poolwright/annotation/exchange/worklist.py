"""Read and write the worklist: the folder with the questions about a table and the answers of people.

    asked.parquet       every row that was ever asked about, with its sheet; the schema records how
    candidates.parquet  all rows that the step may keep, in order; the schema records how they are judged
    sheets/sheet-1.csv  sheets, written once and never changed; filled in in place, they count as answers
    instructions/       the page shown to people
    verdicts/           files with answers: filled-in copies, exports, results
    people.csv          how much each person answered and how far they agree with the others; the only file with names

All answers are read by `answers`.
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

from poolwright.annotation.answers import WrittenAnswer
from poolwright.annotation.exchange.label_studio import VERDICT
from poolwright.annotation.exchange.read_answers import SUFFIXES, AnswerFile, answer_file
from poolwright.core.errors import InputError
from poolwright.core.files import PARTIAL, digest_file, remove_partials
from poolwright.core.parquet import write_parquet

ASKED = "asked.parquet"
SHEETS, VERDICTS, INSTRUCTIONS, PEOPLE = "sheets", "verdicts", "instructions", "people.csv"
STUDIO_ANSWERS = f"{VERDICTS}/studio.jsonl"
"""Verdicts given in the studio, in the words of the recipe. It is read last: a person's verdicts in it replace their
answers in files without times."""
FORMAT = 1

_MANY = 100_000  # rows from which several threads pay off
_KEY = b"poolwright.asked"
_SCHEMA = pa.schema([(name, pa.string()) for name in ("uid", "class", "bucket", "question", "image", "text", "sheet")])


@dataclass(frozen=True)
class AskedRows:
    """The questions that people were asked so far.

    Attributes:
        rows: `uid`, `class` and `bucket` ('' if rows have none), `question`, `image`, `text`, `sheet`: one per row that
            was asked about, in the order of the sheets. A row occurs again if its class changed.
        about: how they were asked: `format`, `answer` ("yes_no", "class", "classes"), `choices`, `annotators`, `sheets`
            (digest of each file by sheet and name).
    """

    rows: pa.Table = field(default_factory=_SCHEMA.empty_table)
    about: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """(uid, class) of every row."""
        return list(zip(self.rows["uid"].to_pylist(), self.rows["class"].to_pylist(), strict=True))

    @property
    def sheets(self) -> dict[str, dict[str, str]]:
        """By name of a sheet: the digest of each of its files as written, the sheet itself first."""
        return dict(self.about.get("sheets", {}))


def read_asked(worklist: Path) -> AskedRows:
    """Read the questions asked so far; none if there is no such file.

    Raises:
        InputError: the file is damaged.
    """
    path = worklist / ASKED
    if not path.exists():
        return AskedRows()
    try:
        with pq.ParquetFile(path) as file:
            rows = file.read(use_threads=file.metadata.num_rows > _MANY)
        about = json.loads(rows.schema.metadata[_KEY])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        about = {}
    if about.get("format") != FORMAT:
        raise InputError(
            f"{path} is damaged, or of another version; move the folder {worklist} away and run again: new sheets are "
            f"written, and answers that are put into {VERDICTS}/ count as before"
        )
    return AskedRows(rows.select(_SCHEMA.names), about)


def write_asked(worklist: Path, asked: AskedRows) -> None:
    """Write the questions asked so far, atomically."""
    about = {"format": FORMAT, **asked.about}
    table = asked.rows.cast(_SCHEMA).replace_schema_metadata({_KEY: json.dumps(about, ensure_ascii=False)})
    write_parquet(worklist / ASKED, table)


def answers(
    worklist: Path | None, files: Sequence[Path] = (), asked: AskedRows | None = None, field: str = VERDICT
) -> list[AnswerFile[WrittenAnswer]]:
    """Read the files of all answers so far, in the order in which they count.

    Args:
        worklist: None reads only `files`.
        files: further files with answers; those that do not exist yet are skipped.
        asked: the questions asked so far, if they were read already.
        field: name of the field that has the answers, see `answer_file`.

    Raises:
        InputError: a file cannot be read, or has bad lines.
    """
    return [answer_file(path, field) for path in answer_files(worklist, files, asked)]


def sweep(worklist: Path) -> None:
    """Remove what a killed run left of the files that only runs write; those in `verdicts/` are passed over."""
    remove_partials(worklist, deep=False)
    for name in (SHEETS, INSTRUCTIONS):
        remove_partials(worklist / name)


def answer_files(worklist: Path | None, files: Sequence[Path] = (), asked: AskedRows | None = None) -> list[Path]:
    """List the files that hold answers.

    Raises:
        InputError: a file in `verdicts/` has an unknown suffix.
    """
    found = [path for path in files if path.exists()]
    if worklist is None:
        return found
    studio = worklist / STUDIO_ANSWERS
    for path in sorted((worklist / VERDICTS).glob("*")):
        if path.name.startswith((".", "~")) or path.suffix == PARTIAL or not path.is_file() or path == studio:
            continue  # left by editors, file managers and writers that were killed, or added last below
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{path}: verdicts are read from {', '.join(SUFFIXES)}; save it as one of these, or remove it"
            )
        found.append(path)
    return [*found, *_filled_in(worklist, asked or read_asked(worklist)), *([studio] if studio.is_file() else [])]


def _filled_in(worklist: Path, asked: AskedRows) -> list[Path]:
    """List the sheets that were changed in place."""
    firsts = [next(iter(files.items())) for files in asked.sheets.values()]
    sheets = [(worklist / SHEETS / name, digest) for name, digest in firsts if name.count(".") == 1]
    return [path for path, digest in sheets if path.suffix != ".json" and path.exists() and digest_file(path) != digest]


def digests(worklist: Path | None, files: Sequence[Path] = (), asked: AskedRows | None = None) -> dict[str, str]:
    """Compute the digest of every file that holds answers, by path."""
    return {str(path): digest_file(path) for path in answer_files(worklist, files, asked)}


def late(worklist: Path, files: Sequence[Path], seen: Collection[str]) -> list[str]:
    """List the names of the files of answers whose digests are not among `seen`.

    Never fails, since it is called for finished tables.
    """
    try:
        return [Path(path).name for path, digest in digests(worklist, files).items() if digest not in seen]
    except (InputError, OSError):
        return []
