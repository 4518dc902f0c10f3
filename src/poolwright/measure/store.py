"""Stores the figures of a run in its folder: each is measured once per table and way of measuring."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from poolwright.core.errors import PoolwrightError
from poolwright.core.files import digest_file, write_text
from poolwright.core.results.measured import Measured
from poolwright.core.runtime.progress import Listener
from poolwright.core.table import RECORD, Table
from poolwright.measure import verdicts
from poolwright.measure.measure import measure
from poolwright.recipe.figures import Figure

FILE = "figures.json"
METHOD = 2
"""Incremented when a figure is measured in another way, so that earlier values are not mistaken for new ones."""


class _Entry(BaseModel):
    """A figure that was measured, under the name it had; `record` is the digest of its table's `table.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: int
    record: str
    parameters: dict[str, Any]
    figure: str
    measured: tuple[Measured, ...]

    def named(self, name: str) -> tuple[Measured, ...]:
        """Return the values under the figure's current name."""
        of = len(self.figure)
        return tuple(found.model_copy(update={"name": f"{name}{found.name[of:]}"}) for found in self.measured)

    @property
    def key(self) -> str:
        return _key(self.method, self.record, self.parameters)


def _key(method: int, record: str, parameters: dict[str, Any]) -> str:
    return json.dumps([method, record, parameters], sort_keys=True)


def _as_it_is(value: Any) -> Any:
    return value


def _hidden(parameters: dict[str, Any], hide: Callable[[Any], Any]) -> dict[str, Any]:
    """Return parameters without values of the environment; a digest notices when one of these changes."""
    shown: dict[str, Any] = hide(parameters)
    if shown == parameters:
        return parameters
    text = json.dumps(parameters, sort_keys=True)
    return {**shown, "environment": hashlib.sha256(text.encode()).hexdigest()[:8]}


def measure_all(
    figures: Sequence[Figure],
    tables: Mapping[str, Table],
    folder: Path,
    listener: Listener,
    workers: int | None = None,
    hide: Callable[[Any], Any] = _as_it_is,
) -> tuple[Measured, ...]:
    """Measure figures in order, or reuse stored values; each is saved in the run folder once measured.

    One that cannot be measured has no value, and its words say why; it is tried again next time.

    Args:
        workers: as for `measure`.
        hide: puts names of environment variables in place of their values, in data.
    """
    before = _load(folder)
    known = {entry.key: entry for entry in before}
    entries: list[_Entry] = []
    failed: dict[int, list[Measured]] = defaultdict(list)
    for figure in figures:
        table = tables[figure.table]
        record = digest_file(table.folder / RECORD)
        parameters = figure.model_dump(mode="json", exclude={"name"}, exclude_defaults=True)
        if figure.measure == "verdicts":
            if why := verdicts.missing(figure, table):
                listener.note(why)
                continue
            parameters["files"] = verdicts.digests(figure)
        parameters, name = _hidden(parameters, hide), hide(figure.name)
        earlier = known.get(_key(METHOD, record, parameters))
        if earlier:
            measured = earlier.named(name)
        else:
            listener.note(f"measuring {name} on {figure.table}")
            try:
                measured = tuple(
                    Measured.model_validate(hide(found.model_dump())) for found in _measured(figure, table, workers)
                )
            except PoolwrightError as error:
                failed[len(entries)].append(Measured.model_validate(hide(_not_measured(figure, error).model_dump())))
                continue
        entries.append(_Entry(method=METHOD, record=record, parameters=parameters, figure=name, measured=measured))
        if not earlier:
            _save(folder, [*before, *entries])
    if entries != before:
        _save(folder, entries)
    found = [[*failed[at], *entry.measured] for at, entry in enumerate(entries)]
    return tuple(one for some in [*found, failed[len(entries)]] for one in some)


def _not_measured(figure: Figure, error: PoolwrightError) -> Measured:
    words = f"It could not be measured: {error}"
    return Measured(name=figure.name, table=figure.table, measure=figure.measure, value=None, words=words)


def _measured(figure: Figure, table: Table, workers: int | None) -> tuple[Measured, ...]:
    if figure.measure == "verdicts":
        return tuple(verdicts.measured(figure, table))
    return measure(figure, table, workers)


def measured_of(table: Table, folder: Path) -> tuple[Measured, ...]:
    """Return the values that were measured on a table as it is now."""
    record = digest_file(table.folder / RECORD)
    return tuple(found for entry in _load(folder) if entry.record == record for found in entry.measured)


def _load(folder: Path) -> list[_Entry]:
    """Read what was saved; empty if the file is damaged or from another version, so that figures are measured again."""
    try:
        document = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return [_Entry.model_validate(entry) for entry in document["figures"]]
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return []


def _save(folder: Path, entries: Sequence[_Entry]) -> None:
    document = {"figures": [entry.model_dump(mode="json") for entry in entries]}
    write_text(folder / FILE, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
