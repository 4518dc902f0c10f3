"""Make contact sheets: some kept rows of each of the largest classes, and some dropped rows for every reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE, IMAGE_ERROR, IMAGE_PATH, SIMILARITY, TEXT, TITLE, UID
from poolwright.core.errors import PoolwrightError
from poolwright.core.images.image import REASONS
from poolwright.core.rows import Rows
from poolwright.core.table import ReasonRecord, Table
from poolwright.core.wording import number
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.report.charts.distributions import BATCH_ROWS
from poolwright.report.charts.words import cut
from poolwright.report.images.thumbnails import NO_ROOM, Thumbnail, thumbnail
from poolwright.report.view import TableView

CLASSES, PER_CLASS, PER_REASON = 12, 8, 16
_FEWEST_PER_REASON = 4
_PROBLEMS = {reason.name: reason.words for reason in REASONS} | {NO_ROOM: "too detailed for a thumbnail"}
_CAPTION = 140


@dataclass(frozen=True)
class SheetCard:
    """One row on a sheet.

    Attributes:
        uid: uid of the row.
        caption: its text, shortened.
        picture: its thumbnail; None if there is none.
        problem: reason for a missing picture; empty if nothing is wrong.
        notes: (column, value) pairs that describe the row.
    """

    uid: str
    caption: str
    picture: Thumbnail | None = None
    problem: str = ""
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Sheet:
    """Some rows that belong together. `rows` counts all of them; `bad` is for broken rows."""

    title: str
    about: str
    rows: int
    cards: tuple[SheetCard, ...]
    bad: bool = False
    failed: str = ""


@dataclass(frozen=True)
class Budget:
    """Limits for the pictures of one table: their number, and the bytes of each."""

    pictures: int
    bytes_each: int


def share_budget(tables: int, most_pictures: int, most_bytes: int) -> Budget:
    """Return an equal share for each table, so that the page stays within its size whatever the run."""
    pictures = max(12, min(288, most_pictures // max(1, tables)))
    return Budget(pictures, min(9_000, most_bytes * 3 // 4 // (pictures * max(1, tables))))


def kept_sheets(view: TableView, column: str | None, counts: Sequence[tuple[str, int]], budget: Budget) -> list[Sheet]:
    """Return sheets of rows of the largest groups, chosen by a hash of the uid.

    Args:
        column: column of the groups; None puts some rows of the table on one sheet.
        counts: (group, rows), largest first.
    """
    table = view.table
    if not table.record.rows_kept:
        return []
    groups = [value for value, _ in counts[:CLASSES]] if column else []
    if not groups:
        picked = _pick(table, None, [], min(3 * PER_CLASS, budget.pictures))
        return sheets_of(view, ["kept rows"], [table.record.rows_kept], picked, budget)
    picked = _pick(table, column, groups, max(1, min(PER_CLASS, budget.pictures // (2 * len(groups)))))
    return sheets_of(view, groups, [rows for _, rows in counts[:CLASSES]], picked, budget)


def sheets_of(
    view: TableView,
    titles: Sequence[str],
    counts: Sequence[int],
    picked: list[list[int]],
    budget: Budget,
    shown: Sequence[str] = (SIMILARITY,),
) -> list[Sheet]:
    """Return a sheet for each title, of the rows with these numbers in the table; `shown` are columns to show."""
    cards, failed = cards_of(view, [row for numbers in picked for row in numbers], budget, shown)
    sheets, start = [], 0
    for title, count, numbers in zip(titles, counts, picked, strict=True):
        sheets.append(Sheet(cut(title, 80), "", count, tuple(cards[start : start + len(numbers)]), failed=failed))
        start += len(numbers)
    return sheets


def cards_of(
    view: TableView, numbers: Sequence[int], budget: Budget, shown: Sequence[str] = ()
) -> tuple[list[SheetCard], str]:
    """Return cards of the rows with these numbers in the table, and the reason if the pictures cannot be read, else ''.

    Args:
        shown: columns to show on each card.
    """
    rows = fetch(view.table, numbers)
    try:
        images = view.image_bytes(rows)
        failed = ""
    except (PoolwrightError, OSError) as error:
        images, failed = [None] * len(rows), f"the pictures cannot be read: {error}"
    pictured = {IMAGE, IMAGE_PATH} & set(rows.schema.names) and not failed
    return _cards(rows, images, budget, shown, bool(pictured)), failed


def _pick(table: Table, column: str | None, groups: Sequence[str], each: int) -> list[list[int]]:
    """Return row numbers in the table, `each` per group: those whose uid has the smallest hash."""
    key = hash_key(table.record.seed, table.name, "report")
    values = pa.array(groups, pa.large_string())
    best: list[list[tuple[int, int]]] = [[] for _ in groups] or [[]]
    start = 0
    for rows in table.batches([UID, column] if column else [UID], BATCH_ROWS):
        members = _members(rows, column, values)
        hashes = hash64(rows.column(UID), key)
        for group, picked in enumerate(best):
            rows_in_group = np.flatnonzero(members == group)
            if len(rows_in_group) > each:
                rows_in_group = rows_in_group[np.argpartition(hashes[rows_in_group], each - 1)[:each]]
            picked += [(int(hashes[row]), start + int(row)) for row in rows_in_group]
            best[group] = sorted(picked)[:each]
        start += len(rows)
    return [[row for _, row in picked] for picked in best]


def _members(rows: Rows, column: str | None, values: pa.Array) -> np.ndarray:
    """Return the index of each row's group in `values`, -1 for others; 0 for all if there is no column."""
    if column is None:
        return np.zeros(len(rows), np.int64)
    array = rows.column(column)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    found = pc.index_in(array.cast(pa.large_string()), value_set=values)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False)).astype(np.int64)


