"""Share one request among all rows that name the same URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from poolwright.fetch.http.urls import RequestTarget
from poolwright.fetch.outcome import FetchOutcome

Item = TypeVar("Item")


@dataclass(frozen=True)
class Answer:
    """What a request ended with: an outcome, not yet compared with what a row expects, and the bytes received."""

    outcome: FetchOutcome
    data: bytes | None


class SharedRequests(Generic[Item]):
    """Items wait for the request of the first of them, while it is in progress."""

    def __init__(self) -> None:
        self._waiting: dict[RequestTarget, list[Item]] = {}

    def join(self, target: RequestTarget, item: Item) -> bool:
        """Whether a request is in progress; the item then waits for it."""
        if target not in self._waiting:
            return False
        self._waiting[target].append(item)
        return True

    def begin(self, target: RequestTarget) -> None:
        """Begin a request."""
        self._waiting[target] = []

    def end(self, target: RequestTarget) -> list[Item]:
        """Return the items that waited for a request, which has ended."""
        return self._waiting.pop(target)
