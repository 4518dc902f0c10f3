"""Writes results and errors as JSON: one object with the version, the command, the schema's number, and the fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from poolwright import __version__
from poolwright.core.errors import Mistakes

SCHEMA = 1
"""Number of the schema: it grows if a field is removed or changes its meaning. A new field does not change it."""

_PLACE = re.compile(r"(?P<file>[^:\n]+):(?P<line>\d+): (?:(?P<key>[\w.\[\]-]+): )?")


def json_text(command: str, document: Any, encoding: str = "utf-8") -> str:
    """Return the JSON object of a command.

    Numbers are numbers, paths are texts, NaN and infinite numbers are null, dates are ISO 8601.

    Args:
        command: its name.
        document: a dataclass, or fields by name.
        encoding: of what it is printed to; characters that it may not have are escaped.
    """
    fields = to_jsonable_python(document, inf_nan_mode="null", bytes_mode="base64", fallback=_plain)
    whole = {"poolwright": __version__, "command": command, "schema": SCHEMA, **fields}
    utf8 = encoding.lower().replace("-", "") == "utf8"
    # What is not a character, in the name of a file, becomes the escape that JSON has for it.
    return json.dumps(whole, indent=2, ensure_ascii=not utf8).encode("utf-8", "backslashreplace").decode()


def error_fields(error: BaseException) -> dict[str, Any]:
    """Return an error as fields: `kind`, `message`, `where` if it names a line, `errors` if it is several mistakes."""
    message = _message(error)
    place = _PLACE.match(message)
    fields: dict[str, Any] = {"kind": type(error).__name__, "message": message}
    if place and not isinstance(error, Mistakes):
        known = {name: text for name, text in place.groupdict().items() if text}
        fields["where"] = {**known, "line": int(place["line"])}
    if isinstance(error, Mistakes):
        fields["errors"] = [error_fields(one) for one in error.errors]
    return fields


def _message(error: BaseException) -> str:
    of_click = getattr(error, "format_message", None)
    return str(of_click() if of_click else error)


def _plain(value: Any) -> Any:
    """Convert what JSON does not know: NumPy and Arrow values as those of Python, anything else as text."""
    for name in ("tolist", "to_pylist", "as_py"):
        if hasattr(value, name) and not isinstance(value, type):
            return getattr(value, name)()
    return dict(value) if isinstance(value, Mapping) else str(value)
