"""The `poolwright` command: parse, call the API, render. Exit status 0 done, 1 failed, 2 wrong call, 3 waiting."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, Optional

import typer

from poolwright import __version__

app = typer.Typer(
    name="poolwright",
    help="Turn image pools into curated, benchmark-ready datasets, by a recipe.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED = 130  # what typer exits with after Ctrl-C

RecipePath = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")]
RunFolder = Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")]
Sets = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads this annotation at run time
    typer.Option("--set", help="Override a key: pools.photos.path=/data; may be repeated.", metavar="KEY=VALUE"),
]
Folder = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--run", help="The run folder; default runs/<name> beside the recipe.", metavar="DIR"),
]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print(f"poolwright {__version__}")
        raise typer.Exit


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--to", help="Where the demo is made.")] = Path("demo"),
    images: Annotated[int, typer.Option(help="Pictures to draw.", min=500)] = 6000,
    seed: Annotated[int, typer.Option(help="Seed of the drawn world.", min=0)] = 2024,
) -> None:
    """Make a dataset of a drawn world.

    Draws a small world of pictures, runs a recipe over it, and compares with the truth. No network, no GPU.
    """
    from poolwright.cli.progress import console_listener
    from poolwright.cli.tables import print_demo
    from poolwright.demo.demo import run_demo

    with console_listener() as listener:
        outcome = run_demo(folder, images, seed, listener)
    print_demo(outcome)


@app.command()
def recipes() -> None:
    """List the recipes that come with poolwright."""
    from poolwright.cli.tables import print_recipes
    from poolwright.recipe.shipped import shipped

    print_recipes(shipped())


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="A shipped recipe; see `poolwright recipes`.")],
    to: Annotated[Optional[Path], typer.Argument(help="File to write; default NAME.yaml.")] = None,  # noqa: UP045
) -> None:
    """Write a shipped recipe to a file, to edit."""
    from poolwright.recipe.shipped import write_new

    print(f"wrote {write_new(name, to)}; edit its paths, then: poolwright check {to or name + '.yaml'}")


@app.command("import-clear")
def import_clear(
    config: Annotated[Path, typer.Argument(help="A JSON configuration of CLEAR's curation code.", metavar="CONFIG")],
    to: Annotated[Optional[Path], typer.Option(help="File to write; default NAME.yaml, of its NAME.")] = None,  # noqa: UP045
    label_map: Annotated[Optional[Path], typer.Option(help="JSON of short class names by prompt.")] = None,  # noqa: UP045
    times: Annotated[Optional[Path], typer.Option(help="JSON of the times that buckets were cut by.")] = None,  # noqa: UP045
) -> None:
    """Turn a configuration of CLEAR into a recipe."""
    from poolwright.api import import_clear as write_recipe

    path = write_recipe(config, to, label_map, times)
    print(f"wrote {path}; edit its paths, then: poolwright check {path}")


@app.command()
def check(recipe: RecipePath, sets: Sets = None) -> None:
    """Find what is wrong with a recipe, before anything runs."""
    from poolwright.api import check as check_recipe
    from poolwright.cli.tables import print_check

    print_check(recipe, check_recipe(recipe, sets or ()))


@app.command()
def plan(
    recipe: RecipePath,
    sets: Sets = None,
    run_folder: Folder = None,
    sample: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Try it on so many random parts (shards) of each pool, and predict.", min=2, metavar="PARTS"),
    ] = None,
) -> None:
    """Tell what is done, what is left, and what it will take.

    With --sample: rows kept, time and size of the whole, from a dry run on random parts.
    """
    from poolwright.api import dry_run
    from poolwright.api import plan as plan_recipe
    from poolwright.cli.progress import console_listener
    from poolwright.cli.tables import print_plan, print_predictions

    if sample is None:
        print_plan(plan_recipe(recipe, run_folder, sets or ()))
        return
    with console_listener() as listener:
        predictions = dry_run(recipe, sample, sets or (), listener=listener)
    print_predictions(predictions)


@app.command()
def run(
    recipe: RecipePath,
    sets: Sets = None,
    run_folder: Folder = None,
    table: Annotated[Optional[list[str]], typer.Option(help="Only this table and what it comes from.")] = None,  # noqa: UP045
    fresh: Annotated[Optional[list[str]], typer.Option(help="Start this table over.", metavar="TABLE")] = None,  # noqa: UP045
    engine: Annotated[str, typer.Option(help="native or ray.")] = "native",
    address: Annotated[Optional[str], typer.Option(help="Ray cluster, such as ray://head:10001.")] = None,  # noqa: UP045
    workers: Annotated[Optional[int], typer.Option(help="Units at once; default one a core.", min=1)] = None,  # noqa: UP045
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace releases made from something else.")] = False,
    no_release: Annotated[bool, typer.Option("--no-release", help="Make the tables only.")] = False,
) -> None:
    """Run a recipe, or continue it where it stopped."""
    from poolwright.api import run as run_recipe
    from poolwright.cli.progress import console_listener
    from poolwright.cli.tables import print_run

    with console_listener() as listener:
        result = run_recipe(
            recipe,
            run_folder,
            sets=sets or (),
            tables=table,
            fresh=fresh or (),
            engine=engine,
            workers=workers,
            address=address,
            release=not no_release,
            overwrite=overwrite,
            listener=listener,
        )
    print_run(result)


@app.command()
def show(run_folder: RunFolder) -> None:
    """Print the funnel of a run.

    What every step kept and dropped, and why.
    """
    from poolwright.api import show as show_run
    from poolwright.cli.tables import print_funnel

    for table in show_run(run_folder):
        print_funnel(table.record)


@app.command()
def why(run_folder: RunFolder, uid: Annotated[str, typer.Argument(help="uid of the row.")]) -> None:
    """Tell the story of one row.

    Each step's values, and the threshold the row met or missed.
    """
    from poolwright.api import why as tell
    from poolwright.cli.tables import print_story

    for story in tell(run_folder, uid):
        print_story(story)


@app.command()
def search(
    run_folder: RunFolder,
    prompt: Annotated[str | None, typer.Argument(help="What to look for, such as 'wedding, engagement ring'.")] = None,
    table: Annotated[Optional[str], typer.Option(help="The table; default the largest with vectors.")] = None,  # noqa: UP045
    bucket: Annotated[Optional[str], typer.Option(help="Only rows of this bucket.")] = None,  # noqa: UP045
    n: Annotated[int, typer.Option("--n", help="Images wanted.", min=1, max=1000)] = 50,
    like: Annotated[Optional[str], typer.Option(help="Neighbours of this image too.", metavar="UID")] = None,  # noqa: UP045
    against: Annotated[Optional[str], typer.Option(help="A second prompt to compete.", metavar="PROMPT")] = None,  # noqa: UP045
    vectors: Annotated[Optional[str], typer.Option("--with", help="Column of the vectors.", metavar="COLUMN")] = None,  # noqa: UP045
    model: Annotated[str | None, typer.Option(help="Encoder, where the run names none.", metavar="KIND:PLACE")] = None,
    features: Annotated[Optional[Path], typer.Option(help=".npy of ready text features.")] = None,  # noqa: UP045
    to: Annotated[Path, typer.Option(help="Folder of the page and the contact sheet.", metavar="DIR")] = Path(),
) -> None:
    """Try a prompt on a finished table.

    Writes a contact sheet and a page: the nearest images, how deep they stay right, neighbours, two prompts competing.
    """
    from poolwright.api import search as find
    from poolwright.api import write_search
    from poolwright.cli.tables import print_found

    found = find(
        run_folder, prompt, table=table, bucket=bucket, n=n, like=like, against=against, vectors=vectors, model=model,
        features=features,
    )  # fmt: skip
    print_found(found, write_search(run_folder, found, to))


@app.command()
def audit(
    run_folder: RunFolder,
    table: Annotated[str, typer.Argument(help="A table with a classify step.")],
    to: Annotated[Path, typer.Argument(help="The sheet to write.", metavar="SHEET")],
    n: Annotated[int, typer.Option("--n", help="Rows on the sheet.", min=1)] = 400,
    format: Annotated[str, typer.Option(help="csv, jsonl or label_studio.")] = "csv",
    show_decision: Annotated[bool, typer.Option("--show-decision", help="Show decision values; they lead.")] = False,
) -> None:
    """Write a sheet of sampled rows for people to judge.

    Rows kept and dropped by a classifier, most where they tell most of its precision and recall on the pool.
    """
    from poolwright.api import audit as write_audit

    for path in write_audit(run_folder, table, to, n, format, show_decision):
        print(f"wrote {path}")
    print(f"fill in the verdicts (positive, negative, unsure), then: poolwright accuracy {to}")


@app.command()
def accuracy(
    sheet: Annotated[Path, typer.Argument(help="The sheet that `audit` wrote.", metavar="SHEET")],
    verdicts: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--verdicts", help="A filled-in copy or export; may be repeated. Default: the sheet itself."),
    ] = None,
    word: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--word", help="What a word means: map=positive; may be repeated.", metavar="WORD=MEANING"),
    ] = None,
    want: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--want", help="Half-width wanted: recall=5%; may be repeated.", metavar="MEASURE=SHARE"),
    ] = None,
) -> None:
    """Estimate a filter's accuracy from verdicts.

    Precision, recall and prevalence on the whole pool, with intervals.
    """
    from poolwright.api import accuracy as estimate
    from poolwright.cli.tables import print_accuracy, print_more

    words = {name: meaning for name, _, meaning in (pair.partition("=") for pair in word or ())}
    estimates = estimate(sheet, verdicts or (), words)
    print_accuracy(estimates)
    if want:
        from poolwright.kernels.statistics.sample_size import how_many_more, parse_wanted

        print_more(how_many_more(estimates, parse_wanted(want)), estimates)


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
    from poolwright.api import figures as draw_clusters
    from poolwright.api import report as draw

    if figures is None:
        if of:
            from poolwright.core.errors import RecipeError

            raise RecipeError("--class goes with --figures DIR, the folder of the files")
        print(f"open {draw(run_folder, to)}")
        return
    for path in draw_clusters(run_folder, figures, of or ()):
        print(path)


@app.command()
def studio(
    run_folder: RunFolder,
    host: Annotated[str, typer.Option(help="Address to listen on; but for this machine's own, tokens are needed.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8765,
    annotator: Annotated[Optional[list[str]], typer.Option(help="Print a link for NAME; may be repeated.")] = None,  # noqa: UP045
    name: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Allow this host name, such as studio.example.org; may be repeated."),
    ] = None,
) -> None:
    """Look at a run and verify its rows in a browser."""
    from poolwright.cli.tables import print_links
    from poolwright.studio.serve import serve

    serve(run_folder, host, port, annotator or (), name or (), print_links)


@app.command("apply")
def apply_release(
    release: Annotated[Path, typer.Argument(help="The folder of a release.", metavar="RELEASE")],
    inputs: Annotated[
        list[str], typer.Argument(help="Pictures; or one folder, table, or path of a pool.", metavar="INPUT...")
    ],
    to: Annotated[Optional[Path], typer.Option(help="Run folder for the kept rows; default: only told.")] = None,  # noqa: UP045
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
    workers: Annotated[Optional[int], typer.Option(help="Units at once; default one a core.", min=1)] = None,  # noqa: UP045
) -> None:
    """Apply a release's steps to other rows or pictures.

    With the classifiers, thresholds and labels that were learned when the release was made.
    """
    from poolwright.api import apply
    from poolwright.cli.progress import console_listener
    from poolwright.cli.tables import print_applied
    from poolwright.jobs.apply import parse_models

    with console_listener() as listener:
        applied = apply(
            release,
            inputs,
            to,
            kind=read,
            sets=sets or (),
            skip=skip or (),
            models=parse_models(model or ()),
            ledger=ledger,
            workers=workers,
            listener=listener,
        )
    print_applied(applied)


@app.command()
def convert(
    kind: Annotated[str, typer.Argument(help="Kind of the pool: geoyfcc, table, ...", metavar="KIND")],
    source: Annotated[str, typer.Argument(help="Its path: file, folder, glob or URL.", metavar="SOURCE")],
    to: Annotated[Path, typer.Argument(help="A file ending in .parquet, or a folder.", metavar="TO")],
    sets: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="A parameter of the pool; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Write a pool to Parquet once, to read it faster."""
    from poolwright.api import convert as convert_pool
    from poolwright.cli.progress import console_listener
    from poolwright.cli.tables import print_converted

    with console_listener() as listener:
        converted = convert_pool(kind, source, to, sets or (), listener)
    print_converted(to, converted)


