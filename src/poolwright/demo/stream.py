"""Verify the demo's stream: simulated people judge the pictures that prompts found per bucket of time."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from poolwright.annotation.exchange.worklist import read_asked
from poolwright.core.columns import UID
from poolwright.core.table import Table
from poolwright.demo.annotators import Annotator, answer_worklist

CLASSES = ("house", "tree", "car", "flower", "bird", "boat", "cat", "fish", "cup", "airplane")
PEOPLE = (Annotator("ada", error=0.02), Annotator("ben", error=0.04), Annotator("cyd", error=0.25))
"""The simulated annotators; the last makes many errors."""

_WORKLIST = Path("run", "verify", "looked-at")


def write_prompts(path: Path) -> None:
    """Write the classes of the stream, one prompt each."""
    path.write_text("".join(f"{name}\n" for name in CLASSES), encoding="utf-8")


def answer_sheets(folder: Path) -> int:
    """Let everybody answer the questions of the run; returns the number of pictures it asks about.

    Args:
        folder: folder of the demo.
    """
    answer_worklist(folder / _WORKLIST, PEOPLE, true_kinds(folder))
    return len(read_asked(folder / _WORKLIST).pairs)


def stream_against_truth(folder: Path, found: Table) -> tuple[tuple[str, str, str], ...]:
    """Measure how right the verified labels are, compared with the results of the prompts: (name, value, meaning)."""
    kinds = true_kinds(folder)
    kept = found.read([UID, "label"]).to_pylist()
    asked = read_asked(folder / _WORKLIST).pairs
    before = sum(kinds[uid] == name for uid, name in asked) / max(len(asked), 1)
    after = sum(kinds[row[UID]] == row["label"] for row in kept) / max(len(kept), 1)
    errors = ", ".join(f"{person.error:.0%}" for person in PEOPLE)
    return (
        ("precision of prompts", f"{before:.3f}", f"{len(asked):,} pictures that prompts found are of their class"),
        (
            "precision of verified",
            f"{after:.3f}",
            f"{len(kept):,} of them that people kept, with error rates of {errors}",
        ),
    )


def true_kinds(folder: Path) -> dict[str, str]:
    """Return the kind of thing that each picture of the world shows, by uid."""
    truth = pq.read_table(folder / "world" / "truth.parquet", columns=[UID, "kind"])
    return dict(zip(truth[UID].to_pylist(), truth["kind"].to_pylist(), strict=True))
