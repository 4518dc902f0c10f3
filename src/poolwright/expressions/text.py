"""The text of a SQL expression: its words checked, and what Daft reads otherwise than SQL rewritten."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from poolwright.core.errors import RecipeError

_FUNCTIONS = """
    abs add_months arccos arccosh arcsin arcsinh arctan arctan2 arctanh array_to_string ascii atan2 bin capitalize
    cast cbrt ceil chr clip coalesce concat concat_ws contains conv convert_time_zone convert_timezone cos cosh
    cosine_distance cosine_similarity cot count_matches csc damerau_levenshtein_distance date date_add date_diff
    date_format date_from_unix_date date_sub date_trunc dateadd datediff datepart day day_of_month day_of_week
    day_of_year dayofmonth dayofyear degrees dot_product e ends_with euclidean_distance exp expm1 extract extract_all
    factorial fill_nan find floor from_unixtime from_utc_timestamp great_circle_distance guess_mime_type
    hamming_distance hamming_distance_str hour hypot is_inf is_nan jaccard_similarity jaro_similarity
    jaro_winkler_similarity last_day left length length_bytes levenshtein_distance list_bool_and list_bool_or
    list_contains list_count list_count_distinct list_distinct list_join list_max list_mean list_min list_sort
    list_sum ln log log10 log1p log2 lower lpad lstrip make_date make_timestamp make_timestamp_ltz microsecond
    millisecond minute month months_between nanosecond negate next_day not_nan pearson_correlation pi pmod pow power
    quarter radians regexp_count regexp_extract regexp_extract_all regexp_match regexp_replace regexp_split repeat
    replace replace_time_zone reverse right round rpad rstrip sec second sign sin sinh soundex space split split_part
    sqrt starts_with strftime strip substr substring substring_index tan tanh time timestamp_micros timestamp_millis
    timestamp_seconds to_camel_case to_date to_datetime to_kebab_case to_snake_case to_string to_title_case
    to_unix_epoch to_upper_camel_case to_upper_kebab_case to_upper_snake_case to_utc_timestamp total_days total_hours
    total_microseconds total_milliseconds total_minutes total_nanoseconds total_seconds translate trunc truncate
    try_cast try_divide unix_date upper url_parse utf8_contains week_of_year weekofyear year
"""
ROW_WISE = frozenset(_FUNCTIONS.split())
"""Daft's SQL functions of one row's values. New ones are refused until they are known to be row-wise."""

_KEYWORDS = frozenset({"in", "and", "or", "not", "between", "case", "when", "then", "else", "like", "ilike", "is"})
_CLOCK = {"current_date", "current_time", "current_timestamp", "current_timezone", "localtime", "localtimestamp"}
_FORBIDDEN = frozenset({"select", "over", "union", "exists", *_CLOCK})
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*"|`[^`]*`)|(?P<space>\s+|--[^\n]*|/\*.*?\*/)"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<open>\()|(?P<other>\d[\w.]*|.)""",
    re.DOTALL,
)


def checked(text: str) -> tuple[str, dict[str, str]]:
    """Check the words of an expression, and take the quotes off its column names, which Daft would keep.

    Returns:
        The text with every quoted name replaced by a plain one, of the same length where that can be; and the
        names by their replacements.

    Raises:
        RecipeError: a function or keyword that looks beyond the row, or something that is not an expression.
    """
    tokens = list(_TOKEN.finditer(text))
    mark = next(mark for mark in _marks() if not any(token.group().startswith(mark) for token in tokens))
    parts: list[str] = []
    names: dict[str, str] = {}
    for token, follower in zip(tokens, _followers(tokens), strict=True):
        part = token.group()
        if token.lastgroup == "word":
            _check_word(text, token, follower)
        elif token.lastgroup == "other" and part in ";'\"`":
            what = "one expression only; remove ';'" if part == ";" else f"this {part} is not closed"
            raise pointed(text, token.start(), what)
        elif token.lastgroup == "quoted":
            name = part[1:-1].replace('""', '"') if part[0] == '"' else part[1:-1]
            if not name:
                raise pointed(text, token.start(), "a column has a name")
            part = f"{mark}{len(names)}".ljust(len(part), "_")
            names[part] = name
        parts.append(part)
    return "".join(parts), names


def with_sql_case(text: str) -> str:
    """The text with every WHEN condition false where it is null: Daft's CASE would be null then."""
    parts = []
    for token in _TOKEN.finditer(text):
        part = token.group()
        word = part.lower() if token.lastgroup == "word" else ""
        parts.append({"when": "when coalesce((", "then": "), false) then"}.get(word, part))
    return "".join(parts)


def pointed(text: str, at: int, what: str) -> RecipeError:
    """An error with the line of the text and a caret under the place."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    return RecipeError(f"{what}\n  {line}\n  {' ' * (at - start)}^")


def _followers(tokens: Sequence[re.Match[str]]) -> list[re.Match[str] | None]:
    """For each token the next one that is neither space nor comment."""
    found: list[re.Match[str] | None] = []
    following: re.Match[str] | None = None
    for token in reversed(tokens):
        found.append(following)
        if token.lastgroup != "space":
            following = token
    return found[::-1]


def _marks() -> Iterator[str]:
    """Beginnings of names, one of which no name of a text has."""
    number = 0
    while True:
        yield f"q{number}_" if number else "q"
        number += 1


def _check_word(text: str, token: re.Match[str], follower: re.Match[str] | None) -> None:
    word = token.group().lower()
    if word in _FORBIDDEN:
        raise pointed(text, token.start(), f"'{word.upper()}' is not possible: an expression sees one row's values")
    if follower is None or follower.lastgroup != "open" or word in _KEYWORDS or word in ROW_WISE:
        return
    close = difflib.get_close_matches(word, ROW_WISE, n=1, cutoff=0.75)
    refused = "aggregates, random values, files and the network are not possible"
    instead = f"did you mean '{close[0]}'?" if close else refused
    raise pointed(text, token.start(), f"'{token.group()}' is no function of one row's values; {instead}")
