"""Show the measured figures of a table: numbers, and matrices as shaded tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolwright.core.results.measured import Matrix, Measured
from poolwright.report.charts.words import cut


@dataclass(frozen=True)
class MeasuredValue:
    """One number."""

    name: str
    value: str
    words: str


@dataclass(frozen=True)
class Cell:
    """One number of a matrix. `shade` runs from 0 to 1; `same` marks a group with itself."""

    value: str
    shade: float
    same: bool


@dataclass(frozen=True)
class MatrixTable:
    """A matrix as a table: (name, cells, rows) per line; `rows` are those of the columns, if known."""

    name: str
    words: str
    facts: str
    down: str
    across: str
    names: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Cell, ...], str], ...]
    counted: str
    rows: tuple[str, ...]


def values(measured: Sequence[Measured]) -> list[MeasuredValue]:
    """Return the figures that are one number."""
    return [
        MeasuredValue(cut(found.name, 80), found.number, found.words)
        for found in measured
        if not isinstance(found.value, Matrix)
    ]


def matrices(measured: Sequence[Measured]) -> list[MatrixTable]:
    """Return the figures that are matrices."""
    return [_matrix(found, found.value) for found in measured if isinstance(found.value, Matrix)]


def _matrix(found: Measured, matrix: Matrix) -> MatrixTable:
    low, high = matrix.limits()

    def cells(name: str, line: Sequence[float]) -> tuple[Cell, ...]:
        return tuple(
            Cell(f"{value:.3f}", round((value - low) / (high - low), 3), name == other)
            for value, other in zip(line, matrix.columns, strict=True)
        )

    return MatrixTable(
        name=cut(found.name, 80),
        words=found.words,
        facts=" · ".join(f"{name} {value:.3f}" for name, value in matrix.summary.items()),
        down=matrix.down,
        across=matrix.across,
        names=tuple(cut(name, 24) for name in matrix.columns),
        lines=tuple(
            (cut(name, 40), cells(name, line), f"{rows:,}")
            for name, line, rows in zip(matrix.rows, matrix.values, matrix.row_counts, strict=True)
        ),
        counted=matrix.counted,
        rows=tuple(f"{rows:,}" for rows in matrix.column_counts),
    )
