"""The demo's stream: simulated people look at what prompts found in each bucket of time, some of them carelessly."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import UID
from poolwright.core.table import Table
from poolwright.kernels.hashing import hash64, hash_key
from poolwright.verify.verdicts import NEGATIVE, POSITIVE

CLASSES = ("house", "tree", "car", "flower", "bird", "boat", "cat", "fish", "cup", "airplane")
PEOPLE: Mapping[str, float] = {"ada": 0.02, "ben": 0.04, "cyd": 0.25}
"""Share of wrong answers of each simulated person; the last is careless."""

_TABLE = "looked-at"


def write_prompts(path: Path) -> None:
    """The classes of the stream, a prompt each."""
    path.write_text("".join(f"{name}\n" for name in CLASSES), encoding="utf-8")


def answer_sheets(folder: Path) -> int:
    """Let everybody answer every sheet that the run wrote; returns how many answers there are.

    Args:
        folder: of the demo.
    """
    desk, kinds = folder / "run" / "verify" / _TABLE, true_kinds(folder)
    answers = 0
    for sheet in sorted((desk / "sheets").glob("*.csv")):
        with sheet.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        for person, errors in PEOPLE.items():
            said = _says(rows, kinds, person, errors)
            filled = [{**row, "verdict": verdict, "annotator": person} for row, verdict in said]
            _write(desk / "verdicts" / f"{person}-{sheet.name}", filled)
            answers += len(filled)
    return answers


def _says(
    rows: list[dict[str, str]], kinds: Mapping[str, str], person: str, errors: float
) -> Iterable[tuple[dict[str, str], str]]:
    """What a person says of each row: the truth, but for a share of errors that a hash picks."""
    draws = hash64(pa.array([row[UID] for row in rows], pa.string()), hash_key(11, "stream", person))
    for row, draw in zip(rows, draws.tolist(), strict=True):
        right = kinds[row[UID]] == row["class"]
        wrong = draw < errors * 2**64
        yield row, POSITIVE if right != wrong else NEGATIVE


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def stream_against_truth(folder: Path, found: Table) -> tuple[tuple[str, str, str], ...]:
    """How right the verified labels are, beside what the prompts found: (name, value, meaning)."""
    kinds = true_kinds(folder)
    kept = found.read([UID, "label"]).to_pylist()
    asked = pq.read_table(folder / "run" / "verify" / _TABLE / "asked.parquet").to_pylist()
    before = sum(kinds[row[UID]] == row["class"] for row in asked) / max(len(asked), 1)
    after = sum(kinds[row[UID]] == row["label"] for row in kept) / max(len(kept), 1)
    told = ", ".join(f"{errors:.0%}" for errors in PEOPLE.values())
    return (
        ("precision of prompts", f"{before:.3f}", f"{len(asked):,} pictures that prompts found are of their class"),
        ("precision of verified", f"{after:.3f}", f"{len(kept):,} of them that people kept, who err in {told}"),
    )


def true_kinds(folder: Path) -> dict[str, str]:
    """What every picture of the world shows, by uid."""
    truth = pq.read_table(folder / "world" / "truth.parquet", columns=[UID, "kind"])
    return dict(zip(truth[UID].to_pylist(), truth["kind"].to_pylist(), strict=True))
