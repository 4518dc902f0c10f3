"""Lease rows: those shown to one person are withheld from others for a while."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

LEASE_SECONDS = 240.0
"""Duration of a lease."""


class Leases:
    """The current leases: rows, annotators and expiry."""

    def __init__(self) -> None:
        self._until: dict[int, dict[str, float]] = {}

    def hold(self, annotator: str, rows: Iterable[int]) -> None:
        """Lease rows to an annotator."""
        until = time.monotonic() + LEASE_SECONDS
        for row in rows:
            self._until.setdefault(row, {})[annotator] = until

    def free(self, annotator: str, row: int) -> None:
        """End the lease of a row."""
        self._until.get(row, {}).pop(annotator, None)

    def others(self, annotator: str, row: int, answered: Collection[str]) -> int:
        """Count the others who hold a lease of a row and have not answered."""
        now = time.monotonic()
        leases = self._until.get(row, {})
        return sum(until > now and who != annotator and who not in answered for who, until in leases.items())
