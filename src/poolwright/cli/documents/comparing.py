"""Defines the JSON documents of the commands that compare versions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from poolwright.core.results.changes import Changes


@dataclass(frozen=True)
class DiffDocument:
    """What differs between two versions.

    Attributes:
        changes: the differences.
        files: the files that were written.
    """

    changes: Changes
    files: tuple[Path, ...]

    @classmethod
    def of(cls, changes: Changes, files: tuple[Path, ...]) -> Self:
        """Make it from what `diff` returns."""
        return cls(changes, files)
