"""Find out, before the first unit, whether the machines of a cluster share the storage that a run needs.

The driver writes a file with a random text into the run folder. Every node must read that text under the same path, and
write a file that the driver finds; every process that runs units looks for the text once, so that nodes that join later
are checked as well.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from poolwright.core.errors import PoolwrightError
from poolwright.core.files import write_text
from poolwright.core.wording import some

_PROBE = "run.shared"
_PATIENCE = 3.0
"""Seconds until a file that another machine has written is there; network file systems remember what is missing."""


class FolderProbe(NamedTuple):
    """A file that every machine must see.

    Attributes:
        path: where it is.
        text: what it holds.
    """

    path: str
    text: str

    @classmethod
    def write(cls, folder: Path) -> FolderProbe:
        """Write one into a run folder."""
        probe = cls(str(folder / _PROBE), token_hex(16))
        write_text(Path(probe.path), probe.text)
        return probe

    def remove(self) -> None:
        """Remove it, and what nodes that ended too early have left next to it."""
        path = Path(self.path)
        for left in (path, *path.parent.glob(f"{_PROBE}.*")):
            left.unlink(missing_ok=True)


class NodeView(NamedTuple):
    """What a node sees.

    Attributes:
        host: name of the machine.
        wrong: what keeps it from working in the run folder, as a part of a sentence; '' if nothing does.
        missing: input files that are not there.
    """

    host: str
    wrong: str
    missing: tuple[str, ...]


def look(probe: FolderProbe, node: str, inputs: Sequence[str]) -> NodeView:
    """Look at a run folder and at input files; called on each node."""
    host, missing = socket.gethostname(), tuple(path for path in inputs if not os.path.exists(path))
    if not _reads(probe):
        return NodeView(host, "has another folder there, or none", missing)
    try:
        Path(_answer(probe, node)).write_text(probe.text, encoding="utf-8")
    except OSError as error:
        return NodeView(host, f"may not write there ({error.strerror})", missing)
    return NodeView(host, "", missing)


def check(probe: FolderProbe, seen: dict[str, NodeView]) -> None:
    """Check what the nodes have seen, by node.

    Raises:
        PoolwrightError: storage is not shared; says what, on which machines, and what to do.
    """
    folder = os.path.dirname(probe.path)
    for node, found in seen.items():
        wrong = found.wrong or (
            "" if _reads(FolderProbe(_answer(probe, node), probe.text)) else "writes to another folder"
        )
        if wrong:
            raise PoolwrightError(
                f"{folder}: this folder is not on storage that all nodes of the Ray cluster share: {found.host} "
                f"(node {node[:8]}) {wrong}. Mount the same storage on all nodes under this path, or name a folder on "
                "such storage (of a run: --run FOLDER)"
            )
    lacking = {path: found for found in seen.values() for path in found.missing}
    if lacking:
        path, found = next(iter(lacking.items()))
        raise PoolwrightError(
            f"{path}: {found.host}, a node of the Ray cluster, does not have this input"
            f"{f', nor {some(list(lacking)[1:], 3)}' if len(lacking) > 1 else ''}. Put it on storage that all nodes "
            "share under the same path, or behind a URL such as s3://"
        )


@lru_cache(maxsize=8)
def check_here(probe: FolderProbe) -> None:
    """Check once per process that it works in the run folder of the driver.

    Raises:
        PoolwrightError: it does not.
    """
    if not _reads(probe):
        raise PoolwrightError(
            f"{os.path.dirname(probe.path)}: {socket.gethostname()}, which has joined the Ray cluster, does not have "
            "this folder; mount the storage that the other nodes share. Finished work is kept: the same command "
            "continues"
        )


def _answer(probe: FolderProbe, node: str) -> str:
    return f"{probe.path}.{node}"


def _reads(probe: FolderProbe) -> bool:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            if Path(probe.path).read_text(encoding="utf-8") == probe.text:
                return True
        except (OSError, UnicodeDecodeError):
            pass
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
