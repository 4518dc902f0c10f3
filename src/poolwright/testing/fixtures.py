"""Provides files, a model and tables that parameters of steps may name when a suite runs them.

clip                    in `models`: a tiny CLIP, with vectors of the width of those in the suite's tables; needs `onnx`
annotations             a table to join: uids of the suite's tables, and others, `label`, `score`, `year`, `embedding`
labelled, examples ...  any other table: labelled vectors (`class`, `kind`, `embedding`, and the same as `clip`)
entries.txt             phrases to find in texts
features.npy            text features for three names, float32 (3, 16)
head.npz                a linear layer from 16 dimensions to one score
sheet.csv               verdicts of people on rows of the suite's tables
runs/first              tags that people gave in the studio: good, odd
tombstones.txt, .parquet    ids of rows
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright import api
from poolwright.core.encoder import EncoderSpec
from poolwright.core.frame import OtherRows
from poolwright.core.roles import JoiningStep, OtherSource
from poolwright.core.rows import vector_array
from poolwright.core.step import Step
from poolwright.core.table import Table
from poolwright.recipe.recipe import make_pool
from poolwright.run.sources.source import pool_source, table_source
from poolwright.testing.tables import WIDTH, make

NAMES = 3
"""Rows of features.npy."""


def context() -> dict[str, Any]:
    """Return the context that parameters are validated with: the folder of the files, and the model 'clip'."""
    clip = files() / "clip"
    return {"folder": str(files()), "models": {"clip": EncoderSpec(model=f"onnx:{clip}")} if clip.exists() else {}}


def labelled_rows() -> pa.Table:
    """Make labelled vectors for steps that learn from a table: two classes, and three kinds within them."""
    draw = np.random.default_rng(4)
    kinds = np.array(["atlas", "globe", "photo"])[np.arange(90) % 3]
    centres = {kind: draw.normal(size=WIDTH) for kind in ("atlas", "globe", "photo")}
    vectors = np.stack([centres[kind] for kind in kinds]) + draw.normal(size=(90, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return pa.table(
        {
            "uid": [f"labelled-{row}" for row in range(90)],
            "class": np.where(kinds == "photo", "other", "map"),
            "kind": kinds,
            "embedding": vector_array(vectors.astype(np.float16)),
            "clip": vector_array(vectors.astype(np.float16)),
        }
    )


def annotated_rows() -> pa.Table:
    """Make rows for steps that join: some have the uid of a row of the suite's tables."""
    rows = make(7, 60, "plain", [], False).select(["uid", "label", "similarity", "year", "small", "embedding"])
    named = pa.table({"uid": [*(f"{number:x}" for number in range(9)), "é1é", "🙂2🙂", "/3/"]})
    some = rows.slice(0, len(named)).set_column(0, "uid", named.column("uid"))
    known = pc.invert(pc.is_in(rows.column("uid"), value_set=named.column("uid")))
    return pa.concat_tables([some, rows.filter(known)]).rename_columns({"similarity": "score"})


def other_rows(step: JoiningStep) -> list[OtherRows]:
    """Return the rows that a step joins: those of tables, or of pools of its own."""
    return [_opened(other) for other in step.others()]


def _opened(other: OtherSource) -> OtherRows:
    if isinstance(other, str):
        return table_source(finished_table(other))
    parameters = {name: value for name, value in other.items() if name != "read"}
    return pool_source(str(other["path"]), make_pool(str(other["read"]), parameters, files()))


def knowing(step: Step) -> Step:
    """Return a step with the types of the rows that it joins, if it does."""
    return step.knowing_all(other_rows(step)) if isinstance(step, JoiningStep) else step


@cache
def finished_table(name: str) -> Table:
    """Make a finished table with the labelled rows, or those to join."""
    data = {"recipe": 1, "name": "labelled", **labelled_part(name)}
    return api.run(api.Recipe.from_data(data, files()), files() / "finished" / name).tables[name]


def labelled_part(name: str) -> dict[str, Any]:
    """Return the pool and the table of labelled rows, as parts of a recipe."""
    path = str(files() / ("annotations.parquet" if name == "annotations" else "labelled.parquet"))
    return {"pools": {"labelled_rows": {"read": "table", "path": path}}, "tables": {name: {"from": "labelled_rows"}}}


@cache
def files() -> Path:
    """Return the folder of the files, made once per process."""
    from poolwright.testing.tiny_clip import write_clip

    folder = Path(mkdtemp(prefix="poolwright-steps-"))
    if find_spec("onnx"):
        write_clip(folder / "clip")
    pq.write_table(labelled_rows(), folder / "labelled.parquet")
    pq.write_table(annotated_rows(), folder / "annotations.parquet")
    np.save(folder / "features.npy", np.random.default_rng(0).normal(size=(NAMES, WIDTH)).astype(np.float32))
    (folder / "entries.txt").write_text("a\ndog\na dog\na boat\nx\n🙂\na,b\ndog\n", encoding="utf-8")
    np.savez(folder / "head.npz", weight=np.linspace(-1, 1, WIDTH, dtype=np.float32)[None], bias=np.ones(1, np.float32))
    (folder / "tombstones.txt").write_text("0\né1é\n🙂2🙂\n\n 5 \n", encoding="utf-8")
    pq.write_table(pa.table({"year": [2004, 7, None], "other": ["a", "b", "c"]}), folder / "tombstones.parquet")
    tags = folder / "runs" / "first" / "tags"
    tags.mkdir(parents=True)
    for word, uids in {"good": "0 é1é 🙂2🙂", "odd": "5 7 nobody"}.items():
        lines = (f"{uid},{word},rows,ann,2026-01-01T00:00:00+00:00\n" for uid in uids.split())
        (tags / f"{word}.csv").write_text("uid,tag,table,by,time\n" + "".join(lines), encoding="utf-8")
    sheet = "uid,verdict,annotator\n0,yes,ann\né1é,no,ann\n🙂2🙂,yes,ann\n🙂2🙂,no,ben\n5,,ann\n7,yes,\n"
    (folder / "sheet.csv").write_text(sheet, encoding="utf-8")
    return folder
