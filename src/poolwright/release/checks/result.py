"""Checks of a release: how one is named, run and reported.

A broken release is reported, never raised: every check has a name, whether it holds, and words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_MOST_NAMED = 5

Findings = tuple[list[str], str]
"""Problems, each in words, and the words for when there are none."""


class Skip(Exception):
    """A check that cannot be made here. Its text says why."""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: short name.
        ok: whether it holds; None if it was skipped.
        words: what was found.
    """

    name: str
    ok: bool | None
    words: str


@dataclass(frozen=True)
class Verification:
    """The results of all checks of a release.

    Attributes:
        folder: of the release.
        checks: in the order in which they were made.
    """

    folder: Path
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed, and any was made."""
        return bool(self.checks) and all(check.ok is not False for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if check.ok is False)

    @property
    def words(self) -> str:
        """One line: how many checks hold, or what is wrong."""
        if self.ok:
            return f"{self.folder}: whole; {sum(check.ok is True for check in self.checks)} checks hold"
        return f"{self.folder}: broken: " + "; ".join(f"{check.name}: {check.words}" for check in self.failed)


def run_check(name: str, look: Callable[[], Findings]) -> Check:
    """Make one check, whatever it raises."""
    try:
        wrong, words = look()
    except Skip as skipped:
        return Check(name, None, f"skipped: {skipped}")
    except Exception as error:  # a broken file may fail in any way in any reader; the user learns which
        return Check(name, False, f"cannot be checked: {type(error).__name__}: {error}")
    if not wrong:
        return Check(name, True, words)
    more = f"; and {len(wrong) - _MOST_NAMED:,} more" if len(wrong) > _MOST_NAMED else ""
    return Check(name, False, "; ".join(wrong[:_MOST_NAMED]) + more)
