"""Distinguish and number the classes of a table, in the same way in every layout.

ImageNet has two classes 'crane' and two 'maillot'. If a table numbers its classes, or gives their WordNet ids, two
classes of one name stay two: their names are followed by the WordNet id, else by the number.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from poolwright.core.class_labels import look_alikes
from poolwright.core.columns import LABEL, LABEL_INDEX, classes_of, is_text
from poolwright.core.errors import ReleaseError
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.release.record import ReleaseRecord
from poolwright.release.statistics import Statistics

WNID = "wnid"
_WHOLE = re.compile(r"0|-?[1-9]\d*")

Key = int | str | None
NamedClass = tuple[str, Key]
"""A class: its name, and the value that distinguishes it from other classes of that name."""


@dataclass(frozen=True)
class ClassNames:
    """The classes of a table.

    Attributes:
        column: column of the names.
        key: column that distinguishes classes of the same name; None if every name stands for one class.
        names: unique name of each class, by its number.
    """

    column: str
    key: str | None
    names: tuple[str, ...]
    _name_of: Mapping[NamedClass, str]

    @classmethod
    def of(
        cls,
        table: Table,
        column: str,
        index: str | None = None,
        by_index: bool = False,
        alphabetical: bool = False,
    ) -> ClassNames:
        """Find the classes of a table.

        They are those of its source in their order, if this is known, even those without rows; else those with rows, in
        the order of their names. Integers are in the order of their values.

        Args:
            column: column of the names.
            index: column that distinguishes classes of the same name; default `<column>_index` or, for labels, the
                WordNet id, if each of its values has one name.
            by_index: number the classes as `label_index` does, if it numbers them from 0 and their source does not.
            alphabetical: take the classes that have rows, whatever numbers and further classes their source has.

        Raises:
            ReleaseError: a value of `index` has two names, or a name of two classes has no index in some row.
        """
        schema = table.schema
        keys = [name for name in ([index] if index else _keys(column)) if _is_key(schema, name)]
        more = [name for name in (WNID, LABEL_INDEX) if _is_key(schema, name)]
        found = _distinct(table, list(dict.fromkeys([column, *keys, *more])))
        if index:
            _require_one_name(table.name, column, index, found)
        usable = [key for key in keys if index or not _two_names(column, key, found)]
        key = next((key for key in usable if _ambiguous(column, key, found)), None)
        if key is None:
            names = in_order({str(row[column]) for row in found if row[column] is not None})
            declared = () if alphabetical else classes_of(schema.field(column))
            if declared and set(names) <= set(declared):
                names = list(declared)
            elif by_index and LABEL_INDEX in more:
                names = _numbered(column, names, found)
            return cls(column, None, tuple(names), {(name, None): name for name in names})
        kinds = _kinds(table.name, column, key, found)
        shown = _shown(kinds, column, key, found if WNID in more else [])
        return cls(column, key, tuple(shown.values()), shown | _sole(shown))

    def of_rows(self, rows: Rows) -> list[str | None]:
        """Return the unique name of each row's class; None for rows without a class."""
        names = rows.strings(self.column)
        if self.key is None:
            return names
        keys = rows.column(self.key).to_pylist()
        return [None if name is None else self._name_of[name, key] for name, key in zip(names, keys, strict=True)]

    @property
    def columns(self) -> list[str]:
        """The columns that `of_rows` reads."""
        return [self.column, *([self.key] if self.key else [])]


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names of classes: as numbers if all are integers, else as text."""
    listed = list(names)
    return sorted(listed, key=int) if all(map(_WHOLE.fullmatch, listed)) else sorted(listed)


def class_notes(release: ReleaseRecord, statistics: Statistics, column: str | None) -> list[str]:
    """Return what a user should know about the names of the classes, in sentences.

    Args:
        column: column of the names, if the layout names one; used if the release has no list of names.
    """
    names = release.classes or [str(value) for value, _ in statistics.counts(column or LABEL) if value is not None]
    return [f"Some classes have names that {note}." for note in look_alikes(names)]


def _keys(column: str) -> list[str]:
    return [f"{column}_index", *([WNID] if column == LABEL else [])]


def _is_key(schema: pa.Schema, name: str) -> bool:
    return name in schema.names and (is_text(schema.field(name).type) or pa.types.is_integer(schema.field(name).type))


def _distinct(table: Table, columns: list[str]) -> list[dict[str, Key]]:
    """Return the combinations of values of some columns; the first column as text."""
    found: dict[tuple[Key, ...], None] = {}
    for rows in table.batches(columns):
        grouped = rows.table.group_by(columns).aggregate([])
        names = Rows(grouped).strings(columns[0])
        others = [grouped.column(name).to_pylist() for name in columns[1:]]
        found.update(dict.fromkeys(zip(names, *others, strict=True)))
    return [dict(zip(columns, values, strict=True)) for values in found]


def _two_names(column: str, key: str, found: list[dict[str, Key]]) -> tuple[Key, Key, Key] | None:
    """Return a value of the key that has two names, and the two."""
    names: dict[Key, Key] = {}
    for row in found:
        if row[key] is not None and row[column] is not None:
            first = names.setdefault(row[key], row[column])
            if first != row[column]:
                one, other = sorted((str(first), str(row[column])))
                return row[key], one, other
    return None


def _require_one_name(table: str, column: str, index: str, found: list[dict[str, Key]]) -> None:
    wrong = _two_names(column, index, found)
    if wrong:
        raise ReleaseError(
            f"table '{table}': class {wrong[0]} of '{index}' has two names in '{column}', {wrong[1]!r} and "
            f"{wrong[2]!r}; 'index' must name a column that numbers the classes"
        )


def _ambiguous(column: str, key: str, found: list[dict[str, Key]]) -> bool:
    classes = {(row[column], row[key]) for row in found if row[column] is not None and row[key] is not None}
    return len(classes) > len({name for name, _ in classes})


def _numbered(column: str, names: list[str], found: list[dict[str, Key]]) -> list[str]:
    """Return the names in the order of `label_index` if it has one number from 0 to n-1 for each of n names."""
    number_of = {str(row[column]): row[LABEL_INDEX] for row in found if row[column] is not None}
    pairs = {(row[column], row[LABEL_INDEX]) for row in found if row[column] is not None}
    if len(pairs) == len(names) and {*number_of.values()} == {*range(len(names))}:
        return [name for name, _ in sorted(number_of.items(), key=lambda pair: int(pair[1] or 0))]
    return names


def _kinds(table: str, column: str, key: str, found: list[dict[str, Key]]) -> list[NamedClass]:
    """Return the classes, ordered by name and key."""
    keys: dict[str, set[Key]] = defaultdict(set)
    for row in found:
        if row[column] is not None:
            keys[str(row[column])].add(row[key])
    for name, values in keys.items():
        if None in values and len(values) > 2:
            raise ReleaseError(
                f"table '{table}': {len(values) - 1:,} classes are called {name!r}, and some of its rows have no "
                f"'{key}', which distinguishes them; drop such rows in a step, `where: {key} is not null`, or, if "
                f"'{column}' alone names the classes, rename the other column: `rename: {{{key}: other_{key}}}`"
            )
        values.discard(None if len(values) > 1 else object())
    return [(name, value) for name in in_order(keys) for value in sorted(keys[name], key=_by_value)]


def _by_value(value: Key) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (0, value or "")


def _shown(kinds: list[NamedClass], column: str, key: str, found: list[dict[str, Key]]) -> dict[NamedClass, str]:
    """Return a unique name for each class: classes of the same name are followed by WordNet id or key."""
    wnids: dict[NamedClass, set[Key]] = defaultdict(set)
    for row in found:
        wnids[str(row[column]), row[key]].add(row[WNID])
    count: dict[str, int] = defaultdict(int)
    for name, _ in kinds:
        count[name] += 1
    shown = {}
    for name, value in kinds:
        known = wnids.get((name, value), set())
        suffix = next(iter(known)) if len(known) == 1 and None not in known else value
        shown[name, value] = name if count[name] == 1 else f"{name} ({suffix})"
    if len(set(shown.values())) < len(shown):  # a WordNet id of two classes, or a name that ends as these do
        return {kind: kind[0] if count[kind[0]] == 1 else f"{kind[0]} ({kind[1]})" for kind in kinds}
    return shown


def _sole(shown: Mapping[NamedClass, str]) -> dict[NamedClass, str]:
    """Return the names of classes without another of their name, for rows that have no key."""
    return {(name, None): text for (name, _), text in shown.items() if name == text}
