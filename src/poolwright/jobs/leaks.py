"""Compares datasets with each other: counts the rows that they have in common, and shows some of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import IMAGE, ROW_ERROR, UID, is_groupable, is_text, is_vector, same_space
from poolwright.core.errors import BadPart, InputError, MissingExtra, RecipeError, did_you_mean, is_installed
from poolwright.core.images.image_files import Limits
from poolwright.core.images.phash import phash_of_file
from poolwright.core.results.leaks import HASHES, PHASH, SHA256, Leak, LeakReport, LeakSet
from poolwright.core.rows import one_array
from poolwright.core.runtime.cores import cores
from poolwright.core.wording import some
from poolwright.jobs.open_source import open_source
from poolwright.release.data.naming import split_order
from poolwright.release.leaks.count import hash_keys, texts_of, with_vectors
from poolwright.release.leaks.near import add_near_rows
from poolwright.release.leaks.tally import LeakTally, leak_tally
from poolwright.report.images.thumbnails import thumbnail
from poolwright.run.sources.source import Source

_SET = "set"
_BATCH_ROWS = 65_536
_EXAMPLES = 24
"""Pairs of rows that are shown for each pair of sets and kind of comparison."""
_PICTURE_BYTES = 9_000
_LIMITS = Limits()


@dataclass
class _Compared:
    """One of the sets, with what is compared of it.

    Attributes:
        name: as it was given.
        number: place among the sets.
        source: its rows.
        columns: hashes that it has a column for.
        hashed: hashes that are computed from its images.
        rows, unreadable: counts so far.
    """

    name: str
    number: int
    source: Source
    columns: tuple[str, ...]
    hashed: tuple[str, ...]
    rows: int = 0
    unreadable: int = 0

    def names(self, uids: pa.ChunkedArray) -> pa.Array:
        """Return names for rows that no row of another set has."""
        return pc.binary_join_element_wise(str(self.number), texts_of(uids), "/")

    def parts(self, rows: pa.Table, by: str | None) -> pa.Array:
        """Return the part of each row: the set, or its part of the set; null if it is in none."""
        if by is None:
            return pa.repeat(pa.scalar(str(self.number)), len(rows))
        return pc.binary_join_element_wise(str(self.number), texts_of(rows.column(by)), "/")

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows that have a uid, in batches.

        Raises:
            InputError: a part cannot be read.
        """
        names = list(dict.fromkeys([UID, *columns, *({ROW_ERROR} & set(self.source.schema.names))]))
        for part in self.source.parts:
            try:
                for table in self.source.read(part, names, _BATCH_ROWS):
                    yield table.filter(pc.is_valid(table.column(UID)))
            except BadPart as error:
                raise InputError(f"{self.name}: {error}; mend or remove the file") from None


