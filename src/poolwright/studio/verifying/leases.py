"""Leases: rows that somebody is shown are kept from others for a while."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

LEASE_SECONDS = 240.0
"""How long a picture that somebody is shown is kept from others."""


class Leases:
    """Who is shown which rows, and until when."""

    def __init__(self) -> None:
        self._until: dict[int, dict[str, float]] = {}

    def hold(self, annotator: str, rows: Iterable[int]) -> None:
        """Keep rows for somebody."""
        until = time.monotonic() + LEASE_SECONDS
        for row in rows:
            self._until.setdefault(row, {})[annotator] = until

    def free(self, annotator: str, row: int) -> None:
        """Somebody does not look at a row any more."""
        self._until.get(row, {}).pop(annotator, None)

    def others(self, annotator: str, row: int, answered: Collection[str]) -> int:
        """How many others are looking at a row and have not answered."""
        now = time.monotonic()
        leases = self._until.get(row, {})
        return sum(until > now and who != annotator and who not in answered for who, until in leases.items())