FetchSets = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="Any other option, such as max_wait=10; may be repeated.", metavar="KEY=VALUE"),
]


@app.command()
def fetch(
    source: Annotated[Path, typer.Argument(help="Parquet, CSV or JSON Lines; a table, a release.", metavar="INPUT")],
    to: Annotated[Path, typer.Argument(help="Folder of the shards.", metavar="TO")],
    url: Annotated[Optional[str], typer.Option("--url-col", help="Column of the URL; url.")] = None,  # noqa: UP045
    caption: Annotated[Optional[str], typer.Option("--caption-col", help="Column of the caption; text.")] = None,  # noqa: UP045
    sha256: Annotated[Optional[str], typer.Option("--sha256-col", help="Column of the SHA-256; sha256.")] = None,  # noqa: UP045
    uid: Annotated[Optional[str], typer.Option("--uid-col", help="Column of the id; uid.")] = None,  # noqa: UP045
    layout: Annotated[Optional[str], typer.Option("--format", help="webdataset or files.")] = None,  # noqa: UP045
    shard_rows: Annotated[Optional[int], typer.Option(help="Rows a shard; 10000.")] = None,  # noqa: UP045
    concurrency: Annotated[Optional[int], typer.Option(help="Requests at once; 64.")] = None,  # noqa: UP045
    per_host: Annotated[Optional[int], typer.Option(help="Requests at once to one host; 4.")] = None,  # noqa: UP045
    timeout: Annotated[Optional[float], typer.Option(help="Seconds to connect, and between bytes; 10.")] = None,  # noqa: UP045
    total: Annotated[Optional[float], typer.Option(help="Seconds on the network for one URL; 60.")] = None,  # noqa: UP045
    max_bytes: Annotated[Optional[str], typer.Option(help="Size of an image at most; 50MB.")] = None,  # noqa: UP045
    retries: Annotated[Optional[int], typer.Option(help="Further tries where they may help; 2.")] = None,  # noqa: UP045
    retry: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Fetch rows of this error class again; 'all'; may be repeated.", metavar="CLASS"),
    ] = None,
    allow_private: Annotated[bool, typer.Option("--allow-private", help="Allow private and local addresses.")] = False,
    tool: Annotated[str, typer.Option(help="own or img2dataset.")] = "own",
    sets: FetchSets = None,
) -> None:
    """Fetch images by URL, guarded and resumable."""
    from poolwright.api import fetch as fetch_images
    from poolwright.cli.fetching import fetch_options, print_fetched
    from poolwright.cli.progress import console_listener

    options = fetch_options(
        sets or (), url=url, caption=caption, sha256=sha256, uid=uid, format=layout, shard_rows=shard_rows,
        concurrency=concurrency, per_host=per_host, timeout=timeout, total=total, max_bytes=max_bytes,
        retries=retries, retry=tuple(retry) if retry else None, allow_private=allow_private or None,
    )  # fmt: skip
    with console_listener() as listener:
        fetched = fetch_images(source, to, options, tool, listener)
    print_fetched(fetched)


