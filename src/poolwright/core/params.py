"""Parameter types that steps and the recipe share."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema

from poolwright.core.texts.text_files import checked_encoding


def several(values: Any) -> list[Any]:
    """Return the values of an argument that takes several; a text, path or number alone is the only one."""
    return [values] if isinstance(values, str | Path | int) else list(values)


def parse_share(value: Any) -> float:
    """Parse a share of rows: 0.04 or '4%'.

    Raises:
        ValueError: not a number or percentage, or outside 0..1.
    """
    share = _as_number(value)
    if not 0 <= share <= 1:
        raise ValueError(f"a share is a number between 0 and 1, or a percentage such as '4%', not {value!r}")
    return float(share)


def parse_weight(value: Any) -> float:
    """Parse a weight relative to others: 7, 0.7 or '70%'.

    Raises:
        ValueError: not a number or percentage, or negative.
    """
    weight = _as_number(value)
    if weight < 0:
        raise ValueError(f"a weight must not be negative, not {value!r}")
    return float(weight)


def _as_number(value: Any) -> Fraction:
    try:
        if isinstance(value, str) and value.strip().endswith("%"):
            return Fraction(value.strip()[:-1].strip().replace("_", "")) / 100
        if isinstance(value, bool):
            raise ValueError
        return Fraction(str(value).strip())
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is neither a number such as 0.04 nor a percentage such as '4%'") from None


def exact(share: float) -> Fraction:
    """Return the share exactly as written: 0.04 is 1/25, not the nearest binary number."""
    return Fraction(repr(float(share)))


def share_of(share: float, count: int) -> int:
    """Return that share of `count` rows, computed exactly and rounded half up."""
    wanted = exact(share) * count + Fraction(1, 2)
    return wanted.numerator // wanted.denominator


def percent(share: float) -> str:
    """Format a share as a percentage: 0.04 -> '4%'."""
    return f"{float(exact(share) * 100):g}%"


def _as_names(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Iterable):
        names = tuple(value)
        if len(set(map(str, names))) < len(names):
            raise ValueError("a column is named twice")
        return names
    return value


Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": "%$"}]}),
]
"""A share between 0 and 1, from a number or a percentage such as '4%'."""

Columns = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_names),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]
"""One column name or a list of them, as a tuple."""

Column = Annotated[str, Field(min_length=1)]
"""The name of a column."""

Weight = Annotated[float, BeforeValidator(parse_weight), WithJsonSchema({"type": ["number", "string"]})]
"""A share of a whole that its neighbours add up to: 7, 0.7 or '70%'."""

Encoding = Annotated[str, AfterValidator(checked_encoding)]
"""The name of an encoding of texts, such as cp1252."""

Count = Annotated[int, Field(ge=0)]
"""A number of rows or groups."""


def exactly_one(model: BaseModel, *names: str) -> str:
    """Return the name of the one of these fields that is set.

    Raises:
        ValueError: none or several are.
    """
    given = [name for name in names if getattr(model, name) is not None]
    if len(given) != 1:
        listed = f"{', '.join(names[:-1])} or {names[-1]}"
        raise ValueError(f"needs {listed}" if not given else f"takes one of {listed}, not {' and '.join(given)}")
    return given[0]
