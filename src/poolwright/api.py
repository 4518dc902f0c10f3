"""The Python API: check, plan, run, show, why, explore, search, audit, accuracy, report, verify, apply, convert,
import_clear, fetch, rebuild, train_encoder.

The CLI renders what these return.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwright.core.columns import BUCKET, IMAGE, is_vector
from poolwright.core.errors import InputError, PoolwrightError, RecipeError, did_you_mean
from poolwright.core.measured import Measured
from poolwright.core.rows import Rows
from poolwright.core.table import RECORD, Table, TableRecord
from poolwright.inspect.why import Story, dropped_rows
from poolwright.inspect.why import why as _why
from poolwright.measure.measure import check_figure
from poolwright.measure.store import measure_all, measured_of
from poolwright.models.encoders.load import check_encoder
from poolwright.recipe.recipe import Recipe, ReleaseSpec
from poolwright.recipe.tables import StepSpec
from poolwright.registry import STEPS, step_class
from poolwright.run.batches import BATCH_ROWS
from poolwright.run.engine import Engine
from poolwright.run.lock import run_lock
from poolwright.run.plan import TablePlan
from poolwright.run.progress import Listener, Silent
from poolwright.run.run import Run

if TYPE_CHECKING:
    from poolwright.core.search_result import Found
    from poolwright.fetch.fetch import Fetched, SourceLike
    from poolwright.fetch.options import FetchOptions
    from poolwright.fetch.recovery import Recovery
    from poolwright.inspect.views.view import View
    from poolwright.jobs.convert import Converted
    from poolwright.jobs.dry_run import Prediction
    from poolwright.jobs.train import Trained
    from poolwright.kernels.statistics.accuracy import Estimates
    from poolwright.release.checks.check import Verification
    from poolwright.release.layouts.layout import Written
    from poolwright.report.view import TableView

RecipeLike = Recipe | str | Path


@dataclass(frozen=True)
class RunResult:
    """What a run made.

    Attributes:
        folder: the run folder.
        tables: finished tables by name.
        releases: what was written, in order of the recipe.
        figures: what was measured, in order of the recipe.
    """

    folder: Path
    tables: Mapping[str, Table]
    releases: tuple[Written, ...]
    figures: tuple[Measured, ...]


@dataclass(frozen=True)
class Applied:
    """What the steps of a release said of other rows.

    Attributes:
        record: of the table that was made.
        folder: the run folder; None where nothing was kept.
        stories: what happened to each row, where there are few.
        left_out: steps that the rows could not go through, and the columns they lack for it.
    """

    record: TableRecord
    folder: Path | None
    stories: tuple[Story, ...]
    left_out: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class TableOutlook:
    """What is done and left of one table.

    Attributes:
        state: 'done', 'begun', 'new', 'asks' while people are asked, or 'waits' for the table it comes from.
        rows: rows it will read, where that is known.
        units, units_done: units of work.
        seconds_left: from the pace of the units that are done; None where there are none.
        stages: times the rows are read: once a fit that looks at them, once to write.
    """

    name: str
    source: str
    state: str
    rows: int | None
    units: int
    units_done: int
    seconds_left: float | None
    steps: tuple[str, ...]


def check(recipe: RecipeLike, sets: Sequence[str] = ()) -> dict[str, TablePlan]:
    """Find what is wrong with a recipe before anything runs.

    Returns:
        The plan of every table: steps, columns, ledger codes.

    Raises:
        RecipeError: unknown names, wrong types, missing columns, files or extras.
    """
    loaded = _load(recipe, sets)
    plans = Run(loaded, loaded.default_run).plans()
    for spec in loaded.tables.values():
        for placed in spec.steps:
            _check_models(loaded, placed)
    for release in loaded.releases:
        try:
            release.layout.check(plans[release.table].schema)
            release.layout.check_tables({name: plans[name].schema for name in release.layout.tables()})
        except PoolwrightError as error:
            raise loaded.source.error(release.key, str(error)) from None
    for place, figure in enumerate(loaded.figures):
        try:
            check_figure(figure, plans[figure.table].schema)
        except PoolwrightError as error:
            raise loaded.source.error(("figures", place), str(error)) from None
    return plans


def _check_models(recipe: Recipe, placed: StepSpec) -> None:
    for spec in placed.encoders:
        try:
            check_encoder(spec)
        except PoolwrightError as error:
            raise recipe.source.error(placed.key, placed.words(error)) from None


def run(
    recipe: RecipeLike,
    folder: str | Path | None = None,
    *,
    sets: Sequence[str] = (),
    tables: Sequence[str] | None = None,
    fresh: Sequence[str] = (),
    engine: str = "native",
    workers: int | None = None,
    address: str | None = None,
    release: bool = True,
    overwrite: bool = False,
    listener: Listener | None = None,
    batch_rows: int = BATCH_ROWS,
) -> RunResult:
    """Run a recipe, or continue it where an earlier run stopped.

    Args:
        recipe: a recipe or the path of one.
        folder: the run folder; default `runs/<name>` beside the recipe.
        sets: overrides `a.b=value`, where `recipe` is a path.
        tables: only these tables and what they come from; then nothing is released or measured.
        fresh: tables to start over.
        engine: 'native' or 'ray'.
        workers: units in flight at once; default one a core.
        address: Ray cluster; default a local Ray.
        release: whether to write the releases.
        overwrite: whether releases made from something else may be replaced.
        listener: is told of progress.
        batch_rows: rows a batch; more is faster and takes more memory. Changes no result.

    Raises:
        PoolwrightError: told in `core/errors.py`; what is finished stays, the same call continues.
    """
    loaded = _load(recipe, sets)
    check(loaded)
    work = Run(
        loaded,
        _folder(loaded, folder),
        Engine(engine, workers, address),
        listener or Silent(),
        batch_rows,
    )
    made = work.run(tables, fresh)
    if tables is not None:
        return RunResult(work.folder, made, (), ())
    # Before the releases, whose cards say what was measured.
    measured = measure_all(loaded.figures, made, work.folder, work.listener, workers)
    written = tuple(_release(work, spec, overwrite, measured) for spec in loaded.releases) if release else ()
    return RunResult(work.folder, made, written, measured)


def _release(work: Run, spec: ReleaseSpec, overwrite: bool, measured: Sequence[Measured]) -> Written:
    work.listener.note(f"releasing {spec.table} as {spec.layout.layout} to {spec.to}")
    here = [found for found in measured if found.table == spec.table]
    return spec.layout.write(work.table(spec.table), spec.to, spec.about, overwrite, here)


def plan(recipe: RecipeLike, folder: str | Path | None = None, sets: Sequence[str] = ()) -> list[TableOutlook]:
    """What a run would do: what is done, what is left, and what it will take.

    Raises:
        RecipeError: as `check`.
    """
    from poolwright.inspect.status import outlook

    loaded = _load(recipe, sets)
    plans = check(loaded)
    return [TableOutlook(**values) for values in outlook(Run(loaded, _folder(loaded, folder)), plans)]


def dry_run(
    recipe: RecipeLike,
    parts: int = 8,
    sets: Sequence[str] = (),
    workers: int | None = None,
    listener: Listener | None = None,
) -> list[Prediction]:
    """Run a recipe on random parts of its pools, and predict what the whole would keep, weigh and take.

    Tables that steps learn from, such as labelled examples, are made in full. Nothing of it stays.

    Args:
        recipe: a recipe or the path of one.
        parts: of each pool, such as shards; drawn by a hash with the recipe's seed.
        sets: overrides `a.b=value`, where `recipe` is a path.
        workers: units in flight at once; default one a core.
        listener: is told of progress.

    Raises:
        PoolwrightError: as `run`.
    """
    from tempfile import TemporaryDirectory

    from poolwright.jobs.dry_run import dry_run as _dry_run

    loaded = _load(recipe, sets)
    check(loaded)
    with TemporaryDirectory(prefix="poolwright-") as scratch:
        return _dry_run(loaded, Path(scratch), parts, Engine("native", workers), listener or Silent())


def show(folder: str | Path) -> list[Table]:
    """The finished tables of a run folder, in the order they were made.

    Raises:
        InputError: there is no run, or nothing is finished.
    """
    order = _open_run(folder).recipe.order
    tables = [Table(path.parent) for path in sorted(Path(folder).glob(f"tables/*/{RECORD}"))]
    if not tables:
        raise InputError(f"{folder}: no table of this run is finished yet; run the recipe again to continue it")
    return sorted(tables, key=lambda table: order.index(table.name) if table.name in order else len(order))


def why(folder: str | Path, uid: str) -> list[Story]:
    """What happened to one row, in every finished table it entered.

    Args:
        folder: the run folder.
        uid: of the row.

    Raises:
        InputError: no finished table has read the row.
    """
    return _why(_open_run(folder), uid)


def explore(folder: str | Path, table: str | None = None) -> View:
    """Look around in the rows of a finished table, kept and dropped: facets, filters, search, map.

    The first call reads the table and its source once, and writes an index to `<run>/explore`.

    Args:
        folder: the run folder.
        table: its name; default the last one.

    Raises:
        RecipeError: no such table.
        InputError: it is not finished.
    """
    from poolwright.inspect.views.view import View

    work = _open_run(folder)
    return View(work, table or show(folder)[-1].name)


def audit(
    folder: str | Path, table: str, to: str | Path, n: int = 400, format: str = "csv", show_decision: bool = False
) -> list[Path]:
    """Write a labelling sheet: a stratified sample of all rows that a table's classifier decided on, kept or not.

    Args:
        folder: the run folder.
        table: a finished table with a `classify` step of two classes.
        to: the sheet; the sample behind it is written beside, as `<sheet>.sample.json`.
        n: rows on the sheet.
        format: csv, jsonl or label_studio.
        show_decision: also write the decision values; they lead people who see them.

    Returns:
        The files written.

    Raises:
        RecipeError: no such table, or it has no such classifier.
    """
    from poolwright.annotation.exchange.sheets import write_sheet
    from poolwright.annotation.sample import sample_beside, write_sample
    from poolwright.inspect.audit_sample import draw_sample

    sample, rows = draw_sample(_open_run(folder), table, n)
    path = Path(to)
    written = write_sheet(rows, path, format, show_decision=show_decision)
    write_sample(sample, sample_beside(path))
    return [*written, sample_beside(path)]


def accuracy(
    sheet: str | Path, verdicts: Sequence[str | Path] = (), words: Mapping[str, str] | None = None
) -> Estimates:
    """Precision, recall and prevalence on the pool, from verdicts on a sheet that `audit` wrote.

    Args:
        sheet: the sheet that was written; its sample lies beside it.
        verdicts: filled-in sheets or exports, of one or several people; default the sheet itself.
        words: what other words than positive, negative and unsure mean.

    Raises:
        InputError: a file cannot be read, or verdicts are about rows that are not on the sheet.
    """
    from poolwright.annotation.exchange.read_answers import read_verdicts
    from poolwright.annotation.sample import accuracy as estimate
    from poolwright.annotation.sample import read_sample, sample_beside

    given = [verdict for path in verdicts or (sheet,) for verdict in read_verdicts(Path(path), words)]
    return estimate(read_sample(sample_beside(Path(sheet))), given)


def search(
    folder: str | Path,
    prompt: str | None = None,
    *,
    table: str | None = None,
    bucket: int | str | None = None,
    n: int = 50,
    like: str | None = None,
    against: str | None = None,
    vectors: str | None = None,
    model: str | Mapping[str, Any] | None = None,
    features: str | Path | None = None,
) -> Found:
    """The rows of a finished table that are nearest to a prompt, or to an image.

    Args:
        folder: the run folder.
        prompt: a text such as 'wedding, engagement ring'; may be left out where `like` is given.
        table: default the largest with vectors, and with buckets where one is named.
        bucket: only rows of this bucket; the table has a column `bucket`.
        n: rows wanted.
        like: uid of a row whose neighbours are wanted too; default the nearest row.
        against: a second prompt, to compete with the first.
        vectors: column of the vectors; default the first whose encoder is known.
        model: encoder of the prompts, where the recipe of the run names none.
        features: `.npy` with a ready text feature a prompt, instead of an encoder.

    Raises:
        RecipeError: no such table, column, bucket or encoder.
        InputError: nothing is finished, or there is no row to find.
    """
    from poolwright.inspect.search import Query, encoders_of
    from poolwright.inspect.search import search as _search
    from poolwright.models.encoders.spec import model_spec

    work, searched = _open_run(folder), _searched(show(folder), table, bucket)
    known = encoders_of(work.recipe)
    if model is not None:
        spec = model_spec(model, {"folder": str(Path.cwd())})
        known = {field.name: spec for field in searched.schema} if vectors is None else {vectors: spec}
    query = Query(prompt, against, like, None if bucket is None else str(bucket), n)
    return _search(searched, query, known, vectors, Path(features) if features else None)


def write_search(folder: str | Path, found: Found, to: str | Path = ".") -> tuple[Path, Path]:
    """Write what was found as a page and a contact sheet.

    Args:
        folder: the run folder that was searched.
        found: what `search` returned.
        to: the folder of the files; they are named after what was searched for.

    Returns:
        The HTML page and the JPEG.
    """
    from poolwright.report.search_page import write_search as _write

    table = _searched(show(folder), found.table)
    words = [found.prompt or f"like {found.like}", found.contest.other if found.contest else "", found.within]
    slug = "-".join(re.findall(r"\w+", " ".join(words).lower()))[:80] or "prompt"
    Path(to).mkdir(parents=True, exist_ok=True)
    return _write(_view(_open_run(folder), table), found, Path(to), f"search-{slug}")


def _searched(tables: Sequence[Table], name: str | None, bucket: str | int | None = None) -> Table:
    """The table of that name, or the one with vectors, and buckets where one is named, that has most rows."""
    if name is not None:
        by_name = {table.name: table for table in tables}
        if name not in by_name:
            raise RecipeError(f"no finished table '{name}'; {did_you_mean(name, by_name)}")
        return by_name[name]
    with_vectors = [table for table in tables if any(is_vector(field.type) for field in table.schema)]
    with_buckets = [table for table in with_vectors if bucket is not None and BUCKET in table.schema.names]
    return max(with_buckets or with_vectors or tables, key=lambda table: table.record.rows_kept)


def report(folder: str | Path, to: str | Path | None = None) -> Path:
    """Draw a run: one self-contained HTML file.

    Args:
        folder: the run folder.
        to: the file; default `report.html` in the run folder.

    Raises:
        InputError: nothing is finished.
        MissingExtra: jinja2 is not installed.
    """
    from poolwright.report.page import write_report

    tables = show(folder)
    work = _open_run(folder)
    views = [_view(work, table) for table in tables]
    return write_report(views, Path(to) if to else Path(folder) / "report.html", tables[0].record.recipe)


def figures(folder: str | Path, to: str | Path, classes: Sequence[str] = ()) -> list[Path]:
    """Draw the clusters of a run: for each class a map and a contact sheet, as PNG and SVG.

    Args:
        folder: the run folder.
        to: folder of the files.
        classes: names of the classes; by default the largest.

    Raises:
        InputError: no table was clustered.
        RecipeError: a class is not there.
        MissingExtra: matplotlib is not installed. Without openTSNE there are no maps.
    """
    from poolwright.report.cluster_figures import write_cluster_figures

    tables = show(folder)
    work = _open_run(folder)
    return write_cluster_figures([_view(work, table) for table in tables], Path(to), classes)


def _view(work: Run, table: Table) -> TableView:
    from poolwright.report.view import TableView

    def dropped_sample(code: int, limit: int) -> Rows:
        return dropped_rows(work, table.name, code, limit)

    return TableView(
        table=table,
        image_bytes=_image_reader(table),
        dropped_sample=dropped_sample,
        measured=measured_of(table, work.folder),
        compared=_compared(work.recipe, table.name),
    )


def _compared(recipe: Recipe, table: str) -> tuple[tuple[str, str], ...]:
    """The columns that figures `accuracy` of a table compare, each pair once."""
    of_table = [figure for figure in recipe.figures if figure.table == table and figure.measure == "accuracy"]
    return tuple(dict.fromkeys((str(figure.predicted), str(figure.truth)) for figure in of_table))


def _image_reader(table: Table) -> Callable[[Rows], list[bytes | None]]:
    from poolwright.run.source import table_source

    source = table_source(table)

    def image_bytes(rows: Rows) -> list[bytes | None]:
        if source.schema.get_field_index(IMAGE) < 0:
            return [None] * len(rows)
        images: list[bytes | None] = source.with_images(rows.table, [IMAGE]).column(IMAGE).to_pylist()
        return images

    return image_bytes


def verify(folder: str | Path, full: bool = False) -> Verification:
    """Check a release: checksums, schema, counts, card, Croissant.

    Args:
        folder: of the release.
        full: check the bytes of every image, not of a sample.
    """
    from poolwright.release.checks.check import verify as _verify

    return _verify(Path(folder), full)


def apply(
    release: str | Path,
    inputs: Sequence[str | Path],
    to: str | Path | None = None,
    *,
    kind: str | None = None,
    sets: Sequence[str] = (),
    skip: Sequence[str | int] = (),
    models: Mapping[str, Any] | None = None,
    ledger: str = "full",
    workers: int | None = None,
    listener: Listener | None = None,
) -> Applied:
    """Apply the steps of a release, with what they learned when it was made, to other rows.

    Args:
        release: its folder.
        inputs: picture files; or one folder of pictures, table, or path of a pool.
        to: a run folder for the rows that are kept; the same call continues. Default: nothing is kept.
        kind: of the pool, such as 'commonpool', where the input does not tell.
        sets: further parameters of the pool, as `key=value`.
        skip: steps to leave out, by verb or by number from 1. Single pictures go through the steps that need no
            more than an image; the others are left out and told.
        models: encoder by column of vectors, such as {'clip': 'onnx:models/clip'}, where the rows are images and
            the release's recipe does not tell, or where it lies elsewhere. Its weights must be those of then.
        ledger: 'full', or 'counts' where billions of rows are dropped.
        workers: units in flight at once; default one a core.
        listener: is told of progress.

    Raises:
        RecipeError: no such release or input, or the rows lack what a step needs.
        PoolwrightError: as `run`.
    """
    from tempfile import TemporaryDirectory

    from poolwright.jobs.apply import application
    from poolwright.recipe.source import parse_parameters

    with TemporaryDirectory(prefix="poolwright-") as scratch:
        folder = Path(to or scratch).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        paths = [str(path) for path in inputs]
        planned = application(Path(release), paths, folder, kind, parse_parameters(sets), skip, models, ledger)
        (table,) = run(planned.recipe, folder, workers=workers, listener=listener).tables.values()
        few = table.record.rows_in <= _TOLD_ROWS
        stories = _stories(folder, table) if few else ()
        return Applied(table.record, folder if to else None, stories, planned.left_out)


_TOLD_ROWS = 24
"""Rows of `apply` up to which each one's story is told."""


