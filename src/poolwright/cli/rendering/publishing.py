"""Prints the results of pushing and pulling."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from poolwright.cli.rendering.console import console
from poolwright.cli.rendering.inspecting import print_checks, print_verification
from poolwright.core.files import human_bytes
from poolwright.core.wording import counted, some

if TYPE_CHECKING:
    from poolwright.api import Pulled, Pushed


def print_pushed(pushed: Pushed) -> None:
    """Print what was sent and where it is; of a dry run, every check."""
    out = console()
    whole = f"{pushed.files:,} files, {human_bytes(pushed.bytes)}"
    if pushed.dry_run:
        print_checks(pushed.checks)
        ready = f"ready for {pushed.to}" if pushed.ok else "it would be refused"
        out.print(Text(f"{pushed.release}: {whole}; {ready}; nothing was sent (--dry-run)", style="bold"))
        return
    seen = {True: ", private", False: ", public", None: ""}[pushed.private]
    out.print(Text(f"{pushed.to}: {whole}{seen}", style="bold"))
    if pushed.changed or pushed.removed:
        out.print(Text(f"new or changed {pushed.changed:,} files, {human_bytes(pushed.changed_bytes)}"))
    else:
        out.print(Text("unchanged: everything was there already"))
    if pushed.removed:
        out.print(
            Text(
                f"removed {counted(len(pushed.removed), 'file')} that the release does not have: {some(pushed.removed)}"
            )
        )
    if pushed.page:
        out.print(Text(f"{pushed.page} at commit {pushed.commit}"))


def print_pulled(pulled: Pulled) -> None:
    """Print what came, whether it is a release of poolwright, and whether it verifies."""
    out = console()
    commit = f", commit {pulled.commit}" if pulled.commit else ""
    state = "pulled" if pulled.fresh else "was there already"
    whole = f"{pulled.files:,} files, {human_bytes(pulled.bytes)}{commit}"
    out.print(Text(f"{pulled.folder}: {state}: {whole}", style="bold"))
    if pulled.left_out:
        names = some(pulled.left_out)
        out.print(Text(f"left out {counted(len(pulled.left_out), 'file')} that the release does not list: {names}"))
    if pulled.verification is None:
        digests = ", its files as their digests say" if pulled.commit else ""
        out.print(Text(f"not a release of poolwright{digests}"))
        return
    out.print(Text(f"a release of poolwright: table '{pulled.table}' in the layout '{pulled.layout}'"))
    if pulled.ok:
        out.print(Text(pulled.verification.words))
    else:
        print_verification(pulled.verification)


def print_exported(path: Path) -> None:
    """Print the file of a classifier."""
    print(f"wrote {path}")
