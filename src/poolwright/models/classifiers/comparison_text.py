"""Describe the candidates of a `classify` step from its state, as sentences and cells for cards and reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from poolwright.core.state import State
from poolwright.core.table import Table
from poolwright.core.wording import counted
from poolwright.models.classifiers.comparison import METRICS

KIND = "classifier"
"""Name of the format of states that hold a comparison of candidates."""

_FIGURES_ELSEWHERE = "No examples measure it here. Verdicts on a sample of the pool measure its quality there."

_SHOWN = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "roc_auc": "ROC-AUC",
    "average_precision": "average precision",
}


@dataclass(frozen=True)
class Compared:
    """The candidates of one step.

    Attributes:
        head: names of the columns.
        lines: one per candidate: its name, then each figure with its 95 % interval; the chosen one first in `chosen`.
        chosen: index of the chosen candidate in `lines`.
        words: sentences on how it was chosen, its threshold and its training rows.
    """

    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    chosen: int
    words: tuple[str, ...]


def compared(table: Table, paced: bool = False) -> Iterator[Compared]:
    """Yield the comparisons of candidates of all steps of a table that chose a classifier, in order.

    Args:
        paced: include the rows per second of each candidate, which differ from run to run.
    """
    fits = table.timings().get("fits", {}) if paced else {}
    for step in table.record.steps:
        if step.state_kind == KIND:
            pace = fits.get(step.state_name, {}).get("rows_per_second")
            yield compared_in(table.state(step.index), pace)


def compared_in(state: State, pace: Mapping[str, float] | None = None) -> Compared:
    """Return the comparison in a state; of a classifier that was trained elsewhere, what it is taken from."""
    if "comparison" not in state.tables:
        source = state.values["source"]
        model = state.values["classifier"]
        line = (
            source["file"],
            source.get("type", model["kind"]),
            ", ".join(model["classes"][:20]),
            str(len(model["classes"])),
        )
        return Compared(
            ("model", "type", "classes", "number of classes"), (line,), 0, (_taken(source), _FIGURES_ELSEWHERE)
        )
    rows = state.tables["comparison"].to_pylist()
    lines = [(_name(row), *(_figure(row, metric) for metric in METRICS)) for row in rows]
    head = ["candidate", *(_SHOWN.get(metric, metric) for metric in METRICS)]
    if pace:
        head.append("rows/s, one core")
        lines = [(*line, _pace(row, pace)) for line, row in zip(lines, rows, strict=True)]
    chosen = next(index for index, row in enumerate(rows) if row["chosen"])
    return Compared(tuple(head), tuple(lines), chosen, tuple(_words(state, rows[chosen])))


def _pace(row: Mapping[str, Any], pace: Mapping[str, float]) -> str:
    speed = pace.get(f"{row['candidate']} {row['features']}")
    return f"{speed:,.0f}" if speed else "–"


def _name(row: Mapping[str, Any]) -> str:
    return row["candidate"] if row["features"] == "image" else f"{row['candidate']} on {row['features']}"


def _figure(row: Mapping[str, Any], metric: str) -> str:
    value, low, high = (row[metric], row[f"{metric}_low"], row[f"{metric}_high"])
    if value is None:
        return "–"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _words(state: State, chosen: Mapping[str, Any]) -> Iterator[str]:
    if "source" in state.values:
        yield _taken(state.values["source"])
    made = state.values["training"]
    train, validation = (_counted(made[name]) for name in ("train_rows", "validation_rows"))
    yield f"Learned from {train}; compared on {validation} (split {made['split']})."
    removed = state.tables["duplicates"].num_rows
    if removed:
        rows = counted(removed, "training row was", "training rows were")
        yield f"{rows} left out as near-duplicates of validation rows."
    target = made["target"]
    goal = target["goal"] if target["value"] is None else f"{target['goal']} {target['value']:.0%}"
    threshold = f"threshold {state.values['threshold']:.4f} ({goal})"
    yield f"Chosen by {made['choose_by'].replace('_', ' ')}: {_name(chosen)}, {threshold}."
    yield "These figures describe the validation examples. Verdicts on a sample of the pool measure its quality there."


def _taken(source: Mapping[str, Any]) -> str:
    return f"Taken from {source['file']} (SHA-256 {source['sha256']}), not trained here."


def _counted(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in rows.items())