@app.command()
def rebuild(
    source: Annotated[Path, typer.Argument(help="A release, or its Parquet file.", metavar="RELEASE")],
    to: Annotated[Path, typer.Argument(help="Folder of the shards.", metavar="TO")],
    class_column: Annotated[Optional[str], typer.Option("--class-col", help="Column of the class; label.")] = None,  # noqa: UP045
    allow_private: Annotated[bool, typer.Option("--allow-private", help="Allow private and local addresses.")] = False,
    sets: FetchSets = None,
) -> None:
    """Fetch a release's images again; tell how many came."""
    from poolwright.api import rebuild as rebuild_release
    from poolwright.cli.fetching import fetch_options, print_recovery
    from poolwright.cli.progress import console_listener

    options = fetch_options(sets or (), allow_private=allow_private or None)
    with console_listener() as listener:
        found = rebuild_release(source, to, options, class_column, listener)
    print_recovery(found)


@app.command("train-encoder")
def train_encoder(
    kind: Annotated[str, typer.Argument(help="mmd-vae or moco.", metavar="KIND")],
    pools: Annotated[
        list[str], typer.Argument(help="Folders of images, tables of a run, or paths of pools.", metavar="POOL...")
    ],
    to: Annotated[Path, typer.Option(help="Folder of the encoder.", metavar="FOLDER")],
    epochs: Annotated[Optional[int], typer.Option(help="Times that every image is seen.")] = None,  # noqa: UP045
    batch: Annotated[Optional[int], typer.Option(help="Images a step.")] = None,  # noqa: UP045
    size: Annotated[Optional[int], typer.Option(help="Edge of the images in pixels.")] = None,  # noqa: UP045
    seed: Annotated[Optional[int], typer.Option(help="Of everything random; 0.")] = None,  # noqa: UP045
    device: Annotated[Optional[str], typer.Option(help="auto, cpu or cuda.")] = None,  # noqa: UP045
    sets: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="Any other setting: latent=64; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    read: Annotated[Optional[str], typer.Option(help="Kind of the pools, such as commonpool.")] = None,  # noqa: UP045
    pool_sets: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--pool", help="A parameter of the pools; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over.")] = False,
) -> None:
    """Train an encoder on the images of a pool; resumable.

    The same command continues where it was stopped, and ends with the same weights.
    """
    from poolwright.api import train_encoder as train
    from poolwright.cli.progress import console_listener
    from poolwright.cli.tables import print_trained
    from poolwright.recipe.source import parse_parameters

    said = {"epochs": epochs, "batch": batch, "size": size, "seed": seed, "device": device}
    settings = parse_parameters(sets or ()) | {name: value for name, value in said.items() if value is not None}
    with console_listener() as listener:
        trained = train(
            kind, pools, to, settings, read=read, parameters=parse_parameters(pool_sets or ()), fresh=fresh,
            listener=listener,
        )  # fmt: skip
    print_trained(trained)