def _stories(folder: Path, table: Table) -> tuple[Story, ...]:
    from poolwright.inspect.why import every_story

    return tuple(every_story(_open_run(folder), table.name))


def convert(
    kind: str, source: str, to: str | Path, sets: Sequence[str] = (), listener: Listener | None = None
) -> Converted:
    """Write a pool of any kind to Parquet once. The same call again continues, or finds that all is done.

    Args:
        kind: of the pool, such as 'geoyfcc'.
        source: its `path`: file, folder, glob or URL.
        to: a file that ends in '.parquet'; or a folder, in which units of rows are made at once on all cores.
        sets: further parameters of the pool, as `key=value`.
        listener: is told of progress.

    Returns:
        What was written. Rows that cannot be read are in a JSON Lines file with their error.

    Raises:
        RecipeError: no such kind, a parameter is wrong, or there is something else at `to`.
        ChangedError: the source changed since a finished part was made.
        InputError: a part of the source cannot be read.
    """
    from poolwright.jobs.convert import convert_pool
    from poolwright.recipe.recipe import make_pool
    from poolwright.recipe.source import parse_parameters

    parameters = {**parse_parameters(sets), "path": source}
    return convert_pool(make_pool(kind, parameters, Path.cwd()), Path(to), listener or Silent())


def import_clear(
    config: str | Path,
    to: str | Path | None = None,
    label_map: str | Path | None = None,
    times: str | Path | None = None,
) -> Path:
    """Write a recipe from a configuration of CLEAR's curation code, such as clear_10_config.json.

    Args:
        config: the JSON file.
        to: the recipe; default `<name>.yaml` here, of the NAME in the configuration.
        label_map: JSON of short class names by prompt.
        times: JSON list of {start, end}, where the buckets were cut by times.

    Returns:
        The recipe, which is a valid one.

    Raises:
        RecipeError: a key is unknown, a value has no counterpart, or there is a file at `to`.
    """
    from poolwright.core.files import write_text
    from poolwright.recipe.clear_config import recipe_of_config
    from poolwright.recipe.recipe import build
    from poolwright.recipe.source import parse_source

    more = [Path(path) if path is not None else None for path in (label_map, times)]
    name, text = recipe_of_config(Path(config), *more)
    path = Path(to) if to is not None else Path(f"{name}.yaml")
    if path.exists():
        raise RecipeError(f"{path} exists already; name another file by --to")
    build(parse_source(text, path.name, path.resolve().parent))
    write_text(path, text)
    return path


