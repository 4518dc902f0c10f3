"""Read verdicts back from filled-in sheets and exports of tools.

    .csv .tsv .txt   as spreadsheets save it: BOM or UTF-16, commas, semicolons or tabs, names in any case, empty rows;
                     or the results of a batch as Mechanical Turk gives them
    .jsonl .ndjson   one object per line
    .json            exports of Label Studio as JSON or JSON-MIN, or a list of objects as in .jsonl

Rows whose verdict is blank are not labelled yet and are skipped; `AnswerFile.found` counts them. Everything else that
cannot be read is an error that names the lines, and so is a file in which no field has the verdicts: nothing is left
out silently.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from poolwright.annotation.answers import WrittenAnswer, one_choice
from poolwright.annotation.exchange.label_studio import FIELDS, VERDICT, records_of_task
from poolwright.annotation.exchange.mturk import REJECTED, is_batch, record_of_assignment
from poolwright.annotation.verdicts import UnknownWord, Verdict, Words
from poolwright.core.errors import InputError, did_you_mean
from poolwright.core.texts.csv_quotes import unclosed_quote
from poolwright.core.texts.text_files import decode, delimiter_of, load_json, whole_text
from poolwright.core.wording import counted, some, unguarded
from poolwright.core.wording import rows as in_rows

T = TypeVar("T")

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json")
_USED = ("uid", VERDICT, "annotator", "class", "time", "comment")
_KEPT = (*_USED, "id", "annotation_id", "created_at", "updated_at", "lead_time")  # no answers
_SHOWN = 5  # bad lines named in an error
_CELL = 1 << 24  # maximum number of characters of a cell

Record = Mapping[str, Any]


@dataclass(frozen=True)
class AnswerFile(Generic[T]):
    """The answers in a file, in its order.

    Attributes:
        path: of the file.
        answers: verdicts, or answers as they were written.
        tasks: number of rows, tasks or assignments in the file.
        people: number of people who answered.
        rejected: number of assignments that were rejected, whose answers do not count.
    """

    path: Path
    answers: list[T]
    tasks: int
    people: int
    rejected: int

    @property
    def found(self) -> str:
        """What was found: "batch.csv: 20 rows, 18 answers by 3 people; 2 rejected"."""
        answers = counted(len(self.answers), "answer")
        people = counted(self.people, "person", "people")
        rejected = f"; {self.rejected:,} rejected" if self.rejected else ""
        return f"{self.path.name}: {in_rows(self.tasks)}, {answers} by {people}{rejected}"


def read_verdicts(
    path: Path, words: Mapping[str, str] | None = None, *, skips: bool = False, field: str = VERDICT
) -> list[Verdict]:
    """Read the verdicts in a file, in its order; see `verdict_file`."""
    return verdict_file(path, words, skips=skips, field=field).answers


def verdict_file(
    path: Path, words: Mapping[str, str] | None = None, *, skips: bool = False, field: str = VERDICT
) -> AnswerFile[Verdict]:
    """Read the verdicts in a file.

    Args:
        path: a filled-in sheet, or an export of Label Studio or Mechanical Turk.
        words: meanings of words besides the usual ones: {"map": "positive", "other": "negative"}.
        skips: whether a skipped row is 'skipped' rather than 'unsure'.
        field: name of the verdict in the file: of a column, a key, a control of Label Studio or an answer of
            Mechanical Turk. A file without it may have 'verdict'.

    Returns:
        Verdicts; annotators without a name are named after the file, without its suffix.

    Raises:
        InputError: the file cannot be read, has no uid or verdict, or has bad lines; the message names them.
    """
    known = Words.with_skips(words) if skips else Words(words)

    def verdict(said: WrittenAnswer) -> Verdict | None:
        if (meaning := known.meaning(one_choice(said.word))) is None:
            return None
        return Verdict(said.uid, meaning, said.annotator, said.time, said.comment, said.where)

    return _read(path, verdict, field)


def answer_file(path: Path, field: str = VERDICT) -> AnswerFile[WrittenAnswer]:
    """Read the answers in a file as they were written; their words are interpreted by the caller.

    Raises:
        InputError: as `verdict_file`, except for unknown words.
    """
    return _read(path, lambda answer: answer, field)


def _read(path: Path, make: Callable[[WrittenAnswer], T | None], field: str) -> AnswerFile[T]:
    """Apply `make` to every answer; None is left out, and a ValueError is reported with its line."""
    read, text = _reader(path), _text(path)
    names = NamelessPeople(path)
    found, bad, people, fields = [], [], set(), dict[str, None]()
    tasks = rejected = 0
    unknown = Counter[str]()
    understood, last = False, ""
    for line, record in read(path, text, field):
        tasks += line != last  # annotations of one task have its line
        last = line
        try:
            if isinstance(record, str):
                raise ValueError(record)
            understood |= VERDICT in record
            fields.update(dict.fromkeys(record.get(FIELDS, record)))
            rejected += bool(record.get(REJECTED))
            if not _cell(record.get(VERDICT)).strip():
                continue
            said = _answer(record, names, f"{path}: {line}")
            made = make(said)
        except UnknownWord as error:
            bad.append(f"{line}: {error}")
            unknown[said.word.strip()] += 1
        except ValueError as error:
            bad.append(f"{line}: {error}")
        else:
            found.extend([made] if made is not None else [])
            people.add(said.annotator)
    if bad:
        raise InputError(f"{path}: {join_errors(bad)}{unknown_values(unknown, len(found))}")
    if fields and not understood:
        shown = some([f"'{name}'" for name in fields if name not in _KEPT] or ["none"])
        raise InputError(
            f"{path}: {in_rows(tasks)}, and none has a field '{field}'; fields: {shown}; name the field that has the "
            "verdicts: field: NAME"
        )
    return AnswerFile(path, found, tasks, len(people), rejected)


def unknown_values(unknown: Counter[str], known: int) -> str:
    """Return how many answers have unknown values, and which, as the end of an error; '' for one, which was shown."""
    if unknown.total() < 2:
        return ""
    words = some([f"'{word}' ({count:,})" for word, count in unknown.most_common()])
    return f"; {unknown.total():,} of {unknown.total() + known:,} answers have unknown values: {words}"


def join_errors(bad: list[str]) -> str:
    """Join the first errors, and the number of further ones, into one message."""
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return f"{'; '.join(bad[:_SHOWN])}{more}"


class NamelessPeople:
    """Names for people without one: the file's for the first on a row, and with a number for further ones.

    Annotations with numbers of their own are of different people, unless they say otherwise.
    """

    def __init__(self, path: Path) -> None:
        self._stem = path.stem
        self._of_row: dict[str, list[str]] = {}

    def name(self, uid: str, annotation: str) -> str:
        """Return the name of the person who made an annotation of a row; '' is an annotation without number."""
        known = self._of_row.setdefault(uid, [])
        if annotation not in known:
            known.append(annotation)
        at = known.index(annotation)
        return f"{self._stem} {at + 1}" if at else self._stem


def _answer(record: Record, names: NamelessPeople, where: str) -> WrittenAnswer:
    uid = _cell(record.get("uid"))
    if not uid.strip():
        raise ValueError("a verdict without uid")
    word, who, about, time, comment = (
        _cell(record.get(name)) for name in (VERDICT, "annotator", "class", "time", "comment")
    )
    who = who.strip() or names.name(uid, _cell(record.get("annotation_id")))
    return WrittenAnswer(uid, word, who, about, time.strip(), comment, where)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return whole_text(str(value))


def _reader(path: Path) -> Callable[[Path, str, str], Iterator[tuple[str, Record | str]]]:
    readers = dict(zip(SUFFIXES, (_csv, _csv, _csv, _json_lines, _json_lines, _json), strict=True))
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: verdicts are read from {', '.join(readers)}; save it as one of these")
    return readers[path.suffix.lower()]


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    try:
        return decode(data)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8; save it as 'CSV UTF-8'") from None


def _csv(path: Path, text: str, field: str) -> Iterator[tuple[str, Record | str]]:
    skipped = text.find("\n") + 1 if text[:4].lower() == "sep=" else 0
    before = 1 if skipped else 0
    text = text[skipped:]
    csv.field_size_limit(_CELL)
    delimiter = delimiter_of(text)
    if unclosed := unclosed_quote(io.BytesIO(("\n" * before + text).encode()), delimiter):
        raise InputError(f"{path}: {unclosed}")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names: list[str] = []
        shown: dict[str, str] = {}
        line = 1
        for cells in reader:
            where, line = f"line {line + before}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if not names:
                names = _names(path, cells, field)
                shown = dict(zip(names, map(str.strip, cells), strict=True))
            elif any(cell.strip() for cell in cells[len(names) :]):
                yield where, f"{len(cells)} cells for {len(names)} columns; a text with the delimiter needs quotes"
            else:
                yield where, _record(dict(zip(names, map(unguarded, cells), strict=False)), field, shown)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num + before}: {error}") from None
    if not names:
        raise InputError(f"{path} is empty; it needs the columns uid and verdict")


def _record(cells: dict[str, str], field: str, shown: Mapping[str, str]) -> Record | str:
    if not is_batch(cells):
        return cells
    try:
        record = record_of_assignment(cells, field.casefold())
    except ValueError as error:
        return str(error)
    return {**record, FIELDS: [shown[name] for name in record[FIELDS]]}


def _names(path: Path, cells: list[str], field: str) -> list[str]:
    """Return the names of the columns in lower case, the one that has the verdicts as 'verdict'."""
    names = [cell.strip().casefold() for cell in cells]
    batch = is_batch(names)
    wanted = field.strip().casefold()
    twice = [name for name in _USED if names.count(name) > 1]
    if wanted in names and wanted != VERDICT and not batch:
        names = [VERDICT if name == wanted else "" if name == VERDICT else name for name in names]
        twice += [field] if names.count(VERDICT) > 1 else []
    twice += [name for name in dict.fromkeys(names) if batch and name.startswith("answer.") and names.count(name) > 1]
    if twice:
        raise InputError(f"{path} has the column '{twice[0]}' more than once; rename or remove one")
    for name in ("uid", VERDICT) if not batch else ():
        if name not in names:
            hint = "; name the column that has the verdicts: field: NAME" if name == VERDICT else ""
            known = [each for each in names if each]
            raise InputError(f"{path} has no column '{field if hint else name}'; {did_you_mean(name, known)}{hint}")
    return names


def _json_lines(path: Path, text: str, field: str) -> Iterator[tuple[str, Record | str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield from _records(f"line {number}", _object(line), field)


def _object(line: str) -> Any:
    try:
        return load_json(line)
    except json.JSONDecodeError as error:
        return f"not valid JSON: {error.msg}"


def _records(where: str, task: Any, field: str) -> Iterator[tuple[str, Record | str]]:
    if not isinstance(task, dict):
        yield where, task if isinstance(task, str) else "not a JSON object"
        return
    try:
        records = records_of_task(task, field)
    except ValueError as error:
        yield where, str(error)
    else:
        yield from ((where, record) for record in records or [{FIELDS: ()}])


def _json(path: Path, text: str, field: str) -> Iterator[tuple[str, Record | str]]:
    try:
        tasks = load_json(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: not valid JSON: {error.msg}") from None
    if not isinstance(tasks, list):
        raise InputError(f"{path}: a list is expected; export from Label Studio as JSON or JSON-MIN")
    for number, task in enumerate(tasks, start=1):
        yield from _records(f"task {number}", "not a JSON object" if isinstance(task, str) else task, field)
