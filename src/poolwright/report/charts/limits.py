"""Limits: the values that steps held a numeric column against, to be drawn into its histogram."""

from __future__ import annotations

import re
from dataclasses import dataclass

from poolwright.core.table import StepRecord, Table
from poolwright.core.wording import number

_COMPARED = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*([-+]?\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*")
_SIGNS = {">=": "≥", "<=": "≤", ">": ">", "<": "<"}


@dataclass(frozen=True)
class Limit:
    """A value a column was held against, and how it is told: 'top ≥ 0.2731'."""

    value: float
    words: str


def limits_of(table: Table) -> dict[str, list[Limit]]:
    """Limits by column: of `top` over all rows, and of comparisons joined by `and` in `where`."""
    found: dict[str, list[Limit]] = {}
    for step in table.record.steps:
        for column, limit in _where(step) if step.verb == "where" else _top(table, step):
            found.setdefault(column, []).append(limit)
    return found


def _where(step: StepRecord) -> list[tuple[str, Limit]]:
    expression = str(step.parameters.get("expression", ""))
    if re.search(r"\b(or|not|case)\b", expression, flags=re.IGNORECASE):
        return []
    clauses = re.split(r"\band\b", expression, flags=re.IGNORECASE)
    limits = []
    for clause in clauses:
        compared = _COMPARED.fullmatch(clause)
        if compared is None:
            continue
        column, sign, value = compared.groups()
        limits.append((column, Limit(float(value), f"where {_SIGNS[sign]} {value}")))
    return limits


def _top(table: Table, step: StepRecord) -> list[tuple[str, Limit]]:
    if step.verb != "top" or step.parameters.get("group"):
        return []
    try:
        groups = table.state(step.index).tables.get("groups")
    except FileNotFoundError:  # a table that was copied without its states still has a report
        return []
    values = groups.column("value").to_pylist() if groups is not None and "value" in groups.column_names else []
    if len(values) != 1 or not isinstance(values[0], int | float):
        return []
    sign = "≤" if step.parameters.get("lowest") else "≥"
    return [(str(step.parameters.get("by")), Limit(float(values[0]), f"top {sign} {number(values[0])}"))]
