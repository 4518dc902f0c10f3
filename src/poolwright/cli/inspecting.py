"""Commands that inspect a run or a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from poolwright.cli.app import RunFolder, app
from poolwright.cli.completers import finished_tables
from poolwright.cli.output import OUTPUT


@app.command()
def show(run_folder: RunFolder) -> None:
    """Print the funnel of a run.

    Rows that every step kept and dropped, and why.
    """
    from poolwright.api import show as show_run
    from poolwright.cli.rendering.running import print_funnels

    OUTPUT.show(print_funnels, show_run(run_folder))


@app.command()
def why(run_folder: RunFolder, uid: Annotated[str, typer.Argument(help="uid of the row.")]) -> None:
    """Explain what happened to one row.

    Each step's values, and the threshold the row met or missed.
    """
    from poolwright.api import why as explain
    from poolwright.cli.rendering.inspecting import print_stories

    OUTPUT.show(print_stories, explain(run_folder, uid))


@app.command()
def ledger(
    run_folder: RunFolder,
    table: Annotated[str, typer.Argument(help="The table.", metavar="TABLE", autocompletion=finished_tables)],
    reason: Annotated[Optional[str], typer.Option(help="Only rows dropped for this reason.")] = None,  # noqa: UP045
    step: Annotated[Optional[str], typer.Option(help="Only rows this step dropped: verb or number.")] = None,  # noqa: UP045
    uid: Annotated[Optional[list[str]], typer.Option(help="Only this row; may be repeated.")] = None,  # noqa: UP045
    columns: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Columns of the rows; default all but vectors and images.", metavar="NAME,NAME..."),
    ] = None,
    format: Annotated[Optional[str], typer.Option(help="csv, parquet or jsonl; default as FILE, or csv.")] = None,  # noqa: UP045
    to: Annotated[Optional[Path], typer.Option(help="Write the rows to this file.", metavar="FILE")] = None,  # noqa: UP045
) -> None:
    """List the rows that a table dropped.

    Without options: how many, by step and reason. With any: the rows with step, reason, place and values, as CSV.
    """
    from poolwright.api import ledger as dropped_rows
    from poolwright.cli.rendering.inspecting import print_dropped, write_dropped

    names = None if columns is None else [name.strip() for name in columns.split(",") if name.strip()]
    found = dropped_rows(run_folder, table, reason=reason, step=step, uids=uid or (), columns=names)
    if any(option is not None for option in (reason, step, uid, columns, format, to)):
        OUTPUT.show(write_dropped, found, to, format)
    else:
        OUTPUT.show(print_dropped, found.summary)


@app.command()
def search(
    run_folder: RunFolder,
    prompt: Annotated[str | None, typer.Argument(help="What to look for, such as 'wedding, engagement ring'.")] = None,
    table: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The table; default the largest with vectors.", autocompletion=finished_tables),
    ] = None,
    bucket: Annotated[Optional[str], typer.Option(help="Only rows of this bucket.")] = None,  # noqa: UP045
    n: Annotated[int, typer.Option("--n", help="Images wanted.", min=1, max=1000)] = 50,
    like: Annotated[Optional[str], typer.Option(help="Neighbours of this image too.", metavar="UID")] = None,  # noqa: UP045
    against: Annotated[Optional[str], typer.Option(help="A second prompt to compete.", metavar="PROMPT")] = None,  # noqa: UP045
    vectors: Annotated[Optional[str], typer.Option("--with", help="Column of the vectors.", metavar="COLUMN")] = None,  # noqa: UP045
    model: Annotated[str | None, typer.Option(help="Encoder, if the run names none.", metavar="KIND:MODEL")] = None,
    features: Annotated[Optional[Path], typer.Option(help=".npy of ready text features.")] = None,  # noqa: UP045
    to: Annotated[Path, typer.Option(help="Folder of the page and the contact sheet.", metavar="DIR")] = Path(),
) -> None:
    """Try a prompt on a finished table.

    Writes a contact sheet and a page: the nearest images, how far down they stay right, neighbours, two prompts.
    """
    from poolwright.api import search as find
    from poolwright.api import write_search
    from poolwright.cli.rendering.inspecting import print_found

    found = find(
        run_folder, prompt, table=table, bucket=bucket, n=n, like=like, against=against, vectors=vectors, model=model,
        features=features,
    )  # fmt: skip
    OUTPUT.show(print_found, found, write_search(run_folder, found, to), found.uids())


@app.command()
def report(
    run_folder: RunFolder,
    to: Annotated[Optional[Path], typer.Option(help="The HTML file; default report.html in the run folder.")] = None,  # noqa: UP045
    figures: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Draw clusters as PNG and SVG files into this folder, instead of the page.", metavar="DIR"),
    ] = None,
    of: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--class", help="Class of those figures; may be repeated. Default: the largest.", metavar="NAME"),
    ] = None,
) -> None:
    """Draw a run: one HTML file to look at and to show."""
    from poolwright.api import cluster_figures
    from poolwright.api import report as draw
    from poolwright.cli.rendering.inspecting import print_figure_files, print_report

    if figures is None:
        if of:
            from poolwright.core.errors import RecipeError

            raise RecipeError("--class goes with --figures DIR, the folder of the files")
        OUTPUT.show(print_report, draw(run_folder, to), asked=False)
        return
    OUTPUT.show(print_figure_files, cluster_figures(run_folder, figures, of or ()), asked=False)


@app.command()
def studio(
    path: Annotated[
        Path,
        typer.Argument(
            help="A run or a folder of runs; or a release, images, Parquet, a Hugging Face folder.", metavar="PATH"
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; tokens are needed unless it is this machine's own.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8765,
    annotator: Annotated[Optional[list[str]], typer.Option(help="Print a link for NAME; may be repeated.")] = None,  # noqa: UP045
    name: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Allow this host name, such as studio.example.org; may be repeated."),
    ] = None,
    frame: Annotated[
        bool, typer.Option("--frame", help="Let a notebook show it in a frame; stops when its input ends.")
    ] = False,
) -> None:
    """Look at rows and verify them, in a browser.

    Opens a run, a folder of runs, a release, a folder of images, or tables.
    """
    from poolwright.cli.rendering.inspecting import print_links
    from poolwright.studio.serve import serve

    serve(path, host, port, annotator or (), name or (), lambda links: OUTPUT.show(print_links, links), frame)


@app.command()
def verify(
    release: Annotated[str, typer.Argument(help="The folder of a release, or its hf:// or s3:// address.")],
    full: Annotated[bool, typer.Option("--full", help="Check every image and load every row, not a sample.")] = False,
    load: Annotated[
        bool, typer.Option("--load/--no-load", help="Load it with the libraries that its card names.")
    ] = True,
) -> None:
    """Check a release: checksums, counts, card, loading."""
    from poolwright.api import verify as verify_release
    from poolwright.cli.rendering.inspecting import print_verification

    with OUTPUT.listening() as listener:
        verification = verify_release(release, full, load, listener=listener)
    OUTPUT.show(print_verification, verification, asked=not verification.ok)
    if not verification.ok:
        raise typer.Exit(1)
