"""Run the checks of a release and collect their results.

A broken release is reported, never raised: every result has a name, an outcome and a text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_MOST_NAMED = 5

Findings = tuple[list[str], str]
"""The problems found, and the text for a check without problems."""


class Skip(Exception):
    """Raised if a check cannot be made. Its text gives the reason."""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: short name.
        ok: whether the check passed; None if it was skipped.
        words: result as text.
        warning: whether it passed, but a user of the release should know what it found.
    """

    name: str
    ok: bool | None
    words: str
    warning: bool = False


@dataclass(frozen=True)
class Verification:
    """The results of all checks of a release.

    Attributes:
        folder: folder of the release; a temporary one if it was pulled to be checked.
        checks: results, in the order in which the checks were made.
        url: address that it was pulled from; None if it is in the folder.
    """

    folder: Path
    checks: tuple[Check, ...]
    url: str | None = None

    @property
    def ok(self) -> bool:
        """Whether any check was made and none failed."""
        return bool(self.checks) and all(check.ok is not False for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.ok is False)

    @property
    def words(self) -> str:
        """One line: the number of checks that passed, or the problems."""
        where = self.url or self.folder
        if self.ok:
            return f"{where}: whole; {sum(check.ok is True for check in self.checks)} checks hold"
        return f"{where}: broken: " + "; ".join(f"{check.name}: {check.words}" for check in self.failed)


def run_check(name: str, look: Callable[[], Findings]) -> Check:
    """Make one check; an exception becomes a failed check."""
    try:
        wrong, words = look()
    except Skip as skipped:
        return Check(name, None, f"skipped: {skipped}")
    except Exception as error:  # a broken file may fail in any way in any reader; the result names it
        return Check(name, False, f"cannot be checked: {type(error).__name__}: {error}")
    return as_check(name, wrong, words)


def as_check(name: str, wrong: list[str], words: str) -> Check:
    """Return findings as the result of a check, which names the first problems."""
    if not wrong:
        return Check(name, True, words)
    more = f"; and {len(wrong) - _MOST_NAMED:,} more" if len(wrong) > _MOST_NAMED else ""
    return Check(name, False, "; ".join(wrong[:_MOST_NAMED]) + more)