def fetch(table: Table, wanted: Sequence[int], columns: Sequence[str] | None = None) -> Rows:
    """Read some rows by their number, in the given order; by default all columns except vectors and nested ones.

    Reads only the row groups that hold them.
    """
    columns = columns or [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    order = np.argsort(np.asarray(wanted, np.int64), kind="stable")
    found: list[pa.Table] = []
    start, at = 0, 0
    numbers = [int(wanted[row]) for row in order]
    for part in table.record.parts:
        if at == len(numbers):
            break
        if numbers[at] >= start + part.rows:
            start += part.rows
            continue
        with table.reading(part.file) as path, pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                in_group = [row - start for row in numbers[at:] if row < end]
                if in_group:
                    found.append(file.read_row_group(group, columns=list(columns)).take(in_group))
                    at += len(in_group)
                start = end
    together = pa.concat_tables(found) if found else table.schema.empty_table().select(list(columns))
    return Rows(together.take(np.argsort(order, kind="stable")))


def dropped_sheets(view: TableView, budget: Budget) -> list[Sheet]:
    """Return some rows for every reason that dropped any, in the order of the steps, with half the pictures at most."""
    record = view.table.record
    by_step = {row.step: row.dropped for row in record.funnel}
    reasons = [(reason, by_step.get(reason.step, {}).get(reason.name, 0)) for reason in record.reasons]
    reasons = [(reason, rows) for reason, rows in reasons if rows]
    left = budget.pictures // 2
    each = min(PER_REASON, max(_FEWEST_PER_REASON, left // max(1, len(reasons)) // 4 * 4))
    sheets = []
    for reason, rows in reasons:
        limit = min(each, left, PER_CLASS if reason.bad else PER_REASON)
        sheets.append(_dropped_sheet(view, reason, rows, limit, budget))
        left -= len(sheets[-1].cards)
    return sheets


def _dropped_sheet(view: TableView, reason: ReasonRecord, count: int, limit: int, budget: Budget) -> Sheet:
    record = view.table.record
    step = record.steps[reason.step] if reason.step >= 0 else None
    about = f"step {reason.step + 1}, {reason.verb}" if step else "before the first step"
    if not limit:
        return Sheet(reason.words, about, count, (), reason.bad, "no rows are shown: the page is full")
    try:
        rows = view.dropped_sample(reason.code, limit)
    except (PoolwrightError, OSError) as error:
        return Sheet(reason.words, about, count, (), reason.bad, f"the rows cannot be read: {error}")
    cards = dropped_cards(rows, _mentioned(step.parameters if step else {}, rows.schema), budget)
    return Sheet(reason.words, about, count, tuple(cards[:limit]), reason.bad)


def dropped_cards(rows: Rows, shown: Sequence[str], budget: Budget) -> list[SheetCard]:
    """Return cards of rows of `TableView.dropped_sample`; `shown` are columns to show on each."""
    names = set(rows.schema.names)
    images = rows.column(IMAGE).to_pylist() if IMAGE in names else [None] * len(rows)
    return _cards(rows, images, budget, shown, bool({IMAGE, IMAGE_PATH} & names))


def _mentioned(parameters: Any, schema: pa.Schema) -> list[str]:
    """Return the columns that the parameters of a step mention, on which its decision depended."""
    words = dict.fromkeys(re.findall(r"\w+", _flat(parameters)))
    fields = {field.name: field for field in schema if not pa.types.is_nested(field.type)}
    return [word for word in words if word in fields and word not in (UID, TEXT, IMAGE)][:4]


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(_flat(item) for item in value.values())
    if isinstance(value, list | tuple):
        return " ".join(_flat(item) for item in value)
    return str(value)


def _cards(
    rows: Rows, images: Sequence[bytes | None], budget: Budget, shown: Sequence[str], pictured: bool
) -> list[SheetCard]:
    names = rows.schema.names
    uids = _texts(rows, UID)
    captions = _texts(rows, TEXT if TEXT in names else TITLE)
    errors = rows.strings(IMAGE_ERROR) if IMAGE_ERROR in names else [None] * len(rows)
    notes = [(name, rows.table.column(name).to_pylist()) for name in shown if name in names]
    return [
        _card(
            cut(uids[row], 80),
            cut(captions[row], _CAPTION),
            images[row],
            errors[row] or ("missing_file" if pictured else ""),
            tuple((name, _note(values[row])) for name, values in notes),
            budget.bytes_each,
        )
        for row in range(len(rows))
    ]


def _card(
    uid: str, caption: str, image: bytes | None, error: str, notes: tuple[tuple[str, str], ...], most_bytes: int
) -> SheetCard:
    """Make a card; `error` is the reason if there are no bytes, empty if no picture is expected."""
    made: Thumbnail | str = thumbnail(image, most_bytes) if image is not None else error
    if isinstance(made, Thumbnail):
        return SheetCard(uid, caption, made, "", notes)
    return SheetCard(uid, caption, None, _PROBLEMS.get(made, made), notes)


def _texts(rows: Rows, name: str) -> list[str]:
    return [value or "" for value in rows.strings(name)] if name in rows.schema.names else [""] * len(rows)


def _note(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if 0.001 <= abs(value) < 1000 else number(value)
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    return cut(number(value), 60)
