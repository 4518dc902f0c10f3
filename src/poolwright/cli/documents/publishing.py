"""Defines the documents of commands that publish releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from poolwright.api import Pulled, Pushed


@dataclass(frozen=True)
class PushDocument:
    """A release that was pushed, or would be. The exit status is 1 if a check failed.

    Attributes:
        ok: whether no check failed.
        pushed: what was sent, and where it is.
    """

    ok: bool
    pushed: Pushed

    @classmethod
    def of(cls, pushed: Pushed) -> Self:
        """Make it from what `push` returns."""
        return cls(pushed.ok, pushed)


@dataclass(frozen=True)
class PullDocument:
    """A dataset that was pulled. The exit status is 1 if it is a release that does not verify.

    Attributes:
        ok: whether it is no release, or one that verifies.
        pulled: what came, and where it is.
    """

    ok: bool
    pulled: Pulled

    @classmethod
    def of(cls, pulled: Pulled) -> Self:
        """Make it from what `pull` returns."""
        return cls(pulled.ok, pulled)
