"""The best 30 % of a CommonPool by CLIP score, DataComp's own filter, over the metadata of five million rows.

The peer does as DataComp's `baselines.py` with PyArrow and NumPy: it reads uids and scores, takes the quantile of the
scores, and writes the uids above it. Ours is a whole `poolwright run` that also keeps URL and caption of the kept
rows and the ledger of all others. The rows must be the same.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.commonpool import shares_of
from benchmarks.timing import in_turn, python
from poolwright.conformance.commonpool import write
from poolwright.core.table import Table

ROWS, SHARDS, SEED, SHARE = 5_000_000, 50, 4, 0.3
SCORE = "clip_l14_similarity_score"

RECIPE = f"""
recipe: 1
name: clip-score
pools:
  commonpool: {{read: commonpool, path: pool, vectors: [], keep: [uid, url, text, {SCORE}]}}
tables:
  best:
    from: commonpool
    steps:
      - top: {{by: {SCORE}, fraction: {SHARE:.0%}}}
"""

OURS = """
import shutil, sys
from poolwright.api import run
shutil.rmtree(sys.argv[2], ignore_errors=True)
run(sys.argv[1], sys.argv[2])
"""

PLAIN = f"""
import sys
from pathlib import Path
import numpy as np, pyarrow.parquet as pq
tables = [pq.read_table(path, columns=["uid", "{SCORE}"]) for path in sorted(Path(sys.argv[1]).glob("*.parquet"))]
scores = np.concatenate([table.column(1).to_numpy() for table in tables])
n = int(len(scores) * {SHARE})
threshold = np.sort(scores)[-n]
uids = [uid for table in tables for uid in table.column(0).filter(table.column(1).to_numpy() >= threshold).to_pylist()]
pairs = np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in uids], np.dtype("u8,u8"))
pairs.sort()
np.save(sys.argv[2], pairs)
"""


def run(work: Path) -> float:
    """Our rows/s over those of the peer."""
    write(work / "pool", ROWS, SHARDS, (), SEED)
    (work / "recipe.yaml").write_text(RECIPE)
    commands = {
        "plain": python(PLAIN, work / "pool", work / "plain.npy"),
        "poolwright": python(OURS, work / "recipe.yaml", work / "run"),
    }
    used = in_turn(commands, work, times=2)
    for name, usage in used.items():
        rows = f"{ROWS / usage.seconds:,.0f} rows/s"
        print(f"  {name}: {usage.seconds:.2f} s, {rows}, peak {usage.peak / 1e9:.2f} GB")
    table = Table(work / "run" / "tables" / "best")
    print(f"  {shares_of(json.loads((table.folder / 'timings.json').read_text())['spent'])}")
    compare(table, work / "plain.npy")
    return used["plain"].seconds / used["poolwright"].seconds


def compare(table: Table, plain: Path) -> None:
    """Rows above the threshold must be the same; of rows at it, ours takes some by their hash.

    Raises:
        RuntimeError: they are not.
    """
    import numpy as np

    theirs = {f"{high:016x}{low:016x}" for high, low in np.load(plain).tolist()}
    rows = table.read(["uid", SCORE])
    ours = set(rows.column("uid").to_pylist())
    print(f"  {len(ours):,} and {len(theirs):,} rows; {len(ours - theirs)} of ours are not among theirs")
    if ours - theirs:
        raise RuntimeError("the two selections differ")
