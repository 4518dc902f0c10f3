"""Defines the documents of commands that publish releases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from poolwright.api.types import Pulled, Pushed


@dataclass(frozen=True)
class PushDocument:
<<<<<<< HEAD
    """A release that was pushed, or checked by a dry run. The exit status is 1 if a check failed.
=======
    """A release that was pushed, or would be. The exit status is 1 if a check failed.
>>>>>>> main

    Attributes:
        ok: whether no check failed.
        pushed: what was sent, and where it is.
    """

    ok: bool
    pushed: Pushed

    @classmethod
    def of(cls, pushed: Pushed) -> Self:
<<<<<<< HEAD
        """Make it from a push."""
=======
        """Make it from what `push` returns."""
>>>>>>> main
        return cls(pushed.ok, pushed)


@dataclass(frozen=True)
class PullDocument:
    """A dataset that was pulled. The exit status is 1 if it is a release that does not verify.

    Attributes:
        ok: whether it is no release, or one that verifies.
<<<<<<< HEAD
        pulled: what came, and what it is.
=======
        pulled: what came, and where it is.
>>>>>>> main
    """

    ok: bool
    pulled: Pulled

    @classmethod
    def of(cls, pulled: Pulled) -> Self:
<<<<<<< HEAD
        """Make it from a pull."""
=======
        """Make it from what `pull` returns."""
>>>>>>> main
        return cls(pulled.ok, pulled)
