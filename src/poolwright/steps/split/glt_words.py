"""Describe in words the sets that the step `glt` drew by classes and integer attributes."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.state import State
from poolwright.steps.split.glt_cuts import SIZES

CELLS = "cells"
GLT, CBL = "glt", "cbl"
NUMBER, ROWS = "class", "rows."


def learned_cells(state: State, remark: str) -> str:
    """Describe the sets of a state.

    Args:
        remark: on the sizes of the classes, if there is one.
    """
    table = state.tables[CELLS]
    if not table.num_rows:
        return "no classes"
    rows = {name: pc.sum(table.column(ROWS + name)).as_py() for name in SIZES}

    def figures(*names: str) -> str:
        return ", ".join(f"{name.rpartition('.')[2]} {rows[name]:,}" for name in names)

    text = f"{len(pc.unique(table.column(NUMBER))):,} classes; GLT: {figures('glt.train', 'glt.val', 'glt.test_lt')}"
    text += f"; CBL: {figures('cbl.train', 'cbl.val')}; both: {figures('test_bl', 'test_bbl')}"
    text += f"; {remark}" if remark else ""
    return "; ".join([text, *_notes(table, state, rows)])


def _notes(table: pa.Table, state: State, rows: Mapping[str, int]) -> list[str]:
    """Describe how the result differs from what was asked for."""
    notes = []
    scale = Fraction(state.values["scale"])
    if scale != 1:
        notes.append(f"all numbers of rows times {float(scale):.4g}")
    for name in (GLT, CBL):
        asked, drawn = state.values[name], sum(count for key, count in rows.items() if key.startswith(f"{name}."))
        if drawn < asked:
            notes.append(f"the rest of {name.upper()} is cut from {asked:,} rows to {drawn:,}")
    trained = np.bincount(table.column(NUMBER).to_numpy(), weights=table.column(f"{ROWS}glt.train").to_numpy())
    without = int((trained == 0).sum())
    if without:
        notes.append(f"{without:,} {'class has' if without == 1 else 'classes have'} no row in train of GLT")
    return notes
