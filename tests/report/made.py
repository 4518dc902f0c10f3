"""Finished tables made by hand, as a run would save them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.table import (
    LEDGER_SCHEMA,
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

TIMINGS = {
    "started": "2026-01-05T10:00:00+00:00",
    "finished": "2026-01-05T10:02:05+00:00",
    "seconds": 125.4,
    "rows_per_second": 40_000,
    "machine": {"engine": "native", "workers": 2, "cores": 2, "python": "3.12.1"},
}


def step(index: int, verb: str, parameters: Mapping[str, Any], learned: str = "", **more: Any) -> StepRecord:
    fields = {"kind": "choose", "gives": (), "state": "5f" * 32} | more
    return StepRecord(
        index=index, verb=verb, parameters=dict(parameters), learned=learned, state_name=f"{index:02d}-{verb}", **fields
    )


def make_table(
    folder: Path,
    rows: pa.Table,
    *,
    name: str = "kept",
    source: str = "pools.photos",
    steps: Sequence[StepRecord] = (),
    lost: Sequence[tuple[int, str, str, bool, int]] = (),
    states: Mapping[int, State] | None = None,
    parts: int = 1,
    timings: Mapping[str, Any] | None = TIMINGS,
    **more: Any,
) -> Table:
    """Write a table whose kept rows are `rows`.

    Args:
        lost: (step, reason, words, bad, rows) of everything dropped, in order; codes count from 1.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dropped").mkdir(exist_ok=True)
    dropped = sum(count for *_, count in lost)
    outputs = []
    for part in range(parts):
        cut = [rows.num_rows * index // parts for index in (part, part + 1)]
        pq.write_table(rows.slice(cut[0], cut[1] - cut[0]), folder / f"part-{part:05d}.parquet", row_group_size=1024)
        gone = dropped if part == 0 else 0
        codes = np.repeat(np.arange(1, len(lost) + 1), [count for *_, count in lost])[:gone]
        ledger = [np.zeros(gone, np.int32), np.arange(gone, dtype=np.uint32), codes.astype(np.uint16)]
        pq.write_table(pa.table(ledger, schema=LEDGER_SCHEMA), folder / f"dropped/part-{part:05d}.parquet")
        outputs.append(
            OutputPart(
                file=f"part-{part:05d}.parquet",
                rows=cut[1] - cut[0],
                digest="aa" * 16,
                ledger=f"dropped/part-{part:05d}.parquet",
                dropped=gone,
                ledger_digest="bb" * 16,
            )
        )
    live = rows.num_rows + dropped
    funnel = []
    for index in range(-1, len(steps)):
        reasons_of_step = {reason: count for at, reason, _, _, count in lost if at == index}
        kept = live - sum(reasons_of_step.values())
        verb = steps[index].verb if index >= 0 else "read"
        funnel.append(FunnelRow(step=index, verb=verb, rows_in=live, kept=kept, dropped=reasons_of_step))
        live = kept
    fields: dict[str, Any] = {
        "recipe_text": "recipe: 1\nname: world\n# a comment\n",
        "files": (InputFile(path="data/metadata.parquet", size=123_456_789, digest="cd" * 16),),
        "inputs": (InputPart(name="metadata.parquet", files=(0,), rows=rows.num_rows + dropped),),
        "models": (ModelRecord(column="clip", name="open_clip:ViT-B-32/openai", weights="ef" * 32),),
    }
    record = TableRecord(
        format=1,
        name=name,
        recipe="world",
        source=source,
        seed=2024,
        plan="0123456789abcdef" * 4,
        versions={"poolwright": "0.1.0", "pyarrow": "25.0.0"},
        image_root=None,
        steps=tuple(steps),
        reasons=tuple(
            ReasonRecord(
                code=code, step=at, verb=steps[at].verb if at >= 0 else "read", name=reason, words=words, bad=bad
            )
            for code, (at, reason, words, bad, _) in enumerate(lost, start=1)
        ),
        rows_in=rows.num_rows + dropped,
        rows_kept=rows.num_rows,
        funnel=tuple(funnel),
        parts=tuple(outputs),
        **(fields | more),
    )
    for index, state in (states or {}).items():
        state.save(folder / "states", steps[index].state_name)
    if timings is not None:
        (folder / "timings.json").write_text(json.dumps(dict(timings)), encoding="utf-8")
    (folder / "table.json").write_text(record.model_dump_json(indent=1), encoding="utf-8")
    return Table(folder)


def picture(red: int, size: tuple[int, int] = (90, 60)) -> bytes:
    """A small JPEG, another for every `red`."""
    out = io.BytesIO()
    ramp = np.linspace(0, 255, size[0]).astype(np.uint8)
    pixels = np.stack([np.full(size[::-1], red % 256), np.tile(ramp, (size[1], 1)), np.full(size[::-1], 90)], axis=-1)
    Image.fromarray(pixels.astype(np.uint8)).save(out, "JPEG")
    return out.getvalue()


def photos(number: int, classes: int = 6, **more: Any) -> pa.Table:
    """Rows as of a pool of photographs; the same for the same numbers."""
    numbers = np.arange(number)
    continents = np.array(["Africa", "Asia", "Europe", "North America", "Oceania"])
    columns: dict[str, Any] = {
        "uid": [f"u{row:07d}" for row in numbers],
        "text": [f"a photo of thing {row}" for row in numbers],
        "label": [f"class {row * row % 7919 % classes:05d}" for row in numbers],
        "similarity": (0.2 + 0.15 * np.abs(np.sin(numbers))).astype(np.float32),
        "width": (100 + numbers * 37 % 900).astype(np.int32),
        "continent": continents[numbers * 31 % 5],
        "taken_at": pa.array(1_100_000_000 + numbers * 86_400 % 300_000_000, pa.timestamp("s")).cast(
            pa.timestamp("us")
        ),
        "latitude": numbers * 7.7 % 180 - 90,
        "longitude": numbers * 13.3 % 360 - 180,
    }
    return Rows.of(columns | more).table
