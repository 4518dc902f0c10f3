"""Infer the types of columns from a sample of their values: one set of rules for JSON Lines, CSV and TSV.

A type is chosen only if it holds every value of the sample unchanged; otherwise the column is text. So integers beyond
64 bits, integers beyond 2^53 among decimals, numbers among texts and codes with leading zeros are texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

NULLS = frozenset(pacsv.ConvertOptions().null_values)
"""Texts that are no value in a column of numbers, truth values or dates, such as '' and 'NA'."""

EXACT = 2**53
"""Above this, float64 does not hold every integer."""

_INTEGER = re.compile(r"-?[1-9]\d*|0")
_DECIMAL = re.compile(r"(?!\+\d+$)[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf", re.IGNORECASE)
_TRUTH = {"true", "True", "TRUE", "false", "False", "FALSE"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ]\d\d:\d\d(?::\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(?::?\d\d)?)?")


class Inference:
    """What is known of one column, key or list element after some of its values.

    Attributes:
        kinds: of the values: 'bool', 'int', 'float', 'text', 'struct', 'list', or the time that a text shows.
        fields: by key, if values are objects.
        items: of the elements, if values are lists.
    """

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.fields: dict[str, Inference] = {}
        self.items: Inference | None = None
        self._low = self._high = 0

    def see(self, value: Any) -> None:
        """Take a JSON value into account."""
        if value is None:
            return
        kind = _KINDS.get(type(value), "text")
        self.kinds.add(kind)
        if kind == "int":
            self._low, self._high = min(self._low, value), max(self._high, value)
        elif kind == "struct":
            self.see_object(value)
        elif kind == "list":
            self.items = self.items or Inference()
            for item in value:
                self.items.see(item)

    def see_object(self, value: Mapping[str, Any]) -> None:
        """Take the values of an object into account, key by key."""
        for key, item in value.items():
            if key not in self.fields:
                self.fields[key] = Inference()
            self.fields[key].see(item)

    def see_texts(self, texts: Iterable[str]) -> None:
        """Take cells of CSV into account."""
        for text in set(texts):
            trimmed = text.strip()
            if trimmed in NULLS:
                continue
            if _INTEGER.fullmatch(trimmed):
                self.see(int(trimmed))
            else:
                self.kinds.add(_kind_of_text(trimmed))

    def type(self) -> pa.DataType:
        """Return the type that holds all values unchanged; string if there is none, or no value."""
        if len(self.kinds) == 1:
            (kind,) = self.kinds
            if kind == "struct" and self.fields:
                return pa.struct([pa.field(name, field.type()) for name, field in self.fields.items()])
            if kind == "list" and self.items is not None:
                return pa.list_(self.items.type())
            if kind == "int":
                return self._integers()
            return _SIMPLE.get(kind, pa.string())
        if self.kinds == {"time", "fraction"}:
            return _SIMPLE["fraction"]
        if self.kinds == {"int", "float"} and max(-self._low, self._high) <= EXACT:
            return pa.float64()
        return pa.string()

    def _integers(self) -> pa.DataType:
        if self._low >= -(2**63) and self._high < 2**63:
            return pa.int64()
        return pa.uint64() if self._low >= 0 and self._high < 2**64 else pa.string()


_KINDS: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "text", dict: "struct", list: "list"}
_SIMPLE: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "float": pa.float64(),
    "date": pa.date32(),
    "time": pa.timestamp("s"),
    "fraction": pa.timestamp("us"),
    "zoned": pa.timestamp("us", tz="UTC"),
}


def _kind_of_text(text: str) -> str:
    if text in _TRUTH:
        return "bool"
    if _DECIMAL.fullmatch(text):
        return "float"
    time = _TIME.fullmatch(text)
    if not time and not _DATE.fullmatch(text):
        return "text"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return "text"
    if not time:
        return "date"
    return "zoned" if time[3] else "fraction" if time[2] else "time"
