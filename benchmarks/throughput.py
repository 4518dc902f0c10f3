"""A row-wise run over embeddings against the same loop in plain PyArrow and NumPy.

1,200,000 x 768 float16 rows are read from parquet, multiplied with 100 vectors, and the rows whose best
similarity passes a threshold (about a third) are written. The plain loop runs on as many processes as
there are cores, one file each at a time, and keeps no ledger, digest or record.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import fresh_folder, in_turn, python

ROWS, WIDTH, FILES, PROMPTS = 1_200_000, 768, 16, 100
NAME = f"rows-{ROWS}"

OURS = """
import shutil, sys
from poolwright.api import run
shutil.rmtree(sys.argv[2], ignore_errors=True)
run(sys.argv[1], sys.argv[2])
"""

PLAIN = """
import os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
rows, out, prompts, threshold = Path(sys.argv[1]), Path(sys.argv[2]), np.load(sys.argv[3]), float(sys.argv[4])
out.mkdir(exist_ok=True)
names = pa.array([f"class {index}" for index in range(len(prompts))])
def one(path):
    file, writer = pq.ParquetFile(path), None
    for batch in file.iter_batches(batch_size=8192, use_threads=False):
        column = batch.column("embedding")
        vectors = column.values.to_numpy(zero_copy_only=False).reshape(len(column), -1).astype(np.float32)
        products = vectors @ prompts.T
        best = products.argmax(axis=1)
        similarity = products[np.arange(len(best)), best]
        table = pa.Table.from_batches([batch])
        table = table.append_column("label", names.take(pa.array(best)))
        table = table.append_column("label_index", pa.array(best.astype(np.int32)))
        table = table.append_column("similarity", pa.array(similarity))
        table = table.filter(pa.array(similarity >= threshold))
        writer = writer or pq.ParquetWriter(out / path.name, table.schema, compression="none", use_dictionary=False)
        writer.write_table(table)
    writer.close()
with ThreadPoolExecutor(os.cpu_count()) as threads:
    list(threads.map(one, sorted(rows.glob("*.parquet"))))
"""


def run(work: Path) -> float:
    """Our rows/s over the plain loop's; at least 0.9 is wanted."""
    threshold = make_rows(work, ROWS, NAME)
    recipe = write_recipe(work, NAME, threshold)
    commands = {
        "plain": python(PLAIN, work / NAME, work / "plain", work / "prompts.npy", str(threshold)),
        "poolwright": python(OURS, recipe, work / "run"),
    }
    used = in_turn(commands, work, times=3)
    for name, usage in used.items():
        print(f"  {name}: {usage.seconds:.2f} s, {ROWS / usage.seconds:,.0f} rows/s, peak {usage.peak / 1e9:.2f} GB")
    return used["plain"].seconds / used["poolwright"].seconds


def write_recipe(work: Path, rows: str, threshold: float) -> Path:
    """A recipe that labels with 100 given vectors and keeps the similar rows."""
    path = work / f"{rows}.yaml"
    (work / "classes.txt").write_text("".join(f"class {index}\n" for index in range(PROMPTS)))
    path.write_text(
        f"""
recipe: 1
name: throughput
pools:
  vectors: {{read: table, path: {rows}}}
tables:
  labelled:
    from: vectors
    steps:
      - label: {{with: embedding, vocabulary: classes.txt, features: prompts.npy}}
      - where: similarity >= {threshold}
"""
    )
    return path


def make_rows(work: Path, count: int, name: str) -> float:
    """Unit vectors around 400 centres in parquet files, done once; returns a threshold a third of them pass."""
    folder, width = work / name, WIDTH
    generator = np.random.default_rng(11)
    prompts = generator.standard_normal((PROMPTS, width)).astype(np.float32)
    prompts /= np.linalg.norm(prompts, axis=1, keepdims=True)
    np.save(work / "prompts.npy", prompts)
    if not (folder / "done").exists():
        fresh_folder(folder)
        per_file = count // FILES
        for file in range(FILES):
            with pq.ParquetWriter(
                folder / f"part-{file:02d}.parquet", _schema(width), compression="none", use_dictionary=False
            ) as writer:
                for start in range(0, per_file, 16_384):
                    rows = min(16_384, per_file - start)
                    vectors = generator.standard_normal((rows, width)).astype(np.float32)
                    vectors += 3 * prompts[generator.integers(0, PROMPTS, rows)]
                    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                    writer.write_table(_table(vectors, file * per_file + start))
        (folder / "done").touch()
    sample = pq.ParquetFile(folder / "part-00.parquet").read_row_group(0)
    vectors = sample.column("embedding").combine_chunks().values.to_numpy().reshape(-1, width).astype(np.float32)
    return round(float(np.quantile((vectors @ prompts.T).max(axis=1), 2 / 3)), 4)


def _schema(width: int) -> pa.Schema:
    return pa.schema([("uid", pa.string()), ("embedding", pa.list_(pa.float16(), width))])


def _table(vectors: np.ndarray, first: int) -> pa.Table:
    flat = pa.array(vectors.astype(np.float16).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    uids = pa.array([f"{first + row:012d}" for row in range(len(vectors))])
    return pa.table([uids, column], schema=_schema(vectors.shape[1]))