@app.command()
def steps(
    verb: Annotated[Optional[str], typer.Argument(help="Only this step.")] = None,  # noqa: UP045
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the recipe language.")] = False,
) -> None:
    """List the steps, or one step's parameters."""
    from poolwright.cli.tables import print_step, print_steps

    if schema:
        from poolwright.recipe.jsonschema import schema_text

        print(schema_text(), end="")
    elif verb:
        print_step(verb)
    else:
        print_steps()


@app.command()
def verify(
    release: Annotated[Path, typer.Argument(help="The folder of a release.", metavar="DIR")],
    full: Annotated[bool, typer.Option("--full", help="Check the bytes of every image, not of a sample.")] = False,
) -> None:
    """Check a release: checksums, counts, card, Croissant."""
    import logging

    from poolwright.api import verify as verify_release
    from poolwright.cli.tables import print_verification

    logging.disable(logging.WARNING)  # what mlcroissant warns of is told by its check
    verification = verify_release(release, full)
    print_verification(verification)
    if not verification.ok:
        raise typer.Exit(1)


def main() -> None:
    """Entry point: errors made for people are printed without a traceback."""
    from poolwright.core.errors import PoolwrightError, WaitingForPeople
    from poolwright.core.runtime.quiet import silence

    silence()
    # Pillow warns of broken EXIF in pictures that it reads all the same.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        app()
    except WaitingForPeople as waiting:
        print(f"{waiting}\n  {_again(sys.argv[1:])}", file=sys.stderr)
        sys.exit(waiting.exit_code)
    except PoolwrightError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            print("stopped; the same command continues", file=sys.stderr)
        raise
    except BrokenPipeError:
        sys.exit(1)


def _again(arguments: list[str]) -> str:
    """The command that goes on: the same, but for tables that were started over."""
    import shlex

    kept = []
    for argument, before in zip(arguments, [None, *arguments], strict=False):
        if argument != "--fresh" and before != "--fresh" and not argument.startswith("--fresh="):
            kept.append(argument)
    return shlex.join(["poolwright", *kept])


if __name__ == "__main__":
    main()
