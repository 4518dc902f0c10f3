"""Write the section of a dataset card on its measured figures."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from poolwright.core.results.measured import Matrix, Measured
from poolwright.release.card.markdown import grid, plain


def matrix_files(measured: Sequence[Measured], taken: Collection[str]) -> dict[str, Measured]:
    """Return the measured matrices by the unique name of their figure's file, without extension, none of `taken`."""
    files: dict[str, Measured] = {}
    for found in measured:
        if isinstance(found.value, Matrix):
            words = re.sub(r"[^a-z0-9]+", "-", found.name.lower()).strip("-") or "matrix"
            tries = [words, *(f"{words}-{number}" for number in range(2, len(measured) + 3))]
            files[next(name for name in tries if name not in taken and name not in files)] = found
    return files


def measured_section(measured: Sequence[Measured], pictures: Sequence[str]) -> str:
    """Return the numbers and matrices as Markdown.

    Args:
        pictures: Markdown of the figure of each matrix, in order; '' if there is none.
    """
    if not measured:
        return ""
    numbers = [
        (plain(found.name), found.number, plain(found.words))
        for found in measured
        if not isinstance(found.value, Matrix)
    ]
    matrices = [(found, found.value) for found in measured if isinstance(found.value, Matrix)]
    parts = ["## Measured", grid(("figure", "value", "meaning"), numbers, (1,)) if numbers else ""]
    for (found, matrix), picture in zip(matrices, pictures, strict=True):
        summary = ", ".join(f"{plain(name)} **{value:.3f}**" for name, value in matrix.summary.items())
        parts += [f"### {plain(found.name)}", plain(found.words), f"{summary[:1].upper()}{summary[1:]}."]
        parts += [_matrix_table(matrix), picture]
    return "\n\n".join(part for part in parts if part)


def _matrix_table(matrix: Matrix) -> str:
    head = [f"{plain(matrix.down)} ↓, {plain(matrix.across)} →", *map(plain, matrix.columns), plain(matrix.counted)]
    lines = [
        [
            plain(name),
            *(_number(value, name == other) for value, other in zip(values, matrix.columns, strict=True)),
            f"{rows:,}",
        ]
        for name, values, rows in zip(matrix.rows, matrix.values, matrix.row_counts, strict=True)
    ]
    if matrix.column_counts:
        lines.append(["rows", *(f"{rows:,}" for rows in matrix.column_counts), ""])
    return grid(head, lines, range(1, len(head)))


def _number(value: float, same: bool) -> str:
    return f"**{value:.3f}**" if same else f"{value:.3f}"
