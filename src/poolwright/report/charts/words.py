"""Format figures and texts for readers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


def clean(text: str) -> str:
    """Replace control characters, which HTML does not allow."""
    return _CONTROL.sub("\ufffd", text)


def cut(text: str, most: int) -> str:
    """Shorten a text to at most `most` characters, on one line."""
    line = clean(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def percent(part: float, whole: float) -> str:
    """Format a share: '41.2%', '0.03%', '100%'. Never '0%' for more than nothing or '100%' for less than all."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if share in (0.0, 100.0):
        return f"{share:.0f}%"
    if share < 0.01:
        return "<0.01%"
    if share > 99.99:
        return ">99.99%"
    if share < 1 or share > 99:
        return f"{share:.2f}%"
    return f"{share:.1f}%"


def short(value: float) -> str:
    """Format a number for an axis: '1,500', '12k', '1.5M', '0.25', '2e-05'."""
    size = abs(value)
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if limit <= size < 1e12:
            return f"{value / (1e3 if unit == 'k' else limit):.4g}{unit}"
    return f"{value:,.0f}" if size >= 1e3 and value == int(value) and size < 1e12 else f"{value:.4g}"


def figure(value: float, step: float = 0.0) -> str:
    """Format a number of a column, with the decimals that distinguish bins of width `step`."""
    if not math.isfinite(value):
        return "–"
    if step > 1e-6 and abs(value) < 1e12:
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        return f"{value + 0.0:,.{decimals}f}"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e12 else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Format a duration: '0.8 s', '3 min 12 s', '2 h 5 min'."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def written(value: Any) -> str:
    """Format a parameter as in a recipe: 'top', '[domain, class]', '{train: 0.8}'."""
    if isinstance(value, str):
        return value if re.fullmatch(r"[\w./*:@ <>=()'+%-]+", value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(written(item) for item in value) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)
