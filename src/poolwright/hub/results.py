"""Defines what pushing and pulling return."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poolwright.release.checks.result import Check, Verification


@dataclass(frozen=True)
class Pushed:
    """A release that was pushed, or would be.

    Attributes:
        release: its folder.
        to: address that it was pushed to.
        page: address of the dataset for people; None if there is none.
        commit: the commit of the Hub that has it; None for other stores and dry runs.
        private: whether only its owner sees it; None if that is not known.
        files: number of files of the release.
        bytes: their total size.
        changed: number of files that were new or different there.
        changed_bytes: their total size.
        removed: files that were there and are not in the release: removed.
        checks: what was checked before anything was sent.
        dry_run: whether nothing was sent because only the checks were asked for.
    """

    release: Path
    to: str
    page: str | None
    commit: str | None
    private: bool | None
    files: int
    bytes: int
    changed: int
    changed_bytes: int
    removed: tuple[str, ...]
    checks: tuple[Check, ...]
    dry_run: bool = False

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(check.ok is not False for check in self.checks)


@dataclass(frozen=True)
class Pulled:
    """A dataset that was pulled into a folder.

    Attributes:
        source: address that it was pulled from.
        folder: where it is.
        commit: the commit that was pulled; None for stores other than the Hub.
        files: number of files.
        bytes: their total size.
        fresh: False if the folder had all of it already.
        left_out: files there that the release does not list, and that were left out.
        table: the released table; None if this is no release of poolwright.
        layout: its layout; None if this is no release of poolwright.
        verification: what `verify` found; None if this is no release of poolwright.
    """

    source: str
    folder: Path
    commit: str | None
    files: int
    bytes: int
    fresh: bool
    left_out: tuple[str, ...] = ()
    table: str | None = None
    layout: str | None = None
    verification: Verification | None = None

    @property
    def ok(self) -> bool:
        """Whether it is no release, or one that verifies."""
        return self.verification is None or self.verification.ok
