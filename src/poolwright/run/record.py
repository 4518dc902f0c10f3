"""Makes the record of a finished table: its lineage, funnel and outputs, and the counts that must reconcile."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from poolwright.core.columns import is_vector, vector_model
from poolwright.core.errors import CountError, TooManyBad
from poolwright.core.files import ImageRoot
from poolwright.core.images.image import MISSING_FILE
from poolwright.core.state import State
from poolwright.core.table import (
    TABLE_FORMAT,
    FunnelRow,
    InputFile,
    InputPart,
    ModelRecord,
    OutputPart,
    StepRecord,
    TableRecord,
    VectorRecord,
)
from poolwright.run.batches import add_tallies, load_state
from poolwright.run.engine.protocol import Engine
from poolwright.run.identity import versions
from poolwright.run.plan import DUPLICATE_UID, StepPlan, TablePlan
from poolwright.run.write import UnitResult, ledger_file, part_file


def make_record(
    plan: TablePlan,
    results: Mapping[int, UnitResult],
    *,
    folder: Path,
    recipe_folder: Path,
    recipe_name: str,
    recipe_text: str,
    seed: int,
    identity: str,
    parameters: Sequence[Mapping[str, Any]],
    input_files: Sequence[Sequence[InputFile]],
    joined_files: Sequence[InputFile],
    quarantined: Mapping[int, str],
    released: Collection[int],
    packages: Mapping[str, str],
) -> TableRecord:
    """Make the content of `table.json`. It depends on the inputs, the recipe and the versions alone."""
    dropped: Counter[int] = Counter()
    for result in results.values():
        dropped.update(result.dropped)
    part_rows: Counter[int] = Counter()
    for result in results.values():
        part_rows.update(result.part_rows)
    files = tuple(dict.fromkeys(file for part in (*input_files, joined_files) for file in part))
    rows_in = sum(part_rows.values())
    return TableRecord(
        format=TABLE_FORMAT,
        name=plan.name,
        recipe=recipe_name,
        recipe_text=recipe_text,
        source=plan.source.name,
        seed=seed,
        plan=identity,
        versions={**versions(), **packages},
        image_root=_movable_roots(plan.source.image_root, folder, recipe_folder),
        files=files,
        inputs=tuple(_inputs(plan, part_rows, files, input_files, quarantined)),
        steps=tuple(_steps(plan, folder / "states", parameters, released)),
        models=tuple(_models(plan)),
        reasons=plan.reasons,
        rows_in=rows_in,
        rows_kept=sum(result.kept for result in results.values()),
        funnel=tuple(_funnel(plan, rows_in, dropped)),
        parts=tuple(_outputs(results)),
        tallies=_tallies(results),
        remarks=(*plan.source.remarks(), *plan.joined_remarks(), *_noted(results, rows_in)),
        sources=plan.source.rows_by_source(part_rows),
    )


def _movable_roots(root: ImageRoot, folder: Path, recipe_folder: Path) -> str | dict[str, str | None] | None:
    if isinstance(root, Mapping):
        return {name: _movable(one, folder, recipe_folder) for name, one in root.items()}
    return _movable(root, folder, recipe_folder)


def _movable(root: str | None, folder: Path, recipe_folder: Path) -> str | None:
    """Return an image root below the recipe's folder relative to the table's folder; any other unchanged."""
    if root is None or "://" in root or not Path(root).is_relative_to(recipe_folder):
        return root
    return Path(os.path.relpath(root, folder.resolve())).as_posix()


def _inputs(
    plan: TablePlan,
    part_rows: Mapping[int, int],
    files: Sequence[InputFile],
    input_files: Sequence[Sequence[InputFile]],
    quarantined: Mapping[int, str],
) -> list[InputPart]:
    indices = {file: index for index, file in enumerate(files)}
    return [
        InputPart(
            name=part.name,
            files=tuple(indices[file] for file in of_part),
            start=part.start,
            rows=part.rows if part.index in quarantined else part_rows.get(part.index, 0),
            quarantined=quarantined.get(part.index),
        )
        for part, of_part in zip(plan.source.parts, input_files, strict=True)
    ]


def _vectors(placed: StepPlan) -> Iterator[VectorRecord]:
    for field in (placed.before.field(name) for name in placed.reads):
        if is_vector(field.type):
            model, weights = vector_model(field) or ("", "")
            yield VectorRecord(column=field.name, width=field.type.list_size, model=model, weights=weights)


def _steps(
    plan: TablePlan, states: Path, parameters: Sequence[Mapping[str, Any]], released: Collection[int]
) -> list[StepRecord]:
    return [
        _step(placed, written, states, placed.index in released)
        for placed, written in zip(plan.steps, parameters, strict=True)
    ]


def _step(placed: StepPlan, written: Mapping[str, Any], states: Path, released: bool) -> StepRecord:
    step, state = placed.step, load_state(states, placed.name)
    return StepRecord(
        index=placed.index,
        verb=step.verb,
        kind=step.kind,
        parameters=dict(written),
        gives=tuple(placed.gives),
        state_name=placed.name,
        state=State.digest(states, placed.name),
        learned=step.learned(state),
        vectors=tuple(_vectors(placed)),
        released=released,
        state_kind=step.state_kind,
        limits=tuple(step.limits(state)),
        labelled_by=step.labelled_by,
    )


def _models(plan: TablePlan) -> list[ModelRecord]:
    return [
        ModelRecord(column=field.name, name=model[0], weights=model[1])
        for field in plan.schema
        if (model := vector_model(field))
    ]


def _funnel(plan: TablePlan, rows_in: int, dropped: Mapping[int, int]) -> list[FunnelRow]:
    rows, live = [], rows_in
    for step in range(-1, len(plan.steps)):
        here = {reason.name: dropped.get(reason.code, 0) for reason in plan.reasons if reason.step == step}
        gone = {name: count for name, count in here.items() if count}
        verb = "read" if step < 0 else plan.steps[step].step.verb
        kept = live - sum(gone.values())
        rows.append(FunnelRow(step=step, verb=verb, rows_in=live, kept=kept, dropped=gone))
        live = kept
    return rows


def _tallies(results: Mapping[int, UnitResult]) -> dict[str, tuple[int, ...]]:
    total: dict[str, np.ndarray] = {}
    for result in results.values():
        add_tallies(total, {name: np.array(counts, np.int64) for name, counts in result.tallies.items()})
    return {name: tuple(counts.tolist()) for name, counts in sorted(total.items())}


def _noted(results: Mapping[int, UnitResult], rows: int) -> Iterator[str]:
    """Yield a sentence on everything that pools noted of the rows."""
    found: dict[str, tuple[int, str]] = {}
    for _, result in sorted(results.items()):
        for words, (count, example) in result.noted.items():
            known, first = found.get(words, (0, example))
            found[words] = known + count, first
    for words, (count, example) in found.items():
        yield f"{count:,} of {rows:,} {words}, such as {example}"


def _outputs(results: Mapping[int, UnitResult]) -> list[OutputPart]:
    return [
        OutputPart(
            file=part_file(unit),
            rows=result.kept,
            digest=result.digest,
            ledger=ledger_file(unit),
            dropped=sum(result.dropped.values()),
            ledger_digest=result.ledger_digest,
        )
        for unit, result in sorted(results.items())
    ]


def check_counts(record: TableRecord) -> None:
    """Check that rows in = rows kept + rows dropped, in the files and step by step.

    Raises:
        CountError: the counts do not reconcile.
    """
    dropped = sum(part.dropped for part in record.parts)
    by_reason = sum(sum(row.dropped.values()) for row in record.funnel)
    last = record.funnel[-1].kept
    if record.rows_in != record.rows_kept + dropped or dropped != by_reason or last != record.rows_kept:
        raise CountError(
            f"table '{record.name}': {record.rows_in} rows in, {record.rows_kept} kept, {dropped} dropped in the "
            f"ledger, {by_reason} by reason: the counts do not reconcile"
        )


_STATUS = "status"
"""Column with the outcome of the download, as img2dataset and `poolwright fetch` name it."""


def check_bad(
    name: str,
    rows: int,
    dropped: Mapping[str, int],
    max_bad: float,
    columns: Collection[str] = (),
    sources: Collection[str] = (),
) -> None:
    """Check that no more rows are bad than the recipe allows.

    Args:
        name: name of the table.
        rows: rows that the share refers to.
        dropped: bad rows by reason, as people read it.
        max_bad: the share that is allowed.
        columns: columns of the source, which may say why rows have no image.
        sources: names of the pools and tables that are united, if uids of one may repeat those of another.

    Raises:
        TooManyBad: there are more.
    """
    total = sum(dropped.values())
    if rows and total / rows > max_bad:
        reasons = "; ".join(f"{count:,} {words}" for words, count in dropped.items() if count)
        first = ""
        if dropped.get(MISSING_FILE.words) and _STATUS in columns:
            first = f"Rows whose download failed have no image: drop them first with `where: {_STATUS} = 'success'`. "
        if sources and dropped.get(DUPLICATE_UID.words):
            first += (
                f"Tell uids of two sources apart with 'from: {{union: [{', '.join(sources)}], uid_prefix: true}}'. "
            )
        raise TooManyBad(
            f"table '{name}': {total:,} of {rows:,} rows are bad ({total / rows:.2%}), "
            f"max_bad is {max_bad:.2%}: {reasons}. {first}Repair the input, or raise max_bad and run again; "
            "finished units are kept"
        )


def timings_text(
    rows_in: int,
    results: Mapping[int, UnitResult],
    fits: Mapping[str, Mapping[str, Any]],
    seconds: float,
    started: datetime,
    engine: Engine,
) -> str:
    """Make the content of `timings.json`: everything that may differ from run to run.

    `spent` are seconds of all workers together, `fits` the seconds and speeds of each fit by the step's name.
    """
    spent: dict[str, float] = {}
    for _, result in sorted(results.items()):
        for name, share in result.spent.items():
            spent[name] = spent.get(name, 0.0) + share
    timings = {
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows_in / seconds) if seconds else None,
        "unit_seconds": [result.seconds for _, result in sorted(results.items())],
        "spent": {name: round(share, 3) for name, share in spent.items()},
        "fits": dict(fits),
        "machine": {
            "engine": engine.name,
            "workers": engine.workers,
            "system": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
    }
    return json.dumps(timings, indent=1) + "\n"
