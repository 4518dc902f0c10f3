"""Make columns from the parts of a path, such as `{domain}/{class}/{name}`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

_TOKEN = re.compile(r"\{([^{}]*)\}|(\*\*/?)|(\*)")
REST = "rest"


@dataclass(frozen=True)
class Pattern:
    """A parsed pattern.

    Attributes:
        text: as written.
        names: its fields, in order.
        regex: matches a whole relative path without extension; one group per field.
    """

    text: str
    names: tuple[str, ...]
    regex: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Parse a pattern.

        `{field}` is one or more characters other than '/', as few as fit; `{rest}` may contain
        '/' too. `*` is any characters other than '/', `**` any characters; neither gives a column.

        Raises:
            ValueError: two fields have one name or touch each other, or there is no field.
        """
        names: list[str] = []
        pieces: list[str] = []
        end, touching = 0, False
        for token in _TOKEN.finditer(text):
            literal = text[end : token.start()]
            if touching and not literal:
                raise ValueError(f"pattern '{text}': put something such as '/' or '_' before '{token.group()}'")
            pieces.append(_literal(text, literal))
            pieces.append(_piece(token, text, names))
            end, touching = token.end(), not token.group().endswith("/")
        pieces.append(_literal(text, text[end:]))
        if not names:
            raise ValueError(f"pattern '{text}' has no field; write fields as {{class}}/{{name}}")
        return cls(text, tuple(names), re.compile("".join(pieces), re.DOTALL))

    def fields(self, path: str) -> tuple[str, ...] | None:
        """Return the values of the fields for a relative path without extension; None if it does not match."""
        match = self.regex.fullmatch(path)
        return match.groups() if match else None


def _literal(text: str, literal: str) -> str:
    if "{" in literal or "}" in literal:
        raise ValueError(f"pattern '{text}': a brace is not opened or not closed")
    return re.escape(literal)


def _piece(token: re.Match[str], text: str, names: list[str]) -> str:
    if token.group(3):
        return "[^/]*"
    if token.group(2):
        return "(?:.*/)?" if token.group(2).endswith("/") else ".*"
    name = token.group(1).strip()
    if not name:
        raise ValueError(f"pattern '{text}': {{}} needs a name; use * for what is not wanted")
    if name in names:
        raise ValueError(f"pattern '{text}': the field '{name}' occurs twice")
    names.append(name)
    return "(.+?)" if name == REST else "([^/]+?)"


def _check(text: str) -> str:
    Pattern.parse(text)
    return text


PatternText = Annotated[str, AfterValidator(_check)]
"""A pattern as a parameter of a pool, checked and kept as it is written."""
