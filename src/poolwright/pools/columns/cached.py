"""`Once`, a value that a pool computes at its first use and keeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Once(Generic[T]):
    """A value computed at the first `get` and kept.

    For private attributes of frozen pools: it is ignored when pools are compared.

    Args:
        travels: whether the value is pickled with the pool, for the workers of an engine. Leave it out for what only
            the planning process needs, such as a listing.
    """

    __slots__ = ("_lock", "_made", "_travels")

    def __init__(self, travels: bool = False) -> None:
        self._travels, self._made = travels, cast("tuple[T] | None", None)
        self._lock = threading.Lock()

    def get(self, make: Callable[[], T]) -> T:
        """Return the value; `make` is called the first time only."""
        with self._lock:
            if self._made is None:
                self._made = (make(),)
            return self._made[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Once)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (self._travels, self._made if self._travels else None))


def _restored(travels: bool, made: tuple[T] | None) -> Once[T]:
    once: Once[T] = Once(travels)
    once._made = made
    return once
