"""Caches what steps derive from a state or its tables: once per process, however many batches ask for it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast

K = TypeVar("K")
T = TypeVar("T")

_MADE: dict[tuple[str, int], Any] = {}
_LOCK = threading.RLock()  # what is built may itself need something cached


def once(what: str, of: K, build: Callable[[K], T]) -> T:
    """Return `build(of)`, made at the first call and kept as long as `of` lives.

    Args:
        what: name of what is built, since several things may be built from one object.
        of: a state, or a table of one.
    """
    key = (what, id(of))
    with _LOCK:
        if key not in _MADE:
            _MADE[key] = build(of)
            weakref.finalize(of, _MADE.pop, key, None)
        return cast(T, _MADE[key])
