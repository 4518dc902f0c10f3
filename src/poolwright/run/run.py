"""Runs all tables of a recipe in one folder, in order."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from poolwright.core.errors import InputError, PoolwrightError, RecipeError, did_you_mean
from poolwright.core.files import digest_file, write_text
from poolwright.core.roles import AnnotationStep, SourceStep
from poolwright.core.runtime.progress import Listener, Silent
from poolwright.core.table import RECORD, InputFile, Table
from poolwright.models.encoders.load import load_encoder, peek
from poolwright.recipe.recipe import Recipe
from poolwright.recipe.tables import StepSpec, TableSpec
from poolwright.run.batches import BATCH_ROWS
from poolwright.run.engine.local import LocalEngine, wait_for_interrupted_units
from poolwright.run.engine.protocol import Engine
from poolwright.run.inputs import CACHE, Inputs, input_files
from poolwright.run.lock import run_lock
from poolwright.run.plan import TablePlan, plan_table
from poolwright.run.source import Source, planned_source, pool_source, table_source
from poolwright.run.table_run import TableRun, note_pace, numbered_by_verb, start_over, worklist_of

MEMORY = "run.json"


@dataclass
class Run:
    """A recipe in its run folder.

    Attributes:
        recipe: the recipe to run.
        folder: the run folder; made if it does not exist.
        engine: the engine that runs units.
        listener: receives progress.
        batch_rows: rows per batch; changes no result.
    """

    recipe: Recipe
    folder: Path
    engine: Engine = field(default_factory=LocalEngine)
    listener: Listener = field(default_factory=Silent)
    batch_rows: int = BATCH_ROWS
    _listed: dict[str, Source] = field(default_factory=dict, init=False, repr=False)

    def run(self, tables: Sequence[str] | None = None, fresh: Sequence[str] = ()) -> dict[str, Table]:
        """Make the tables, or the part of them that is still missing.

        Args:
            tables: only these and those they come from; default all.
            fresh: tables to start over.

        Raises:
            PoolwrightError: see `TableRun.run`; finished units and tables are kept.
        """
        wanted = self.wanted(tables)
        self._check_table_names(fresh)
        try:
            with run_lock(self.folder):
                wait_for_interrupted_units()
                for name in fresh:
                    start_over(self.table_folder(name))
                self._remember()
                return {name: self._run_table(name) for name in wanted}
        except PermissionError as error:
            raise PoolwrightError(
                f"{error.filename}: no permission; the run folder {self.folder} must be writable, inputs readable"
            ) from None
        except OSError as error:
            raise PoolwrightError(_disk_words(error, self.folder)) from None

    def _remember(self) -> None:
        """Keep the recipe in the run folder: as written, and as it was read, for `show`, `why` and `report`."""
        source = self.recipe.source
        write_text(self.folder / "recipe.yaml", source.text)
        memory = {"folder": str(source.folder), "name": source.name, "data": source.data}
        write_text(self.folder / MEMORY, json.dumps(memory, indent=1, ensure_ascii=False, default=str) + "\n")

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
        return self.folder / "tables" / name

    def prepared_folder(self, name: str, step: SourceStep) -> Path:
        """Return the folder for what a table's first step prepares before its rows are read."""
        return self.folder / step.folder_name / name

    def table(self, name: str) -> Table:
        """Open a finished table of this run.

        Raises:
            RecipeError: the recipe has no such table.
            InputError: it is not finished.
        """
        self._check_table_names([name])
        return Table(self.table_folder(name))

    def source(self, name: str) -> Source:
        """Return the source that a table reads from."""
        spec = self.recipe.tables[name]
        if spec.source in self.recipe.pools:
            return self.pools[spec.source]
        table, step = self.table(spec.source), spec.source_step
        if step:
            rows = step.rows(table, self.prepared_folder(name, step))
            return replace(pool_source(table.name, rows), name=f"tables.{table.name}")
        return table_source(table)

    @cached_property
    def pools(self) -> Mapping[str, Source]:
        """The pools that tables read from; each is listed once per run."""
        used = {table.source for table in self.recipe.tables.values()} & set(self.recipe.pools)
        return {name: self._pool(name) for name in sorted(used)}

    def plans(self) -> dict[str, TablePlan]:
        """Make the plans of all tables, checked from pool to last table, before anything runs.

        Raises:
            RecipeError: a step cannot work on the columns it will find; `Mistakes` if several cannot.
        """
        plans = self.plans_partly()
        self.recipe.source.raise_mistakes()
        return plans

    def plans_partly(self) -> dict[str, TablePlan]:
        """Make the plans of the tables that can be planned, and keep errors in `recipe.source.mistakes`."""
        plans: dict[str, TablePlan] = {}
        for name in self.recipe.order:
            before = len(self.recipe.source.mistakes)
            with self.recipe.source.collecting():
                spec = self.recipe.tables[name]
                source = self._planned_source(spec, plans)
                if source is not None:
                    plan = plan_table(spec, source, self.recipe.source)
                    self._check_tables(spec, {**plans, name: plan})
                    if len(self.recipe.source.mistakes) == before and name not in self.recipe.source.incomplete:
                        plans[name] = plan
        return plans

    def _planned_source(self, spec: TableSpec, plans: Mapping[str, TablePlan]) -> Source | None:
        """Return what a table will be read from; None if a mistake is in the way, which is known by then."""
        if spec.source in self.recipe.pools:
            return self._pool(spec.source)
        if spec.source not in plans:
            return None
        parent = plans[spec.source]
        if spec.source_step:
            root = str(self.prepared_folder(spec.name, spec.source_step))
            return planned_source(spec.source, spec.source_step.rows_schema(parent.schema), root)
        return planned_source(spec.source, parent.schema, parent.source.image_root)

    def _check_tables(self, spec: TableSpec, plans: Mapping[str, TablePlan]) -> None:
        """Check the tables that steps learn from."""
        for placed, planned in zip(spec.steps, plans[spec.name].steps, strict=True):
            try:
                if not placed.learned and set(placed.step.tables()) <= plans.keys():
                    schemas = {name: plans[name].schema for name in placed.step.tables()}
                    placed.step.check_tables(schemas)
                    placed.step.check_against(planned.before, schemas)
            except PoolwrightError as error:
                raise self.recipe.source.error(placed.key, str(error)) from None

    def _pool(self, name: str) -> Source:
        if name not in self._listed:
            try:
                self._listed[name] = pool_source(name, self.recipe.pools[name])
            except RecipeError as error:
                raise self.recipe.source.error(("pools", name), str(error)) from None
        return self._listed[name]

    def _run_table(self, name: str) -> Table:
        spec = self.recipe.tables[name]
        self._prepare(spec)
        source = self.source(name)
        threading.Thread(target=_warm_up, args=(spec.steps,), daemon=True).start()
        # Before the plan: a model whose weights are only known once it is loaded also knows its columns only then.
        weights = _weights(spec.steps)
        plan = plan_table(spec, source, self.recipe.source)
        looked = Inputs(self.folder / CACHE)
        inputs = self._inputs(source, looked)
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
            weights=weights,
            step_files={file: seen.digest for file, seen in step_files.items()},
            recipe_folder=self.recipe.folder,
            source_identity=self._source_identity(source),
            changed_files=looked.changed,
            batch_rows=self.batch_rows,
            full_ledger=spec.full_ledger,
            open_table=self.table,
            learned={index: placed.learned for index, placed in enumerate(spec.steps) if placed.learned},
        ).run()

    def _prepare(self, spec: TableSpec) -> None:
        """Prepare a table before its rows are read: run its source step, and collect answers given in the studio."""
        for number, placed in numbered_by_verb([placed.step for placed in spec.steps]):
            if isinstance(placed, AnnotationStep):
                placed.collect_answers(worklist_of(self.table_folder(spec.name), number))
        step = spec.source_step
        if step and not (self.table_folder(spec.name) / RECORD).exists():
            folder = self.prepared_folder(spec.name, step)
            with run_lock(folder / f".{step.verb}"):
                pace = step.prepare(spec.name, self.table(spec.source), folder, self.listener)
            note_pace(self.table_folder(spec.name), step.verb, pace)

    def _source_identity(self, source: Source) -> dict[str, Any]:
        if source.pool is not None and not source.name.startswith("tables."):
            return {"pool": source.pool.kind, **source.pool.model_dump(mode="json", by_alias=True)}
        name = source.name.removeprefix("tables.")
        return {"table": name, "record": digest_file(self.table_folder(name) / RECORD)}

    def _inputs(self, source: Source, looked: Inputs) -> list[list[InputFile]]:
        if source.pool is None:
            folder = self.table_folder(source.name.removeprefix("tables."))
            outputs = Table(folder).record.parts
            sizes = [(folder / part.file).stat().st_size for part in outputs]
            return [
                [InputFile(path=f"{folder.name}/{part.file}", size=size, digest=part.digest)]
                for part, size in zip(outputs, sizes, strict=True)
            ]
        files = sorted({file for part in source.parts for file in part.files})
        seen = looked.look(files, self._map)
        return [input_files(part, seen, self.recipe.folder) for part in source.parts]

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
    folder = Path(folder).resolve()
    try:
        memory = json.loads((folder / MEMORY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: no run in this folder ({MEMORY} is missing); give the folder of a run") from None
    return Run(Recipe.from_data(memory["data"], memory["folder"]), folder)


def _disk_words(error: OSError, folder: Path) -> str:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{folder}: the disk is full; make room and run the same command again: it continues"
    return f"{error.filename or folder}: {error.strerror or error}; run the same command again to continue"