def fetch(
    source: SourceLike,
    to: str | Path,
    options: FetchOptions | None = None,
    tool: str = "own",
    listener: Listener | None = None,
) -> Fetched:
    """Fetch the images of rows with URLs. The same call again continues, or finds that all is done.

    Args:
        source: Parquet, CSV or JSON Lines files, a finished table or a release.
        to: folder of the shards, in the layout of img2dataset.
        options: limits, politeness, columns, layout; all have defaults.
        tool: 'own', or 'img2dataset', which must be installed and guards nothing.
        listener: is told of progress.

    Returns:
        Counts by status and error class. Every row of the source has one outcome.

    Raises:
        RecipeError: a column or an option is wrong, or there is something else at `to`.
        ChangedError: the source, or a finished shard, changed.
        PoolwrightError: the run itself failed. Images that could not be fetched are no error.
    """
    from poolwright.fetch.fetch import fetch_images
    from poolwright.fetch.img2dataset_tool import fetch_with_img2dataset
    from poolwright.fetch.options import FetchOptions
    from poolwright.run.fetching import fetch_teller

    if tool not in ("own", "img2dataset"):
        raise RecipeError(f"no tool '{tool}'; {did_you_mean(tool, ('own', 'img2dataset'))}")
    options, folder = options or FetchOptions(), Path(to)
    with run_lock(folder / ".fetch"):
        if tool == "img2dataset":
            return fetch_with_img2dataset(source, folder, options)
        return fetch_images(source, folder, options, fetch_teller(folder.name, listener or Silent()))


