"""The terminal, or the pipe or file, that commands print to."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as Grid


class _PlainLines:
    """Standard output for pipes and files: without the spaces that rich fills lines with."""

    def write(self, text: str) -> int:
        return sys.stdout.write(_TRAILING.sub("", text))

    def flush(self) -> None:
        sys.stdout.flush()


_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_NO_EDGE = 10_000


def console() -> Console:
    """Standard output. A pipe gets lines as long as they are, as plain text: nothing is cut that no one sees."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console()
    return Console(file=cast(TextIO, _PlainLines()), width=_NO_EDGE, color_system=None, force_terminal=False)


class _Encoded:
    """Standard output as a binary file, if it has none of its own."""

    def write(self, data: bytes) -> int:
        sys.stdout.write(bytes(data).decode())
        return len(data)

    def flush(self) -> None:
        sys.stdout.flush()

    closed = False


def standard_output() -> BinaryIO:
    """Standard output, for bytes."""
    sys.stdout.flush()
    return cast(BinaryIO, getattr(sys.stdout, "buffer", None) or _Encoded())


def grid(*columns: str, numbers: Sequence[str] = ()) -> Grid:
    """A table of these columns; those of `numbers` are aligned to the right."""
    from rich import box
    from rich.table import Table as Grid

    table = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table