def compare_sets(
    given: Sequence[str],
    kind: str | None = None,
    vectors: str | None = None,
    above: float = 0.95,
    within: bool = False,
    by: str | None = None,
    pictures: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> LeakReport:
    """Compare datasets with each other by SHA-256, perceptual hashes, and vectors if all have them.

    Args:
        given: paths of releases, tables of runs, folders of images, datasets, or pools; two or more.
        kind: kind of the pools, if their paths do not show it.
        vectors: column of vectors, or 'none'; default the first that all have, unless its name has 'text' in it.
        above: least cosine of near vectors.
        within: compare rows of the same set, too.
        by: column that divides each set into parts, such as split: these are compared with each other.
        pictures: make small pictures of the examples.
        note: receives what is done.

    Raises:
        RecipeError: a set does not exist, or there is nothing to compare.
        InputError: a part of one cannot be read.
    """
    if len(given) < (1 if within or by else 2) or len(set(given)) < len(given):
        raise RecipeError("name two or more different sets to compare; or one, with --by COLUMN or --within")
    sources = [open_source(name, kind) for name in given]
    left_out: dict[str, str] = {}
    compared = [how for how in HASHES if _comparable(how, given, sources, left_out)]
    column = None if vectors == "none" else _vectors(given, sources, vectors)
    if by is not None:
        _check_parts(by, given, sources)
    sets = [
        _set_of(name, number, source, compared)
        for number, (name, source) in enumerate(zip(given, sources, strict=True))
    ]
    if not compared and not column:
        raise RecipeError(f"there is nothing to compare: {'; '.join(f'{how}: {why}' for how, why in left_out.items())}")
    with leak_tally([_SET], within=within, examples=_EXAMPLES) as tally:
        for one in sets:
            note(f"reading {one.name}")
            _add(tally, one, by)
        found = [leak for how in compared for leak in tally.count_equal(how, _order)]
        if column:
            note(f"comparing vectors of '{column}'")
            add_near_rows(tally, column, _all_vectors(sets, column), above)
            found += tally.count_near(column, _order)
    if not found:
        found = [Leak(_SET, how, 0, 0) for how in (*compared, *([column] if column else []))]
    named = tuple(_named(leak, given, by) for leak in found)
    return LeakReport(
        sets=tuple(LeakSet(one.name, one.rows, one.unreadable) for one in sets),
        compared=(*compared, *([column] if column else [])),
        left_out=left_out,
        above=above if column else None,
        found=named,
        pictures=_pictures(found, named, sets) if pictures else {},
    )


def _comparable(how: str, given: Sequence[str], sources: Sequence[Source], left_out: dict[str, str]) -> bool:
    """Whether every set has a hash or images to compute it from; else note why not."""
    lacking = [
        name
        for name, source in zip(given, sources, strict=True)
        if not _has(source, how) and IMAGE not in source.schema.names
    ]
    if lacking:
        left_out[how] = f"no column and no images: {some(lacking)}"
    elif how == PHASH and not all(_has(source, how) for source in sources) and not is_installed("imagehash"):
        left_out[how] = str(MissingExtra("imagehash", "perceptual hashes"))
    return how not in left_out


def _has(source: Source, how: str) -> bool:
    return how in source.schema.names and is_text(source.schema.field(how).type)


def _vectors(given: Sequence[str], sources: Sequence[Source], named: str | None) -> str | None:
    """Return the column of vectors to compare.

    Raises:
        RecipeError: a set does not have the named one, or vectors of one model are compared with those of another.
    """
    fields = [{one.name: one for one in source.schema if is_vector(one.type)} for source in sources]
    for name, known in zip(given, fields, strict=True):
        if named is not None and named not in known:
            raise RecipeError(f"{name}: has no column of vectors '{named}' (there are: {some(list(known)) or 'none'})")
    usual = (name for name in fields[0] if all(name in known for known in fields) and "text" not in name.lower())
    column = named or next(usual, None)
    for known in fields[1:] if column else ():
        same_space(fields[0][str(column)], known[str(column)])
    return column


def _check_parts(by: str, given: Sequence[str], sources: Sequence[Source]) -> None:
    """Check that every set has the column that divides it into parts."""
    for name, source in zip(given, sources, strict=True):
        names = source.schema.names
        if by not in names or not is_groupable(source.schema.field(by).type):
            raise RecipeError(f"{name}: has no column '{by}' of texts or integers; {did_you_mean(by, names)}")


def _order(part: str) -> tuple[int, Any]:
    """Return the sort key of a part: by set, then training before validation before test."""
    number, _, value = part.partition("/")
    return int(number), split_order(value)


def _set_of(name: str, number: int, source: Source, compared: Sequence[str]) -> _Compared:
    columns = tuple(how for how in compared if _has(source, how))
    return _Compared(name, number, source, columns, tuple(how for how in compared if how not in columns))


def _add(tally: LeakTally, one: _Compared, by: str | None) -> None:
    """Add the rows of a set with their hashes."""
    with ThreadPoolExecutor(cores()) as threads:
        for rows in one.batches([*one.columns, *([by] if by else []), *([IMAGE] if one.hashed else [])]):
            names = one.names(rows.column(UID))
            one.rows += len(rows)
            tally.add_parts(names, {_SET: one.parts(rows, by)})
            for how in one.columns:
                tally.add_keys(how, names, hash_keys(rows.column(how)))
            if not one.hashed:
                continue
            images = (value.as_py() for value in one_array(rows.column(IMAGE)))
            found = list(threads.map(lambda data: _hashes(data, one.hashed), images))
            one.unreadable += sum(not hashes.get("read") for hashes in found)
            for how in one.hashed:
                tally.add_keys(how, names, pa.array([hashes.get(how) for hashes in found], pa.string()))


def _hashes(image: bytes | dict[str, bytes] | None, wanted: Sequence[str]) -> dict[str, str | None]:
    """Return the hashes of an image file by kind, and under 'read' something if it could be read."""
    data = image.get("bytes") if isinstance(image, dict) else image
    if not data:
        return {}
    found: dict[str, str | None] = {SHA256: sha256(data).hexdigest(), "read": "yes"}
    if PHASH in wanted:
        found[PHASH], reason = phash_of_file(data, _LIMITS)
        found["read"] = None if reason else "yes"
    return found


def _all_vectors(sets: Sequence[_Compared], column: str) -> Iterator[tuple[pa.Array, np.ndarray]]:
    for one in sets:
        for rows in one.batches([column]):
            yield from with_vectors(one.names(rows.column(UID)), one_array(rows.column(column)))


def _named(leak: Leak, given: Sequence[str], by: str | None) -> Leak:
    """Return a count with the names of sets and rows as they were given."""

    def row(name: str) -> str:
        return name.partition("/")[2]

    def part(name: str) -> str:
        number, _, value = name.partition("/")
        return given[int(number)] if by is None else value if len(given) == 1 else f"{given[int(number)]} {value}"

    pairs = tuple(
        type(pair)(
            part(pair.one), part(pair.other), pair.values, pair.rows_one, pair.rows_other,
            tuple((row(one), row(other)) for one, other in pair.examples),
        )
        for pair in leak.pairs
    )  # fmt: skip
    return Leak(by or leak.by, leak.how, leak.rows, leak.later, pairs, leak.more_pairs, leak.drawn)


def _pictures(found: Sequence[Leak], named: Sequence[Leak], sets: Sequence[_Compared]) -> dict[tuple[str, str], str]:
    """Return small pictures of the examples, as data URIs, by the names of their part and row."""
    wanted: dict[int, dict[str, str]] = defaultdict(dict)
    for leak, shown in zip(found, named, strict=True):
        for mine, pair in zip(leak.pairs, shown.pairs, strict=True):
            for one, other in pair.examples:
                wanted[int(mine.one.partition("/")[0])][one] = pair.one
                wanted[int(mine.other.partition("/")[0])][other] = pair.other
    pictures: dict[tuple[str, str], str] = {}
    for number, uids in wanted.items():
        source = sets[number].source
        if IMAGE not in source.schema.names:
            continue
        # Only paths are read of all rows; where images are in the rows themselves, those are.
        columns = source.stored([UID, IMAGE])
        for rows in sets[number].batches(columns):
            rows = rows.filter(pc.is_in(texts_of(rows.column(UID)), value_set=pa.array(sorted(uids))))
            if len(rows):
                for row in source.with_images(rows, [UID, IMAGE]).table.to_pylist():
                    _add_picture(pictures, uids[str(row[UID])], row)
    return pictures


def _add_picture(pictures: dict[tuple[str, str], str], part: str, row: Mapping[str, object]) -> None:
    image = row[IMAGE]
    data = image.get("bytes") if isinstance(image, dict) else image
    small = thumbnail(data, _PICTURE_BYTES) if isinstance(data, bytes) else ""
    if not isinstance(small, str):
        pictures[part, str(row[UID])] = small.uri
