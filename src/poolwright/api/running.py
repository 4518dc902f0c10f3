"""Run recipes: plan, dry_run, plan_cluster, run, apply."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwright.api.checking import Recipe, RecipeLike, check_loaded
from poolwright.api.progress import shown
from poolwright.api.releasing import check_store, write_release
from poolwright.api.results import Applied, RunResult, TableOutlook
from poolwright.api.table import Table, public_tables
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.params import several
from poolwright.core.results.changes import Changes
from poolwright.core.runtime.event_log import EventLog
from poolwright.core.runtime.progress import Listener, Silent
from poolwright.measure.store import measure_all
from poolwright.recipe.recipe import Recipe as _Recipe
from poolwright.run.batches import BATCH_ROWS
from poolwright.run.engine.engine import make_engine
from poolwright.run.memory import check_same_recipe, in_words
from poolwright.run.remote.folder import remote_url, run_folder, work_folder
from poolwright.run.run import Run, open_run

if TYPE_CHECKING:
    from poolwright.inspect.why import Story
    from poolwright.jobs.cluster_plan import ClusterPlan
    from poolwright.jobs.dry_run import DryRun, Prediction


def run(
    recipe: RecipeLike,
    folder: str | Path | None = None,
    *,
    sets: Sequence[str] = (),
    tables: Sequence[str] | None = None,
    fresh: Sequence[str] = (),
    extend: str | None = None,
    accept: bool | Callable[[tuple[Changes, ...]], bool] = False,
    keep_stages: bool = False,
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
    release: bool = True,
    overwrite: bool = False,
    listener: Listener | None = None,
    progress: bool = False,
    batch_rows: int = BATCH_ROWS,
) -> RunResult:
    """Run a recipe, or continue it where an earlier run stopped.

    Args:
        recipe: a recipe or the path of one.
        folder: the run folder; default `runs/<name>` next to the recipe. A URL, such as s3://bucket/runs/x, is kept the
            same as a work folder there, whose path the result has.
        sets: overrides `a.b=value`, if `recipe` is a path.
        tables: only these tables and those they come from; nothing is released or measured then.
        fresh: tables to start over, with the tables that come from them and the releases of all of them.
        extend: 'frozen' extends finished tables by new parts of their sources: what was made is kept, and the steps
            decide about new rows by what they have learned. 'refit' fits all steps anew, on old and new rows, and
            makes the tables next to the finished ones, to be compared. Releases of such tables are written anew.
        accept: with 'refit', whether the new tables take the place of the finished ones: a function that is given
            the differences, as `diff` returns them, and decides; or True or False without a look. If they do not, the
            result has only the differences, and the same call continues with the tables that were made.
        keep_stages: keep the columns of costly steps for rows that a later step drops, so that 'refit' computes none of
            them again; about as much disk as the run needs meanwhile.
        engine: 'local' (threads of this process) or 'ray'.
        workers: units at a time; default one per core, or as many as the Ray cluster can take.
        address: address of the Ray cluster; default the one that Ray finds, else a local Ray.
        release: whether to write the releases.
        overwrite: whether releases made from something else may be replaced.
        listener: receives progress.
        progress: whether to show progress, in a terminal or a notebook.
        batch_rows: rows per batch; more is faster and takes more memory. It changes no result.

    Raises:
        PoolwrightError: see `poolwright.core.errors`; finished work is kept, and the same call continues.
    """
    if extend not in (None, "frozen", "refit"):
        raise RecipeError(f"no way '{extend}' to extend tables; {did_you_mean(extend, ('frozen', 'refit'))}")
    if extend == "refit" and fresh:
        raise RecipeError("'fresh' makes tables anew in their place, and 'refit' next to them; give one of the two")
    loaded, fresh = _load(recipe, sets), several(fresh)
    tables = None if tables is None else several(tables)
    check_loaded(loaded, targets=release and tables is None)
    with shown(listener, progress) as seen:
        log = EventLog(seen, hide=loaded.source.hide)
        with run_folder(loaded, folder, log) as here:
            work = Run(loaded, here, make_engine(engine, workers, address), log, batch_rows, keep_stages)
            words = {"recipe": loaded.name, "engine": engine, "workers": workers, "tables": tables}
            with log.during("run", **words, fresh=fresh or None):
                for one in loaded.releases if release and tables is None else ():
                    check_store(one, overwrite, log)
                proposed = _proposed(work, tables) if extend == "refit" else ()
                if proposed:
                    if not (accept(proposed) if callable(accept) else accept):
                        kept = {name: work.before_growth().table(name) for name in work.refitted}
                        return RunResult(work.folder, public_tables(kept), (), (), proposed)
                    work.accept_refit()
                made = work.run(tables, fresh, extend == "frozen")
                if extend == "refit":
                    work.extended |= set(made)
                if tables is not None:
                    return RunResult(work.folder, public_tables(made), (), (), proposed, bool(proposed))
                with in_words(loaded, work.folder):
                    # Before the releases, whose cards show the figures.
                    measured = measure_all(loaded.figures, made, work.folder, log, workers, loaded.source.hide)
                    releases = loaded.releases if release else ()
                    written = tuple(write_release(work, one, overwrite, measured) for one in releases)
                return RunResult(work.folder, public_tables(made), written, measured, proposed, bool(proposed))


def _proposed(work: Run, tables: Sequence[str] | None) -> tuple[Changes, ...]:
    """Make grown tables anew next to the finished ones, and compare them."""
    from poolwright.inspect.diff.diff import compare
    from poolwright.inspect.diff.versions import version_of

    found = []
    for name, table in work.refit(tables).items():
        before = version_of(work.before_growth(), work.before_growth().table(name), f"{work.folder}/{name}")
        found.append(compare(before, version_of(work, table, os.fspath(table.folder))))
    return tuple(found)


def plan(recipe: RecipeLike, folder: str | Path | None = None, sets: Sequence[str] = ()) -> list[TableOutlook]:
    """Report what a run would do: what is done, what is left, and how long it will take.

    Raises:
        RecipeError: as `check`.
        PoolwrightError: the default run folder holds a run of another recipe.
    """
    from poolwright.inspect.status import outlook

    loaded = _load(recipe, sets)
    plans = check_loaded(loaded)
    here = _folder(loaded, folder)
    check_same_recipe(loaded, here)
    return [TableOutlook(**values) for values in outlook(Run(loaded, here), plans)]


def dry_run(
    recipe: RecipeLike,
    parts: int = 8,
    sets: Sequence[str] = (),
    workers: int | None = None,
    listener: Listener | None = None,
) -> list[Prediction]:
    """Run a recipe on random parts of its pools, and predict rows kept, size and time of the whole.

    Tables that steps learn from, such as labelled examples, are made in full. Nothing is saved.

    Args:
        recipe: a recipe or the path of one.
        parts: number of parts, such as shards, of each pool; drawn by a hash with the recipe's seed.
        sets: overrides `a.b=value`, if `recipe` is a path.
        workers: units at a time; default one per core.
        listener: receives progress.

    Raises:
        PoolwrightError: as `run`.
    """
    with _sampled(recipe, parts, sets, workers, listener) as sample:
        return list(sample.found.values())


def plan_cluster(
    recipe: RecipeLike,
    nodes: int,
    *,
    cores: int = 16,
    memory: float = 64.0,
    bandwidth: float = 1.0,
    price: float | None = None,
    rows: int | None = None,
    parts: int = 8,
    sets: Sequence[str] = (),
    workers: int | None = None,
    listener: Listener | None = None,
) -> ClusterPlan:
    """Plan a run on a cluster: hours, memory, network, disk and cost, from a dry run here on parts of the pools.

    Args:
        recipe: a recipe or the path of one.
        nodes: number of nodes.
        cores, memory: cores and gigabytes of each.
        bandwidth: gigabytes per second between each node and shared storage.
        price: of a core for an hour; without it there is no cost.
        rows: rows of all pools together, if the run will have more than are here; default as they are.
        parts, sets, workers, listener: as for `dry_run`.

    Raises:
        PoolwrightError: as `dry_run`.
    """
    from poolwright.jobs.cluster_plan import ClusterSize, peak_memory
    from poolwright.jobs.cluster_plan import plan_cluster as _plan_cluster

    cluster, base = ClusterSize(nodes, cores, memory, bandwidth, price), peak_memory()
    with _sampled(recipe, parts, sets, workers, listener) as sample:
        return _plan_cluster(sample, cluster, rows, base)


@contextmanager
def _sampled(
    recipe: RecipeLike, parts: int, sets: Sequence[str], workers: int | None, listener: Listener | None
) -> Iterator[DryRun]:
    """Give a dry run of a recipe, with its tables until the context is left."""
    from tempfile import TemporaryDirectory

    from poolwright.jobs.dry_run import dry_run as _dry_run

    loaded = _load(recipe, sets)
    check_loaded(loaded)
    with TemporaryDirectory(prefix="poolwright-", ignore_cleanup_errors=True) as scratch:
        with in_words(loaded, Path(scratch)):
            yield _dry_run(loaded, Path(scratch), parts, make_engine("local", workers), listener or Silent())


def apply(
    release: str | Path,
    inputs: str | Path | Sequence[str | Path],
    to: str | Path | None = None,
    *,
    kind: str | None = None,
    sets: Sequence[str] = (),
    skip: Sequence[str | int] = (),
    models: Mapping[str, Any] | Sequence[str] | None = None,
    ledger: str = "full",
    workers: int | None = None,
    listener: Listener | None = None,
    progress: bool = False,
) -> Applied:
    """Apply the steps of a release, with what they learned when it was made, to other rows.

    Args:
        release: the folder of the release.
        inputs: picture files; or one folder of pictures, table, or path of a pool.
        to: a run folder for the rows that are kept; the same call continues. By default nothing is saved.
        kind: kind of the pool, such as 'commonpool', if the input does not show it.
        sets: further parameters of the pool, as `key=value`.
        skip: steps to leave out, by verb or by number from 1. Single pictures go through the steps that need
            only an image; the others are left out and reported.
        models: encoder by column of vectors, such as {'clip': 'onnx:models/clip'}, or 'column=model' texts; needed if
            the rows are images and the release's recipe names no encoder, or names one that is elsewhere on this
            machine. Its weights must be those that the release was made with.
        ledger: 'full', or 'counts' if billions of rows are dropped.
        workers: units at a time; default one per core.
        listener: receives progress.
        progress: whether to show progress.

    Raises:
        RecipeError: no such release or input, or the rows lack what a step needs.
        PoolwrightError: as `run`.
    """
    from tempfile import TemporaryDirectory

    from poolwright.jobs.apply import application, parse_models
    from poolwright.recipe.source import parse_parameters

    with TemporaryDirectory(prefix="poolwright-", ignore_cleanup_errors=True) as scratch:
        folder = Path(to or scratch).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        paths = [str(path) for path in several(inputs)]
        encoders = models if isinstance(models, Mapping) else parse_models(models or ())
        planned = application(Path(release), paths, folder, kind, parse_parameters(sets), skip, encoders, ledger)
        (table,) = run(planned.recipe, folder, workers=workers, listener=listener, progress=progress).tables.values()
        few = table.record.rows_in <= _TOLD_ROWS
        stories = _stories(folder, table) if few else ()
        return Applied(table.record, folder if to else None, stories, planned.left_out)


_TOLD_ROWS = 24
"""Most rows of `apply` for which each one's story is returned."""


def _stories(folder: Path, table: Table) -> tuple[Story, ...]:
    from poolwright.inspect.why import every_story

    return tuple(every_story(open_run(folder), table.name))


def _load(recipe: RecipeLike, sets: Sequence[str] = ()) -> _Recipe:
    return recipe if isinstance(recipe, _Recipe) else Recipe.load(recipe, sets)


def _folder(recipe: _Recipe, folder: str | Path | None) -> Path:
    """Return a run folder to look at; of a remote one its work folder."""
    if folder is None:
        return recipe.default_run
    url = remote_url(folder)
    return Path(folder).resolve() if url is None else work_folder(recipe, url)
