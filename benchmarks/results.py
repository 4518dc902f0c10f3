"""Read and write RESULTS.md, and find what fell since then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TOLERANCE = 0.15
"""Share of a ratio by which one run differs from another on a quiet machine."""
_HEAD = """\
# Results

Written by `make bench`; each ratio is from one run on one machine. The peak is the resident memory of our
largest process.

| benchmark | ratio | peak | what it is | day | machine |
| --- | --- | --- | --- | --- | --- |
"""
_COLUMNS = 6
_LOWER = ("at most", "our time over", "our seconds over")


@dataclass(frozen=True)
class Result:
    """One benchmark's newest result.

    Attributes:
        ratio: of ours and a peer's.
        peak: resident memory of our largest process, as text; empty if it was not measured.
        words: what the ratio is.
        day: ISO date.
        machine: processor, cores and Python.
    """

    ratio: float
    peak: str
    words: str
    day: str
    machine: str


def read_results(path: Path) -> dict[str, Result]:
    """Return the results of a file, by benchmark; none if there is no file."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == _COLUMNS and _is_number(cells[1]):
            name, ratio, *rest = cells
            found[name] = Result(float(ratio), *rest)
    return found


def write_results(path: Path, results: Mapping[str, Result], order: Sequence[str]) -> None:
    """Write results, in the order of the benchmarks."""
    rows = [(name, results[name]) for name in order if name in results]
    lines = [
        f"| {name} | {_shown(one.ratio)} | {one.peak} | {one.words} | {one.day} | {one.machine} |" for name, one in rows
    ]
    path.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


def lower_is_better(words: str) -> bool:
    """Whether a ratio is one of our time, or of another cost, by what is said of it."""
    return any(said in words for said in _LOWER)


def fallen(before: Result, ratio: float) -> float:
    """Return the share by which a ratio is worse than before; negative if it is better."""
    return ratio / before.ratio - 1 if lower_is_better(before.words) else before.ratio / ratio - 1


def _shown(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.2f}"


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()
