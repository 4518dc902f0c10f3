"""Share one request among all rows that name the same URL."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from poolwright.fetch.http.urls import RequestTarget
from poolwright.fetch.outcome import FetchOutcome

Item = TypeVar("Item")

_REMEMBERED, _REMEMBERED_BYTES = 10_000, 64 << 20


@dataclass(frozen=True)
class Answer:
    """What a request ended with: an outcome, not yet compared with what a row expects, and the bytes received."""

    outcome: FetchOutcome
    data: bytes | None

    def size(self) -> int:
        """Bytes held."""
        return len(self.data or b"")


class SharedRequests(Generic[Item]):
    """Items wait for the request of the first of them; the latest answers are remembered, 10,000 and 64 MB at most."""

    def __init__(self) -> None:
        self._waiting: dict[RequestTarget, list[Item]] = {}
        self._answers: OrderedDict[RequestTarget, Answer] = OrderedDict()
        self._bytes = 0

    def answer(self, target: RequestTarget) -> Answer | None:
        """Return the answer of a target, if it is remembered."""
        return self._answers.get(target)

    def begin(self, target: RequestTarget, item: Item) -> bool:
        """Return True if the item has to ask, or False if it waits for another that does."""
        if target in self._waiting:
            self._waiting[target].append(item)
            return False
        self._waiting[target] = []
        return True

    def end(self, target: RequestTarget, answer: Answer) -> list[Item]:
        """Remember an answer, and return the items that waited for it."""
        self._answers[target] = answer
        self._bytes += answer.size()
        while len(self._answers) > _REMEMBERED or self._bytes > _REMEMBERED_BYTES:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= oldest.size()
        return self._waiting.pop(target)
