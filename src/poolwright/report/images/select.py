"""Choose the columns of a table that a report shows."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from poolwright.core.columns import (
    ASPECT,
    AUTHOR,
    BYTES,
    CONTINENT,
    COUNTRY,
    HEIGHT,
    IMAGE_ERROR,
    IMAGE_PATH,
    LABEL,
    LABEL_INDEX,
    LATITUDE,
    LICENSE,
    LONGITUDE,
    PDQ,
    PHASH,
    REGION,
    SHA256,
    SIMILARITY,
    SPLIT,
    TEXT,
    TITLE,
    UID,
    URL,
    WIDTH,
    is_text,
)

CLASS = (LABEL, "class")
"""Columns that name the class of a row; the first that exists is used."""

_GROUPS = (*CLASS, SPLIT, "domain", CONTINENT, REGION, COUNTRY, LICENSE)
_CODED = ("bucket", "cluster", "attribute", "frequency", "fold")
_FIRST_NUMBERS = (SIMILARITY, ASPECT, WIDTH, HEIGHT, BYTES)
_NEVER = {UID, URL, TEXT, IMAGE_PATH, IMAGE_ERROR, SHA256, PHASH, PDQ, TITLE, AUTHOR, LABEL_INDEX, LATITUDE, LONGITUDE}
_MOST = 16


@dataclass(frozen=True)
class Chosen:
    """Columns by the way they are counted.

    Attributes:
        groups: well-known columns whose values make groups, in the order in which they are shown.
        maybe: other text columns, shown if they turn out to have few values.
        numbers: numeric columns.
        times: columns of times and dates.
        coordinates: whether there are latitude and longitude.
    """

    groups: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    coordinates: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All columns to read."""
        return (
            *self.groups,
            *self.maybe,
            *self.numbers,
            *self.times,
            *((LATITUDE, LONGITUDE) if self.coordinates else ()),
        )

    @property
    def label(self) -> str | None:
        """The column that names the class of a row."""
        return next((name for name in CLASS if name in self.groups), None)


def choose(schema: pa.Schema) -> Chosen:
    """Choose the columns of a table that a report shows: at most 16 of a kind, well-known ones first."""
    left = [field for field in schema if field.name not in _NEVER]
    groups = [field.name for field in left if _is_group(field)]
    maybe = [field.name for field in left if is_text(field.type) and field.name not in groups]
    numbers = [field.name for field in left if _is_number(field.type) and field.name not in groups]
    times = [field.name for field in left if pa.types.is_timestamp(field.type) or pa.types.is_date(field.type)]
    degrees = [name for name in (LATITUDE, LONGITUDE) if schema.get_field_index(name) >= 0]
    return Chosen(
        groups=_ordered(groups, _GROUPS),
        maybe=tuple(maybe[:_MOST]),
        numbers=_ordered(sorted(numbers, key=lambda name: "similarity" not in name), _FIRST_NUMBERS),
        times=tuple(times[:_MOST]),
        coordinates=len(degrees) == 2 and all(_is_number(schema.field(name).type) for name in degrees),
    )


def _is_group(field: pa.Field) -> bool:
    if pa.types.is_boolean(field.type):
        return True
    coded = pa.types.is_integer(field.type) and field.name.rpartition("_")[2] in _CODED
    return bool(coded or (is_text(field.type) and field.name in (*_GROUPS, *_CODED)))


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


def _ordered(names: list[str], first: tuple[str, ...]) -> tuple[str, ...]:
    ranked = sorted(names, key=lambda name: first.index(name) if name in first else len(first))
    return tuple(ranked[:_MOST])
