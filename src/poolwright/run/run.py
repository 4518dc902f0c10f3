"""Runs all tables of a recipe in one folder, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from poolwright.core.columns import IMAGE
from poolwright.core.errors import PoolwrightError, RecipeError, did_you_mean
from poolwright.core.files import digest_file, remove, remove_partials
from poolwright.core.images.image_files import roots_of
from poolwright.core.roles import AnnotationStep
from poolwright.core.runtime.event_log import EventLog
from poolwright.core.runtime.progress import Listener, Silent
from poolwright.core.table import RECORD, Table
from poolwright.models.encoders.load import load_encoder, peek
from poolwright.recipe.tables import StepSpec, TableSpec
from poolwright.run.batches import BATCH_ROWS
from poolwright.run.engine.local import LocalEngine, wait_for_interrupted_units
from poolwright.run.engine.protocol import Engine
from poolwright.run.growth import REFITTING, accept_refit, extending_folder, finish_extending, put_in_place
from poolwright.run.identity import IDENTITY, known_models, refusal
from poolwright.run.lock import run_lock
from poolwright.run.memory import check_same_recipe, in_words, recall, remember
from poolwright.run.plan import TablePlan, plan_table
from poolwright.run.planning import Planning
from poolwright.run.remote.folder import refuse_remote
from poolwright.run.sources.grown import GrownSource, in_order_of
from poolwright.run.sources.inputs import CACHE, Inputs, first_files, inputs_of
from poolwright.run.sources.source import Source, local, path_of, pool_source, table_source
from poolwright.run.sources.union import UnionSource
from poolwright.run.table_run import TableRun, note_pace, numbered_by_verb, start_over, worklist_of


@dataclass
class Run(Planning):
    """A recipe in its run folder.

    Attributes:
        recipe: the recipe to run.
        folder: the run folder; made if it does not exist.
        engine: the engine that runs units.
        listener: receives progress.
        batch_rows: rows per batch; changes no result.
        keep_stages: whether tables keep the columns of costly steps for rows that are dropped later.
        remembers: whether a pass over the rows continues from what the pass before it found; changes no result.
        started_over: tables that `run` makes anew: those asked for, and those that come from them.
        extended: tables that grew by new parts of their source, if `run` was asked to extend them.
        refitted: tables that are seen as `refit` made them, next to the finished ones.
        old_parts_only: whether sources are seen without parts that came after tables were finished.
    """

    engine: Engine = field(default_factory=LocalEngine)
    listener: Listener = field(default_factory=Silent)
    batch_rows: int = BATCH_ROWS
    keep_stages: bool = False
    remembers: bool = True
    started_over: set[str] = field(default_factory=set, init=False)
    extended: set[str] = field(default_factory=set, init=False)
    refitted: set[str] = field(default_factory=set, init=False)
    old_parts_only: bool = field(default=False, init=False)
    _extends: bool = field(default=False, init=False, repr=False)
    _ready: dict[str, TableRun] = field(default_factory=dict, init=False, repr=False)
    _whole: set[str] = field(default_factory=set, init=False, repr=False)

    def run(
        self, tables: Sequence[str] | None = None, fresh: Sequence[str] = (), extend: bool = False
    ) -> dict[str, Table]:
        """Make the tables, or the part of them that is still missing.

        Args:
            tables: only these and those they come from; default all.
            fresh: tables to start over, and with them those that come from them, as far as they are made now.
            extend: extend finished tables by new parts of their sources, with what their steps have learned.

        Raises:
            ChangedError: an existing table was made from something else; nothing was touched.
            PoolwrightError: see `TableRun.run`; finished units and tables are kept.
        """
        self._check_table_names(fresh)
        wanted = self.wanted(None if tables is None else [*tables, *fresh])
        followers = self._followers(fresh)
        anew = [name for name in self.recipe.order if name in fresh or (name in followers and name in wanted)]
        self.started_over, self._extends = set(anew), extend
        with self._locked(wanted):
            self._check_unchanged(wanted, fresh)
            remove(self.folder / REFITTING)
            self._start_over(anew, followers)
            self._begin()
            return {name: self._run_table(name) for name in wanted}

    def _start_over(self, anew: Sequence[str], followers: Sequence[str]) -> None:
        """Remove tables that are made anew, after saying so; a table goes after those that come from it."""
        made = [name for name in followers if (self.table_folder(name) / IDENTITY).exists()]
        if along := [f"'{name}'" for name in made if name in anew]:
            self.listener.note(f"made anew, too, since they come from tables that are: {', '.join(along)}")
        if left := [f"'{name}'" for name in made if name not in anew]:
            self.listener.note(f"stale from now, since only some tables were asked for: {', '.join(left)}")
        for name in reversed(anew):
            start_over(self.table_folder(name))

    def refit(self, tables: Sequence[str] | None = None) -> dict[str, Table]:
        """Make finished tables anew whose sources have new parts, and those that come from them, next to the old ones.

        All steps are fitted on old and new rows. What costly steps gave to rows that a table kept is taken from it.
        The same call continues; `accept_refit` puts the tables in place.

        Args:
            tables: only these and those they come from; default all.

        Returns:
            The tables that were made anew, by name; none if no source has grown.

        Raises:
            ChangedError: something besides new parts differs.
            PoolwrightError: as `run`.
        """
        wanted = self.wanted(tables)
        with self._locked(wanted):
            self.refitted.clear()
            made: dict[str, Table] = {}
            for name in wanted:
                reads = set(self.recipe.tables[name].reads) & set(self.recipe.tables)
                if all((self.table_folder(one) / RECORD).exists() for one in {name, *reads}):
                    made |= self._refit(name, reads & self.refitted)
            for folder in (self.folder / REFITTING).glob("*"):
                if folder.name not in made:
                    remove(folder)
            return made

    def _refit(self, name: str, parents: set[str]) -> dict[str, Table]:
        old = self.table(name)
        self.refitted.add(name)
        now = self._table_run(name)
        source = in_order_of(now.plan.source, old.record, self._first_files(now.plan.source)) or now.plan.source
        work = now.made_anew(old, self.table_folder(name), parents, source)
        if work is None:
            self.refitted.discard(name)
            return {}
        if not (self.folder / REFITTING).exists():
            self._begin()
        self._check_whole(self.recipe.tables[name].reads)
        self._prepare(self.recipe.tables[name])
        new = len(work.inputs) - len(old.record.inputs)
        more = f" with {new:,} new parts" if new > 0 and not parents else ""
        self.listener.note(f"{name}: fitted anew{more}; the finished table stays until that is accepted")
        return {name: work.run()}

    def accept_refit(self) -> None:
        """Let the tables that `refit` made take the place of the finished ones."""
        with self._locked():
            accept_refit(self.folder)
        self.refitted.clear()

    def before_growth(self) -> Run:
        """Return this run with its finished tables over the parts that they were made from."""
        run = Run(self.recipe, self.folder, self.engine)
        run.old_parts_only = True
        return run

    @contextmanager
    def _locked(self, wanted: Sequence[str] = ()) -> Iterator[None]:
        """Hold the run folder, with nothing left in it of an interrupted extension.

        Args:
            wanted: tables that are made meanwhile; all machines must share what they need.
        """
        inputs = partial(self._first_inputs, wanted)
        shared = self.engine.sharing(self.folder, inputs) if wanted else nullcontext()
        with in_words(self.recipe, self.folder), run_lock(self.folder), shared:
            wait_for_interrupted_units()
            if other := check_same_recipe(self.recipe, self.folder):
                self.listener.note(f"{self.folder} holds a run of {other}; {self.recipe.source.name} goes on with it")
            finish_extending(self.folder)
            yield

    def _begin(self) -> None:
        remember(self.recipe, self.folder)
        if isinstance(self.listener, EventLog):
            self.listener.keep_in(self.folder)
        self._sweep()

    def _first_inputs(self, wanted: Sequence[str]) -> list[str]:
        """Return the first local file of each pool that tables read, and the folder of its images."""
        used = {name for table in wanted for name in self.recipe.tables[table].reads} & set(self.recipe.pools)
        sources = [self._pool(name) for name in sorted(used)]
        files = [file for source in sources for part in source.parts[:1] for file in part.files[:1]]
        files += [root for source in sources for root in roots_of(source.image_root) if root]
        return [str(path_of(file)) for file in files if local(file)]

    def _sweep(self) -> None:
        """Remove what killed writers left, in finished tables too: another machine may have finished them.

        The studio, which may be writing, is given an hour.
        """
        remove_partials(self.folder, deep=False)
        remove_partials(self.folder / "verify", min_age=3600)
        for name in self.recipe.order:
            remove_partials(self.table_folder(name))
            for number, placed in numbered_by_verb([one.step for one in self.recipe.tables[name].steps]):
                if isinstance(placed, AnnotationStep):
                    placed.sweep(worklist_of(self.table_folder(name), number))

    def _check_unchanged(self, wanted: Sequence[str], fresh: Sequence[str]) -> None:
        """Compare the tables that exist with what they would be made from now, before anything is touched."""
        changed: dict[str, list[str]] = {}
        growing: set[str] = set()
        for name in wanted:
            reads = set(self.recipe.tables[name].reads) & set(self.recipe.tables)
            void = {*fresh, *changed, *growing} & {name, *reads, *self._ancestors(name)}
            unfinished = [other for other in reads if not (self.table_folder(other) / RECORD).exists()]
            if void or unfinished or not (self.table_folder(name) / IDENTITY).exists():
                continue
            self._ready[name] = self._table_run(name)
            if not (found := self._ready[name].differences()):
                continue
            if self._extends and (self.table_folder(name) / RECORD).exists():
                del self._ready[name]
                growing.add(name)
                self._extending(name)
            else:
                changed[name] = found
        if changed:
            asked = list(dict.fromkeys([*fresh, *changed]))
            raise refusal(self.folder / "tables", changed, asked, self._followers(asked), touched=False)

    def changed(self, name: str) -> list[str]:
        """List what differs between what a finished table was made from, and what it would be made from now.

        Nothing is written. Encoders are not compared.
        """
        try:
            return self._table_run(name, look_only=True).differences()
        except PoolwrightError as error:
            return [str(error)]

    def _ancestors(self, name: str) -> set[str]:
        """Return the tables that a table comes from, or learns from, over any number of others."""
        return set(self.wanted([name])) - {name}

    def _followers(self, names: Iterable[str]) -> list[str]:
        """Return the tables that come from others, in the order in which they are made."""
        return [name for name in self.recipe.order if name not in names and self._ancestors(name) & set(names)]

    def wanted(self, tables: Sequence[str] | None) -> list[str]:
        """Return the names of the tables to make, each after the one it comes from."""
        if tables is None:
            return list(self.recipe.order)
        self._check_table_names(tables)
        needed: set[str] = set()
        todo = list(tables)
        while todo:
            name = todo.pop()
            if name in self.recipe.tables and name not in needed:
                needed.add(name)
                todo += self.recipe.tables[name].reads
        return [name for name in self.recipe.order if name in needed]

    def table_folder(self, name: str) -> Path:
        """Return the folder of a table."""
        return self.folder / (REFITTING if name in self.refitted else "tables") / name

    def table(self, name: str) -> Table:
        """Open a finished table of this run.

        Raises:
            RecipeError: the recipe has no such table.
            InputError: it is not finished.
        """
        self._check_table_names([name])
        return Table(self.table_folder(name))

    def source(self, name: str) -> Source:
        """Return the source that a table reads from; parts that it was extended by follow the others."""
        source, folder = self._source_now(name), self.table_folder(name)
        if (folder / RECORD).exists():
            record = Table(folder).record
            if record.generations or self._extends or self.old_parts_only:
                return in_order_of(source, record, self._first_files(source), not self.old_parts_only) or source
        return source

    def _first_files(self, source: Source) -> list[str]:
        return [self.recipe.source.hide(file) for file in first_files(source, self.recipe.folder)]

    def _source_now(self, name: str) -> Source:
        spec = self.recipe.tables[name]
        step = spec.source_step
        if step:
            table = self.table(spec.sources[0])
            rows = step.rows(table, self.prepared_folder(name, step))
            return replace(pool_source(table.name, rows), name=f"tables.{table.name}")
        found = {one: self._source_of(one) for one in spec.sources}
        return found[spec.sources[0]] if spec.source.is_plain else self._united(spec, found)

    def _source_of(self, name: str) -> Source:
        return self.pools[name] if name in self.recipe.pools else table_source(self.table(name))

    def plan(self, name: str) -> TablePlan:
        """Make the plan of a table whose source, and the tables that it learns from, are finished."""
        spec = self.recipe.tables[name]
        return plan_table(spec, self.source(name), self.recipe.source, self._joined.of(spec, self._finished))

    def _finished(self, name: str) -> Source:
        return table_source(self.table(name))

    def _run_table(self, name: str) -> Table:
        spec, folder = self.recipe.tables[name], self.table_folder(name)
        self._prepare(spec)
        finished = (folder / RECORD).exists()
        if not finished:
            self._check_whole(spec.reads)
        threading.Thread(target=_warm_up, args=(spec.steps,), daemon=True).start()
        known = self._ready.pop(name, None)
        work = known or self._table_run(name)
        if not known and (found := work.differences()):
            if self._extends and finished:
                return self._extend(name)
            raise refusal(folder.parent, {name: found}, [name], self._followers([name]), touched=True)
        table = work.run()
        self._whole |= set() if finished else {name}
        if self._extends and table.record.generations:
            self.extended.add(name)
        return table

    def _extending(self, name: str) -> TableRun:
        """Return what extends a finished table.

        Raises:
            ChangedError: something besides new parts of its source differs, or a step has to see all rows.
        """
        return self._table_run(name).extending(extending_folder(self.folder, name))

    def _extend(self, name: str) -> Table:
        self._check_whole(self.recipe.tables[name].reads)
        work = self._extending(name)
        new = len(work.inputs) - work.growth.parts if work.growth else 0
        self.listener.note(f"{name}: extended by {new:,} new parts, with what its steps have learned")
        work.run()
        put_in_place(self.folder, name)
        self.extended.add(name)
        return self.table(name)

    def _check_whole(self, names: Iterable[str]) -> None:
        """Check once that the files of finished tables are as they were written."""
        for name in names:
            if name in self.recipe.tables and name not in self._whole:
                self.table(name).check_files()
                self._whole.add(name)

    def _table_run(self, name: str, look_only: bool = False) -> TableRun:
        spec, source = self.recipe.tables[name], self.source(name)
        finished = (self.table_folder(name) / RECORD).exists()
        # Before the plan: a model whose weights are only known once it is loaded also knows its columns only then.
        weights = known_models(self.table_folder(name)) if look_only else _weights(spec.steps)
        plan = self.plan(name)
        looked = Inputs(self.folder / CACHE, self.recipe.source.hide, name not in self.started_over, not look_only)
        reads_images = any(IMAGE in placed.reads for placed in plan.steps)
        inputs = inputs_of(source, self.table, looked, self._map, self.recipe.folder, reads_images)
        joined = [
            inputs_of(other, self.table, looked, self._map, self.recipe.folder, images=False) for other in plan.joined
        ]
        fitted = [placed.step for placed in spec.steps if not placed.learned]
        step_files = looked.look(sorted({file for step in fitted for file in step.files()}), self._map)
        return TableRun(
            plan=plan,
            folder=self.table_folder(name),
            engine=self.engine,
            listener=self.listener,
            recipe_name=self.recipe.name,
            recipe_text=self.recipe.source.text,
            seed=self.recipe.seed,
            max_bad=spec.max_bad,
            parameters=[placed.parameters for placed in spec.steps],
            inputs=inputs,
            joined=[file for parts in joined for files in parts for file in files],
            joined_identity={
                f"{at}.{number}" if number else str(at): self._source_identity(other, spec)
                for at, others in plan.others.items()
                for number, other in enumerate(others)
            },
            weights=weights,
            step_files={file: seen.digest for file, seen in step_files.items()},
            recipe_folder=self.recipe.folder,
            source_identity=self._source_identity(source, spec),
            looked=looked,
            hide=self.recipe.source.hide,
            environment=self.recipe.source.marks(),
            batch_rows=self.batch_rows,
            keep_stages=self.keep_stages,
            remembers=self.remembers,
            full_ledger=spec.full_ledger,
            open_table=self.table,
            earlier=self.table(name).record.generations[:-1] if finished else (),
            learned={index: placed.learned for index, placed in enumerate(spec.steps) if placed.learned},
        )

    def _prepare(self, spec: TableSpec) -> None:
        """Prepare a table before its rows are read: run its source step, and collect answers given in the studio."""
        for number, placed in numbered_by_verb([placed.step for placed in spec.steps]):
            if isinstance(placed, AnnotationStep):
                placed.collect_answers(worklist_of(self.table_folder(spec.name), number))
        step = spec.source_step
        if step and not (self.table_folder(spec.name) / RECORD).exists():
            folder = self.prepared_folder(spec.name, step)
            work = folder / f".{step.verb}"
            with run_lock(work), self.engine.nodes(work) as nodes:
                pace = step.prepare(spec.name, self.table(spec.sources[0]), folder, self.listener, nodes)
            note_pace(self.table_folder(spec.name), step.verb, pace)

    def _source_identity(self, source: Source, spec: TableSpec) -> dict[str, Any]:
        if isinstance(source, GrownSource):
            return self._source_identity(source.now, spec)
        if isinstance(source, UnionSource):
            sources = {one.name: self._source_identity(one.source, spec) for one in source.members}
            return {**spec.source.model_dump(mode="json"), "sources": sources}
        if source.pool is not None and not source.name.startswith("tables."):
            return {"pool": source.pool.kind, **source.pool.model_dump(mode="json", by_alias=True)}
        name = source.name.removeprefix("tables.")
        return {"table": name, "record": digest_file(self.table_folder(name) / RECORD)}

    def _map(self, function: Callable[[int], Any], units: Sequence[int]) -> dict[int, Any]:
        if len(units) > 4:
            self.listener.note(f"hashing the content of {len(units)} groups of input files")
        return dict(self.engine.map(function, units))

    def _check_table_names(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.recipe.tables:
                raise RecipeError(f"the recipe has no table '{name}'; {did_you_mean(name, self.recipe.tables)}")


def _warm_up(steps: Sequence[StepSpec]) -> None:
    """Load ahead. An error here occurs again, and is reported, when the result is needed."""
    for placed in steps:
        with suppress(Exception):
            placed.step.warm_up()


def _weights(steps: Sequence[StepSpec]) -> dict[str, str]:
    """Return weight digests by model. A model whose digest is only known once it is loaded is loaded."""
    specs = [spec for placed in steps for spec in placed.encoders]
    return {spec.model: peek(spec).weights or load_encoder(spec).weights for spec in specs}


def open_run(folder: str | Path) -> Run:
    """Open a run folder, with the recipe it was last run with.

    Raises:
        InputError: the folder is not a run folder.
    """
    refuse_remote(folder)
    folder = Path(folder).resolve()
    return Run(recall(folder), folder)
