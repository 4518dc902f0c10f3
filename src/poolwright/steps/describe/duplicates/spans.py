"""Parse spans of time, such as '1 minute'."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_UNITS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_SHORT = {"s": "second", "sec": "second", "min": "minute", "m": "minute", "h": "hour", "d": "day"}


def parse_span(value: Any) -> int:
    """Return a span of time in microseconds: '1 minute', '30 s', or a number of seconds.

    Raises:
        ValueError: the value is not a span of time.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value).lower())
    if isinstance(value, bool) or not found:
        raise ValueError(f"{value!r} is not a span of time; write '1 minute', '30 seconds' or '2 hours'")
    unit = found[2].removesuffix("s") or "second"
    unit = _SHORT.get(unit, unit)
    if unit not in _UNITS:
        raise ValueError(f"'{found[2]}' is not a unit of time; use seconds, minutes, hours or days")
    return round(float(found[1]) * _UNITS[unit] * 1_000_000)


Span = Annotated[
    int,
    BeforeValidator(parse_span),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}),
]
