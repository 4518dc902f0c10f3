"""Read verdicts back from filled-in sheets and exports of tools.

    .csv .tsv .txt   as spreadsheets save it: BOM or UTF-16, commas, semicolons or tabs, names in any case, empty rows;
                     or the results of a batch as Mechanical Turk gives them
    .jsonl .ndjson   one object per line
    .json            exports of Label Studio as JSON or JSON-MIN, or a list of objects as in .jsonl

Rows whose verdict is blank are not labelled yet and are skipped. Everything else that cannot be read is an error that
names the lines: nothing is left out silently.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from poolwright.annotation.answers import WrittenAnswer
from poolwright.annotation.exchange.label_studio import records_of_task
from poolwright.annotation.exchange.mturk import is_batch, record_of_assignment
from poolwright.annotation.verdicts import Verdict, Words
from poolwright.core.errors import InputError, did_you_mean
from poolwright.core.wording import unguarded

T = TypeVar("T")

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json")
FIELDS = ("uid", "verdict", "annotator", "time", "comment")
_SHOWN = 5  # bad lines named in an error
_CELL = 1 << 24  # maximum number of characters of a cell

Record = Mapping[str, Any]


def read_verdicts(path: Path, words: Mapping[str, str] | None = None, *, skips: bool = False) -> list[Verdict]:
    """Read the verdicts in a file, in its order.

    Args:
        path: a filled-in sheet, or an export of Label Studio or Mechanical Turk.
        words: meanings of words besides the usual ones: {"map": "positive", "other": "negative"}.
        skips: whether a skipped row is 'skipped' rather than 'unsure'.

    Returns:
        Verdicts; annotators without a name are named after the file, without its suffix.

    Raises:
        InputError: the file cannot be read, has no column uid or verdict, or has bad lines; the message names them.
    """
    known = Words.with_skips(words) if skips else Words(words)

    def verdict(record: Record, where: str) -> Verdict | None:
        meaning = known.meaning(_cell(record.get("verdict")))
        if meaning is None:
            return None
        said = _answer(record, path, where)
        return Verdict(said.uid, meaning, said.annotator, said.time, said.comment)

    return _read(path, verdict)


def read_answers(path: Path) -> list[WrittenAnswer]:
    """Read the answers in a file as they were written, in its order; their words are interpreted by the caller.

    Raises:
        InputError: as `read_verdicts`, except for unknown words.
    """

    def answer(record: Record, where: str) -> WrittenAnswer | None:
        return _answer(record, path, where) if _cell(record.get("verdict")).strip() else None

    return _read(path, answer)


def _read(path: Path, make: Callable[[Record, str], T | None]) -> list[T]:
    """Apply `make` to every record; None is left out, and a ValueError is reported with its line."""
    read = _reader(path)
    found, bad = [], []
    for line, record in read(path, _text(path)):
        try:
            if isinstance(record, str):
                raise ValueError(record)
            made = make(record, line)
        except ValueError as error:
            bad.append(f"{line}: {error}")
        else:
            found.extend([made] if made is not None else [])
    if bad:
        raise InputError(f"{path}: {join_errors(bad)}")
    return found


def join_errors(bad: list[str]) -> str:
    """Join the first errors, and the number of further ones, into one message."""
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return f"{'; '.join(bad[:_SHOWN])}{more}"


def _answer(record: Record, path: Path, where: str) -> WrittenAnswer:
    uid = _cell(record.get("uid"))
    if not uid.strip():
        raise ValueError("a verdict without uid")
    word, who, about, time, comment = (
        _cell(record.get(name)) for name in ("verdict", "annotator", "class", "time", "comment")
    )
    return WrittenAnswer(uid, word, who.strip() or path.stem, about, time.strip(), comment, f"{path}: {where}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value)


def _reader(path: Path) -> Callable[[Path, str], Iterator[tuple[str, Record | str]]]:
    readers = dict(zip(SUFFIXES, (_csv, _csv, _csv, _json_lines, _json_lines, _json), strict=True))
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: verdicts are read from {', '.join(readers)}; save it as one of these")
    return readers[path.suffix.lower()]


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8; save it as 'CSV UTF-8'") from None


def _csv(path: Path, text: str) -> Iterator[tuple[str, Record | str]]:
    skipped = text.find("\n") + 1 if text[:4].lower() == "sep=" else 0
    before = 1 if skipped else 0
    text = text[skipped:]
    csv.field_size_limit(_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        names: list[str] = []
        line = 1
        for cells in reader:
            where, line = f"line {line + before}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not names:
                names = _names(path, cells)
            elif any(cell.strip() for cell in cells[len(names) :]):
                yield where, f"{len(cells)} cells for {len(names)} columns; a text with the delimiter needs quotes"
            else:
                yield where, _record(dict(zip(names, map(unguarded, cells), strict=False)))
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num + before}: {error}") from None
    if not names:
        raise InputError(f"{path} is empty; it needs the columns uid and verdict")


def _record(cells: dict[str, str]) -> Record | str:
    if not is_batch(cells):
        return cells
    try:
        return record_of_assignment(cells)
    except ValueError as error:
        return str(error)


def _names(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip().casefold() for cell in cells]
    if is_batch(names):
        return names
    for name in ("uid", "verdict"):
        if name not in names:
            raise InputError(f"{path} has no column '{name}'; {did_you_mean(name, [each for each in names if each])}")
    return names


def _delimiter(text: str) -> str:
    """Return the most frequent delimiter of the header: spreadsheets write ';' if the comma is the decimal sign."""
    first = next((line for line in text.splitlines() if line.strip(" ,;\t")), "")
    return max(",;\t", key=first.count)


def _json_lines(path: Path, text: str) -> Iterator[tuple[str, Record | str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"line {number}", _object(line)


def _object(line: str) -> Record | str:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return f"not valid JSON: {error.msg}"
    return value if isinstance(value, dict) else "not a JSON object"


def _json(path: Path, text: str) -> Iterator[tuple[str, Record | str]]:
    try:
        tasks = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: not valid JSON: {error.msg}") from None
    if not isinstance(tasks, list):
        raise InputError(f"{path}: a list is expected; export from Label Studio as JSON or JSON-MIN")
    for number, task in enumerate(tasks, start=1):
        where = f"task {number}"
        if not isinstance(task, dict):
            yield where, "not a JSON object"
            continue
        try:
            records = records_of_task(task)
        except ValueError as error:
            yield where, str(error)
        else:
            yield from ((where, record) for record in records)
