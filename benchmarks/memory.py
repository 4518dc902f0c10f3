"""Peak memory of a row-wise run over embeddings, at 4 and at 32 times the rows: the largest of four runs each."""

from __future__ import annotations

from pathlib import Path

from benchmarks.throughput import OURS, make_rows, write_recipe
from benchmarks.timing import in_turn, python

ROWS = 37_500  # x 768 float16: 57 MB; 4 times is 230 MB, 32 times is 1.8 GB


def run(work: Path) -> float:
    """Peak memory at 32x over that at 4x; at most 1.1, and under 1.5 GB, is wanted."""
    peaks = {}
    for times in (4, 32):
        threshold = make_rows(work, ROWS * times, f"times-{times}")
        recipe = write_recipe(work, f"times-{times}", threshold)
        command = python(OURS, recipe, work / f"run-{times}")
        peaks[times] = in_turn({f"times-{times}": command}, work, times=4)[f"times-{times}"].peak
        print(f"  {ROWS * times:,} rows: peak {peaks[times] / 1e9:.2f} GB")
    if peaks[32] > 1.5e9:
        print("  over 1.5 GB")
    return peaks[32] / peaks[4]