def rebuild(
    source: SourceLike,
    to: str | Path,
    options: FetchOptions | None = None,
    class_column: str | None = None,
    listener: Listener | None = None,
) -> Recovery:
    """Fetch the images of a release again, verify their SHA-256, and report what was recovered.

    Args:
        source: a release, or its Parquet files, with `url`, and where there are any `sha256` and classes.
        to: folder of the shards; `recovery.json` and `recovery.csv` lie beside them.
        options: as for `fetch`.
        class_column: default `label`, where there is one.
        listener: is told of progress.

    Raises:
        PoolwrightError: as `fetch`.
    """
    from poolwright.fetch.options import FetchOptions
    from poolwright.fetch.recovery import check_class_column, recovery

    options = options or FetchOptions()
    column = check_class_column(source, options, class_column)
    return recovery(fetch(source, to, options, "own", listener), options, column)


def train_encoder(
    kind: str,
    pools: Sequence[str | Path],
    to: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    read: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    fresh: bool = False,
    listener: Listener | None = None,
) -> Trained:
    """Train an encoder on the images of pools. The same call again continues, or finds that all is done.

    However often it is stopped, it ends with the weights of a training that was not, bit by bit, on the same machine
    with the same libraries. A report of its own, `report.html`, lies beside the weights.

    Args:
        kind: 'mmd-vae' or 'moco'.
        pools: folders of images, tables of a run (`RUN/tables/NAME`), or paths of pools.
        to: the folder of the encoder; what `model` of the result names is in there.
        settings: epochs, batch, seed, size, ...; all have defaults.
        read: kind of the pools, such as 'commonpool', where the paths do not tell.
        parameters: further parameters of the pools.
        fresh: start over.
        listener: is told of progress.

    Raises:
        RecipeError: no such kind, setting or pool, a value is wrong, or there are too few images.
        ChangedError: there is a training with other settings or images at `to`.
        MissingExtra: a library is not installed.
    """
    from poolwright.jobs.train import finish, teller
    from poolwright.jobs.train import train_encoder as train
    from poolwright.jobs.training_images import open_sources
    from poolwright.train.options import train_options

    options, folder, told = train_options(kind, settings or {}), Path(to), listener or Silent()
    sources = open_sources(pools, read, parameters)
    trained = train(sources, folder, options, told.note, teller(folder.name, told), fresh)
    finish(trained)
    return trained


def steps() -> dict[str, Any]:
    """All steps by verb, in flow order."""
    return {verb: step_class(verb) for verb in STEPS}


def _load(recipe: RecipeLike, sets: Sequence[str] = ()) -> Recipe:
    return recipe if isinstance(recipe, Recipe) else Recipe.load(recipe, sets)


def _folder(recipe: Recipe, folder: str | Path | None) -> Path:
    return Path(folder).resolve() if folder is not None else recipe.default_run


def _open_run(folder: str | Path) -> Run:
    """A run folder with the recipe it was last run with."""
    from poolwright.run.run import remembered

    return remembered(Path(folder).resolve())


__all__ = [
    "Applied",
    "RunResult",
    "TableOutlook",
    "accuracy",
    "apply",
    "audit",
    "check",
    "convert",
    "dry_run",
    "fetch",
    "import_clear",
    "plan",
    "rebuild",
    "report",
    "run",
    "search",
    "show",
    "steps",
    "verify",
    "why",
    "write_search",
]
