"""Compute the beginnings and names of calendar units in UTC."""

from __future__ import annotations

import datetime
from typing import Literal

import numpy as np

Unit = Literal["decade", "year", "half", "quarter", "month", "week", "day"]

_STEPS = {
    "decade": ("Y", 10, 0),
    "year": ("Y", 1, 0),
    "half": ("M", 6, 0),
    "quarter": ("M", 3, 0),
    "month": ("M", 1, 0),
    "week": ("D", 7, 4),  # 1970-01-05 was a Monday
    "day": ("D", 1, 0),
}


def begins(unit: Unit, first: np.datetime64, last: np.datetime64) -> np.ndarray:
    """Return the beginnings of the units from that of `first` to the one after `last`: datetime64[us] (k + 1,)."""
    base, size, offset = _STEPS[unit]
    lowest, highest = (int(time.astype(f"M8[{base}]").astype(np.int64)) for time in (first, last))
    numbers = np.arange((lowest - offset) // size, (highest - offset) // size + 2) * size + offset
    return numbers.astype(f"M8[{base}]").astype("M8[us]")


def name(unit: Unit, begin: np.datetime64) -> str:
    """Name a unit: '2000s', '2004', '2004-H1', '2004-Q1', '2004-01', '2004-W01' (ISO 8601), '2004-01-05'."""
    day = begin.astype("M8[D]").astype(datetime.date)
    year, month = f"{day.year:04d}", day.month
    if unit == "week":
        iso = day.isocalendar()
        return f"{iso.year:04d}-W{iso.week:02d}"
    names: dict[str, str] = {
        "decade": f"{year}s",
        "year": year,
        "half": f"{year}-H{(month + 5) // 6}",
        "quarter": f"{year}-Q{(month + 2) // 3}",
        "month": f"{year}-{month:02d}",
        "day": day.isoformat(),
    }
    return names[unit]
