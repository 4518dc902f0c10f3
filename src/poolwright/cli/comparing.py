"""Commands that compare versions of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from poolwright.cli.app import app
from poolwright.cli.output import OUTPUT


@app.command("diff")
def diff_versions(
    before: Annotated[Path, typer.Argument(help="Folder of a release, or a table as RUN/TABLE.", metavar="A")],
    after: Annotated[Path, typer.Argument(help="The later version, of either kind.", metavar="B")],
    html: Annotated[Optional[Path], typer.Option(help="Write a page about it.", metavar="FILE")] = None,  # noqa: UP045
    removed: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the uids of removed rows, as `remove` reads them.", metavar="FILE"),
    ] = None,
    rows: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write every difference: .csv, .parquet or .jsonl.", metavar="FILE"),
    ] = None,
) -> None:
    """Compare two versions of a dataset, row by row.

    Rows added, removed, moved between splits, relabelled or changed, with the step and reason, by class and source.
    """
    from poolwright.api import diff, write_diff
    from poolwright.cli.rendering.comparing import print_changes

    changes = diff(before, after, removed=removed, rows=rows)
    if html is not None:
        write_diff(changes, html)
    OUTPUT.show(print_changes, changes, [path for path in (removed, rows, html) if path is not None])
