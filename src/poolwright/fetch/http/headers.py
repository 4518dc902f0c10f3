"""Read the headers of a response: values by name, Retry-After, and the opt-out of X-Robots-Tag."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

_AGENT = re.compile(r"\s*([a-z*][\w*./+-]*)\s*:(.*)", re.DOTALL)
_VALUED = ("unavailable_after", "max-")
"""Rules with a value, or how their names begin: max-snippet, max-image-preview, max-video-preview."""

_UNAVAILABLE = re.compile(r"unavailable_after\s*:\s*((?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\s*,)?[^,;]*)", re.I)
_DASHES = re.compile(r"(?<=\d)-(?=[a-z])|(?<=[a-z])-(?=\d)", re.I)  # of RFC 850: 01-May-20
_ZONE = re.compile(r" ?[a-z]{2,5}$", re.I)  # a name after a date of ISO 8601; taken as UTC

_EVERYONE = ("*", "robots")


class Headers:
    """Response headers by lower-case name; a header may come several times. UTF-8, otherwise Latin-1."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._all: dict[str, list[bytes]] = {}
        for name, value in raw:
            self._all.setdefault(name.decode("latin-1").lower(), []).append(value.strip())

    def first(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next(iter(self.every(name)), None)

    def every(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [_text(value) for value in self._all.get(name, [])]

    def location(self) -> str:
        """Return the Location header; bytes that are not UTF-8 are percent-encoded as they came."""
        value = next(iter(self._all.get("location", [])), b"")
        try:
            return value.decode()
        except UnicodeDecodeError:
            return "".join(chr(byte) if byte < 128 else f"%{byte:02X}" for byte in value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header: a number, or an HTTP date."""
    if not value:
        return None
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        when = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def opted_out(values: Iterable[str], directives: Iterable[str], agents: Iterable[str] = ("poolwright",)) -> str | None:
    """Return the X-Robots-Tag that opts out for everyone or for one of these agents; None if there is none.

    A value is a list of rules. 'agent: rule' starts the rules of that agent, which go on to the end of the value or to
    the next agent; a rule such as 'max-snippet: 20' has a value instead. 'none' stands for 'noindex, nofollow', and
    'unavailable_after: DATE' for 'noindex' from that date on, in the form of RFC 822, RFC 850, asctime or ISO 8601.
    Source: developers.google.com/search/docs/crawling-indexing/robots-meta-tag.

    Args:
        values: values of all X-Robots-Tag headers.
        directives: rules that opt out.
        agents: names of this agent.
    """
    rules = {rule.lower() for rule in directives}
    if "noindex" in rules:
        rules.add("none")
    mine = {*_EVERYONE, *(agent.lower() for agent in agents)}
    return next((value for value in values if _asked_of(value, rules, mine) & rules), None)


def _asked_of(value: str, rules: set[str], mine: set[str]) -> set[str]:
    """Return all words of a value that are asked of these agents."""
    found: set[str] = set()
    applies = True
    value = _UNAVAILABLE.sub(lambda rule: "noindex" if _is_past(rule[1]) else rule[0], value)
    for part in re.split("[,;]", value.lower()):
        words = part
        named = _AGENT.fullmatch(part)
        if named:
            name, words = named.groups()
            if name.startswith(_VALUED):
                words = " ".join(words.split()[1:])
            elif name in rules:
                words = f"{name} {words}"
            else:
                applies = name.partition("/")[0] in mine
        if applies:
            found.update(words.split())
    return found


def _is_past(date: str) -> bool:
    """Whether a date is over, UTC if it names no zone; False if it cannot be read."""
    text = " ".join(date.split())
    for read, form in (
        (datetime.fromisoformat, _ZONE.sub("", text)),
        (email.utils.parsedate_to_datetime, f"{_DASHES.sub(' ', text)}{'' if ':' in text else ' 00:00'}"),
    ):
        with suppress(ValueError, OverflowError):
            when = read(form)
            return (when if when.tzinfo else when.replace(tzinfo=UTC)) <= datetime.now(UTC)
    return False
