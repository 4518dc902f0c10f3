"""Reading verdicts back, from what people and their tools make of a sheet.

    .csv .tsv .txt   as spreadsheets save it: BOM or UTF-16, commas, semicolons or tabs, names in any case, empty rows
    .jsonl .ndjson   one object a line
    .json            what Label Studio exports as JSON or JSON-MIN, or a list of objects as in .jsonl

Rows whose verdict is blank are not labelled yet, and passed over. Everything else that cannot be read is an error that
says in which lines: nothing is left out in silence.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from poolwright.core.errors import InputError, did_you_mean
from poolwright.verify.cells import unguarded
from poolwright.verify.label_studio import records_of_task
from poolwright.verify.verdicts import Verdict, Words

FIELDS = ("uid", "verdict", "annotator", "time", "comment")
_SHOWN = 5  # bad lines named in an error
_CELL = 1 << 24  # characters of a cell at most

Record = Mapping[str, Any]


def read_verdicts(path: Path, words: Mapping[str, str] | None = None) -> list[Verdict]:
    """The verdicts in a file, in its order.

    Args:
        path: a sheet that was filled in, or an export of Label Studio.
        words: what words mean beside the usual ones: {"map": "positive", "other": "negative"}.

    Returns:
        Verdicts; who has no annotator's name is called like the file, without its ending.

    Raises:
        InputError: the file cannot be read, has no column uid or verdict, or has bad lines; they are named.
    """
    known = Words(words)
    read = _reader(path)
    verdicts, bad = [], []
    for line, record in read(path, _text(path)):
        try:
            verdict = _verdict(record, known, path.stem)
        except ValueError as error:
            bad.append(f"{line}: {error}")
        else:
            verdicts.extend([verdict] if verdict else [])
    if bad:
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise InputError(f"{path}: {'; '.join(bad[:_SHOWN])}{more}")
    return verdicts


def _verdict(record: Record | str, words: Words, annotator: str) -> Verdict | None:
    if isinstance(record, str):
        raise ValueError(record)
    meaning = words.meaning(_cell(record.get("verdict")))
    uid = _cell(record.get("uid"))
    if meaning is None:
        return None
    if not uid.strip():
        raise ValueError("a verdict without uid")
    who, time, comment = (_cell(record.get(name)) for name in ("annotator", "time", "comment"))
    return Verdict(uid, meaning, who.strip() or annotator, time.strip(), comment)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value)


def _reader(path: Path) -> Callable[[Path, str], Iterator[tuple[str, Record | str]]]:
    readers = {".csv": _csv, ".tsv": _csv, ".txt": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json}
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
                yield where, dict(zip(names, map(unguarded, cells), strict=False))
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num + before}: {error}") from None
    if not names:
        raise InputError(f"{path} is empty; it needs the columns uid and verdict")


def _names(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip().casefold() for cell in cells]
    for name in ("uid", "verdict"):
        if name not in names:
            raise InputError(f"{path} has no column '{name}'; {did_you_mean(name, [each for each in names if each])}")
    return names


def _delimiter(text: str) -> str:
    """That which the line of names has most of: spreadsheets take ';' where the comma is the decimal sign."""
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
        return f"no JSON: {error.msg}"
    return value if isinstance(value, dict) else "no JSON object"


def _json(path: Path, text: str) -> Iterator[tuple[str, Record | str]]:
    try:
        tasks = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: no JSON: {error.msg}") from None
    if not isinstance(tasks, list):
        raise InputError(f"{path}: a list is expected; export from Label Studio as JSON or JSON-MIN")
    for number, task in enumerate(tasks, start=1):
        where = f"task {number}"
        if not isinstance(task, dict):
            yield where, "no JSON object"
            continue
        try:
            records = records_of_task(task)
        except ValueError as error:
            yield where, str(error)
        else:
            yield from ((where, record) for record in records)
