"""Finished tables made by hand, without a run: part files, ledger, states and table.json."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from poolwright.core.columns import vector_field
from poolwright.core.files import digest_file
from poolwright.core.rows import vector_array
from poolwright.core.state import State
from poolwright.core.table import (
    LEDGER_SCHEMA,
    RECORD,
    TABLE_FORMAT,
    FunnelRow,
    InputFile,
    InputPart,
    ModelRecord,
    OutputPart,
    ReasonRecord,
    StepRecord,
    Table,
    TableRecord,
)

RECIPE = """recipe: 1
name: toy
seed: 7
pools:
  pictures: {read: image_folder, path: pictures}
tables:
  toy:
    from: pictures
    steps:
      - top: {by: similarity, n: 100}
"""
WEIGHTS = "a" * 64
REASONS = (
    ReasonRecord(code=1, step=-1, verb="read", name="missing_uid", words="no uid", bad=True),
    ReasonRecord(code=2, step=0, verb="top", name="below_top", words="below the top 100 by similarity", bad=False),
)


def picture(number: int, kind: str = "JPEG") -> bytes:
    """A small image that is like no other number's."""
    rng = np.random.default_rng(number)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(out, kind)
    return out.getvalue()


def pictures(folder: Path, names: Sequence[str]) -> list[bytes]:
    """Write image files below `folder`; every third is a PNG, whatever its name says."""
    found = []
    for number, name in enumerate(names):
        data = picture(number, "PNG" if number % 3 == 2 else "JPEG")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        found.append(data)
    return found


def toy_rows(count: int, labels: Sequence[str | None] = ("Katze", "犬", "a|b <i>")) -> pa.Table:
    """Rows with the columns that most tables have."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(count, 8)).astype(np.float16)
    columns: dict[str, Any] = {
        "uid": [f"row-{number:04d}" for number in range(count)],
        "url": [f"https://example.org/{number}.jpg" for number in range(count)],
        "image_path": [f"{number // 10}/{number}.jpg" for number in range(count)],
        "label": pa.array([labels[number % len(labels)] for number in range(count)]).dictionary_encode(),
        "similarity": pa.array([0.2 + 0.001 * number for number in range(count)], pa.float32()),
        "continent": [None if number % 7 == 0 else ["Europe", "Africa"][number % 2] for number in range(count)],
        "license": ["CC-BY-2.0" if number % 2 else "CC0-1.0" for number in range(count)],
        "author": [f'Zoë, "{number}"' for number in range(count)],
        "taken_at": pa.array([number * 10**12 for number in range(count)], pa.timestamp("us", tz="UTC")),
        "split": [("train", "train", "test")[number % 3] for number in range(count)],
        "tags": [["a"] * (number % 3) for number in range(count)],
    }
    table = pa.table(columns)
    return table.append_column(vector_field("clip", 8, "open_clip:ViT-B-32/openai", WEIGHTS), vector_array(vectors))


def write_table(
    folder: Path,
    rows: pa.Table,
    *,
    dropped: int = 5,
    cuts: Sequence[int] = (),
    image_root: Path | None = None,
    source: str = "pools.pictures",
    quarantined: str | None = None,
) -> Table:
    """Write a finished table of one `top` step that dropped `dropped` rows."""
    edges = [0, *cuts, len(rows)]
    folder.mkdir(parents=True)
    (folder / "dropped").mkdir()
    parts = []
    for number, (first, last) in enumerate(pairwise(edges)):
        file, ledger = f"part-{number:05d}.parquet", f"dropped/part-{number:05d}.parquet"
        pq.write_table(rows.slice(first, last - first), folder / file)
        gone = dropped if number == 0 else 0
        pq.write_table(_ledger(gone, len(rows)), folder / ledger)
        parts.append(
            OutputPart(
                file=file,
                rows=last - first,
                digest=digest_file(folder / file),
                ledger=ledger,
                dropped=gone,
                ledger_digest=digest_file(folder / ledger),
            )
        )
    record = _record(folder, rows, dropped, tuple(parts), image_root, source, quarantined)
    (folder / RECORD).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Table(folder)


def _ledger(gone: int, kept: int) -> pa.Table:
    columns = [np.zeros(gone, np.int32), np.arange(kept, kept + gone, dtype=np.uint32), np.full(gone, 2, np.uint16)]
    return pa.Table.from_arrays([pa.array(column) for column in columns], schema=LEDGER_SCHEMA)


def _record(
    folder: Path,
    rows: pa.Table,
    dropped: int,
    parts: tuple[OutputPart, ...],
    image_root: Path | None,
    source: str,
    quarantined: str | None,
) -> TableRecord:
    total = len(rows) + dropped
    state = State({"threshold": 0.2731}).save(folder / "states", "01-top")
    inputs = [InputPart(name=f"{folder.parent}/pool/first.parquet", files=(0,), rows=total)]
    if quarantined:
        inputs.append(InputPart(name="second.parquet", files=(1,), rows=None, quarantined=quarantined))
    gone = {"below_top": dropped} if dropped else {}
    return TableRecord(
        format=TABLE_FORMAT,
        name=folder.name,
        recipe="toy",
        recipe_text=RECIPE,
        source=source,
        seed=7,
        plan="0" * 32,
        versions={"poolwright": "0.1.0"},
        image_root=str(image_root) if image_root else None,
        files=(
            InputFile(path=f"{folder.parent}/pool/first.parquet", size=1000, digest="1" * 32),
            InputFile(path="second.parquet", size=2000, digest="2" * 32),
        ),
        inputs=tuple(inputs),
        steps=(
            StepRecord(
                index=0,
                verb="top",
                kind="choose",
                parameters={"by": "similarity", "n": 100, "list": f"{folder.parent}/lists/names.txt"},
                gives=(),
                state_name="01-top",
                state=state,
                learned=f"similarity >= 0.2731 ({len(rows)} of {total} rows)",
            ),
        ),
        models=(ModelRecord(column="clip", name="open_clip:ViT-B-32/openai", weights=WEIGHTS),),
        reasons=REASONS,
        rows_in=total,
        rows_kept=len(rows),
        funnel=(
            FunnelRow(step=-1, verb="read", rows_in=total, kept=total, dropped={}),
            FunnelRow(step=0, verb="top", rows_in=total, kept=len(rows), dropped=gone),
        ),
        parts=parts,
    )
