"""Commands that compare versions of a dataset, datasets with each other, and recipes with what was published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from poolwright.cli.app import app
from poolwright.cli.completers import names_of_reproductions
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


@app.command("leaks")
def leaks_between(
    sets: Annotated[
        list[str],
        typer.Argument(help="Releases, RUN/tables/NAME, folders of images, datasets, files of rows.", metavar="A B..."),
    ],
    vectors: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Column of vectors to compare, or none; default the first that all have.", metavar="COLUMN"),
    ] = None,
    above: Annotated[float, typer.Option(help="Least cosine of near vectors.", min=0.01, max=1)] = 0.95,
    within: Annotated[bool, typer.Option("--within", help="Compare rows of the same set, too.")] = False,
    by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Compare parts of the sets: a column such as split.", metavar="COLUMN"),
    ] = None,
    read: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Kind of the sets as `poolwright pools` lists them, if unclear.", metavar="KIND"),
    ] = None,
    html: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write a page with pairs of pictures.", metavar="FILE"),
    ] = None,
) -> None:
    """Count the rows that datasets have in common.

    By SHA-256, perceptual hash, and vectors if all have them. Hashes that no column has are computed from the images.
    """
    from poolwright.api import leaks, write_leaks
    from poolwright.cli.rendering.comparing import print_leaks

    with OUTPUT.listening() as listener:
        report = leaks(
            *sets,
            vectors=vectors,
            above=above,
            within=within,
            by=by,
            read=read,
            pictures=html is not None,
            listener=listener,
        )
    if html is not None:
        write_leaks(report, html)
    OUTPUT.show(print_leaks, report, [html] if html is not None else [])


@app.command()
def conformance(
    name: Annotated[
        str,
        typer.Argument(help="A shipped recipe that reproduces a dataset.", autocompletion=names_of_reproductions),
    ],
    to: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--to", help="Folder for sources and run; default conformance/NAME.", metavar="DIR"),
    ] = None,
) -> None:
    """Run a shipped recipe at its published size.

    Sources that cannot be had are generated. Prints what the recipe gives next to the published numbers; exit status 1
    if a number differs that the rules fix. The same command continues a run that was stopped.
    """
    from poolwright.cli.rendering.comparing import print_conformance
    from poolwright.conformance import conformance as run_conformance

    with OUTPUT.listening() as listener:
        found = run_conformance(name, to, listener)
    OUTPUT.show(print_conformance, found)
    raise typer.Exit(0 if found.ok else 1)
