"""Convert the times of a source, in the forms that exports and cameras write, to UTC.

docs/pools.md has the forms as a table.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.rows import cast_or_null

TIME = pa.timestamp("us", tz="UTC")
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # years 1 to 9999, in Unix seconds
_DAYS, _MONTHS, _YEARS = (18_000_000, 22_000_000), (180_000, 220_000), (1_000, 10_000)
_CLOCK = 1_000_000  # of 20100313113000, the digits after the day

_FORM = re.compile(
    r"(\d{4})([-:/.]?)(\d\d)\2(\d\d)"
    r"(?:(?:\s+|[Tt])(\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?\s*(?:(Z|z|UTC|GMT)|([+-])(\d{1,2}):?(\d\d)?)?)?"
)
_MAIL = re.compile(r"(?:\w{3}, )?\d{1,2} \w{3} \d{4} \d\d:\d\d(?::\d\d)? (?:[+-]\d{4}|GMT|UTC)")
_TWITTER = re.compile(r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d [+-]\d{4} \d{4}")


def times_of(values: pa.Array) -> pa.Array:
    """Convert texts, Unix seconds, dates and timestamps to times; null for what is none of these.

    Times without a zone are taken as UTC. Eight digits that begin with a year are a calendar date, not seconds.

    Args:
        values: strings, numbers, dates or timestamps (n,); strings without white space around them.

    Returns:
        timestamp[us, UTC] (n,).
    """
    if pa.types.is_timestamp(values.type):
        return _zoned(cast_or_null(values, pa.timestamp("us", tz=values.type.tz)))
    if pa.types.is_date(values.type):
        return _zoned(cast_or_null(values, pa.timestamp("us")))
    if pa.types.is_string(values.type):
        return _times_of_texts(values)
    return _times_of_numbers(cast_or_null(values, pa.float64()))


def read_time(text: str) -> datetime | None:
    """Return the time that a text is in any of the forms, in UTC; None if it is none."""
    found = _FORM.fullmatch(text)
    try:
        if found is not None:
            return _of_groups(found)
        if _MAIL.fullmatch(text):
            return parsedate_to_datetime(text).astimezone(UTC)
        if _TWITTER.fullmatch(text):
            return datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return None


def _of_groups(found: re.Match[str]) -> datetime:
    year, _, month, day, hour, minute, second, fraction, _, sign, hours, minutes = found.groups()
    whole = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    at = whole.replace(microsecond=int(f"{fraction or 0:0<6}"[:6]))
    if sign is None:
        return at
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return at.replace(tzinfo=timezone(-offset if sign == "-" else offset)).astimezone(UTC)


def _zoned(times: pa.Array) -> pa.Array:
    return times.cast(TIME) if times.type.tz else pc.assume_timezone(times, "UTC")


def _times_of_numbers(numbers: pa.Array) -> pa.Array:
    """Convert Unix seconds, and dates and times written as 20100313 and 20100313113000.

    Years and months (2010, 201003) are no times; milliseconds are beyond the year 9999.
    """
    values = np.nan_to_num(numbers.to_numpy(zero_copy_only=False), nan=1e300, posinf=1e300, neginf=-1e300)
    inside = (values >= _FIRST) & (values <= _LAST)
    for low, high in (_DAYS, _MONTHS, _YEARS):
        inside &= (values < low) | (values >= high)
    # Whole seconds and the rest apart: a product of 1e6 would round to more than a microsecond.
    whole = np.floor(np.where(inside, values, 0))
    rest = np.rint((np.where(inside, values, 0) - whole) * 1e6)
    micros = whole.astype(np.int64) * 1_000_000 + rest.astype(np.int64)
    for day, clock in ((values, np.zeros(len(values))), (values // _CLOCK, values % _CLOCK)):
        dated = (day >= _DAYS[0]) & (day < _DAYS[1]) & (day == np.floor(day)) & ~inside
        if dated.any():
            micros[dated], inside[dated] = _of_digits(day[dated].astype(np.int64), clock[dated].astype(np.int64))
    return pa.array(micros, mask=~inside).cast(pa.timestamp("us")).cast(TIME)


def _of_digits(day: np.ndarray, clock: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the microseconds of days such as 20100313 with clocks such as 113000, and which of them exist."""
    months = (day // 100 // 100 - 1970) * 12 + day // 100 % 100 - 1
    dates = months.astype("M8[M]").astype("M8[D]") + (day % 100 - 1)
    hours, minutes, seconds = clock // 10_000, clock // 100 % 100, clock % 100
    exists = (day // 100 % 100 >= 1) & (day // 100 % 100 <= 12) & (dates.astype("M8[M]").astype(np.int64) == months)
    exists &= (hours < 24) & (minutes < 60) & (seconds < 60)
    micros = dates.astype("M8[us]").astype(np.int64) + (hours * 3600 + minutes * 60 + seconds) * 1_000_000
    return micros, exists


def _times_of_texts(texts: pa.Array) -> pa.Array:
    """Convert texts: what Arrow reads as a whole, the rest one by one."""
    try:
        return _zoned(texts.cast(pa.timestamp("us")))
    except pa.ArrowInvalid:
        pass
    plain = pc.replace_substring_regex(texts, r" ?UTC$", "Z")
    plain = pc.replace_substring_regex(plain, r"(\.\d{6})\d+", r"\1")
    plain = pc.replace_substring_regex(plain, r"(:\d\d(?:\.\d+)?) +([+-]\d\d)", r"\1\2")
    number = pc.match_substring_regex(plain, r"^-?\d{5,}(\.\d*)?$")
    zone = pc.match_substring_regex(plain, r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$")
    local = pc.if_else(pc.or_(number, zone), None, plain)
    seconds = cast_or_null(pc.if_else(number, plain, None), pa.float64())
    times = pc.coalesce(
        _zoned(cast_or_null(local, pa.timestamp("us"))),
        cast_or_null(pc.if_else(zone, plain, None), TIME),
        _times_of_numbers(seconds),
    )
    left = pc.and_(pc.and_(texts.is_valid(), times.is_null()), pc.invert(pc.fill_null(number, False)))
    if not pc.any(left).as_py():
        return times
    coded = pc.if_else(left, texts, None).dictionary_encode()
    others = pa.array([read_time(text) for text in coded.dictionary.to_pylist()], TIME)
    return pc.coalesce(times, others.take(coded.indices))
