"""The demo's stream: simulated people look at what prompts found in each bucket of time, one of them carelessly."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from poolwright.annotation.exchange.worklist import read_asked
from poolwright.core.columns import UID
from poolwright.core.table import Table
from poolwright.demo.annotators import Annotator, answer_worklist

CLASSES = ("house", "tree", "car", "flower", "bird", "boat", "cat", "fish", "cup", "airplane")
PEOPLE = (Annotator("ada", error=0.02), Annotator("ben", error=0.04), Annotator("cyd", error=0.25))
"""Who looks; the last is careless."""

_WORKLIST = Path("run", "verify", "looked-at")


def write_prompts(path: Path) -> None:
    """The classes of the stream, a prompt each."""
    path.write_text("".join(f"{name}\n" for name in CLASSES), encoding="utf-8")


def answer_sheets(folder: Path) -> int:
    """Let everybody answer what the run asks; returns how many pictures it asks about.

    Args:
        folder: of the demo.
    """
    answer_worklist(folder / _WORKLIST, PEOPLE, true_kinds(folder))
    return len(read_asked(folder / _WORKLIST).pairs)


def stream_against_truth(folder: Path, found: Table) -> tuple[tuple[str, str, str], ...]:
    """How right the verified labels are, beside what the prompts found: (name, value, meaning)."""
    kinds = true_kinds(folder)
    kept = found.read([UID, "label"]).to_pylist()
    asked = read_asked(folder / _WORKLIST).pairs
    before = sum(kinds[uid] == name for uid, name in asked) / max(len(asked), 1)
    after = sum(kinds[row[UID]] == row["label"] for row in kept) / max(len(kept), 1)
    told = ", ".join(f"{person.error:.0%}" for person in PEOPLE)
    return (
        ("precision of prompts", f"{before:.3f}", f"{len(asked):,} pictures that prompts found are of their class"),
        ("precision of verified", f"{after:.3f}", f"{len(kept):,} of them that people kept, who err in {told}"),
    )


def true_kinds(folder: Path) -> dict[str, str]:
    """What every picture of the world shows, by uid."""
    truth = pq.read_table(folder / "world" / "truth.parquet", columns=[UID, "kind"])
    return dict(zip(truth[UID].to_pylist(), truth["kind"].to_pylist(), strict=True))
