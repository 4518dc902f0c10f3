"""A Hugging Face release of pictures of 30 kB against `datasets`, which embeds the same files.

Ours checks and digests the files, and writes Parquet shards with the pictures, card, Croissant and checksums, flushed
to disk. `datasets` embeds them in the two ways that it has: `save_to_disk`, in Arrow files, by as many processes as
there are cores; and the preparation of `push_to_hub`, in Parquet files, in one process. Neither digests what it writes.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.pictures import IMAGES, picture_table
from benchmarks.timing import in_turn, python

RELEASE = """
import shutil, sys
from pathlib import Path
from poolwright import Table
from poolwright.release.card.about import About
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.run.engine.local import LocalEngine
shutil.rmtree(sys.argv[2], ignore_errors=True)
layout, about = HuggingFace(figures=False), About(title="bench")
layout.write(Table(Path(sys.argv[1])), Path(sys.argv[2]), about, workers=LocalEngine())
"""
PEER = """
import os, shutil, subprocess, sys
import pyarrow.parquet as pq
from datasets import Dataset, Image, disable_caching
from datasets.table import embed_table_storage
disable_caching()
work, out, way = sys.argv[1:]
shutil.rmtree(out, ignore_errors=True)
rows = pq.read_table(f"{work}/rows.parquet")
paths = [f"{work}/images/{path}" for path in rows.column("image_path").to_pylist()]
columns = {name: rows.column(name).to_pylist() for name in ("uid", "text")}
dataset = Dataset.from_dict({"image": paths, **columns}).cast_column("image", Image())
if way == "save_to_disk":
    dataset.save_to_disk(out, max_shard_size="500MB", num_proc=os.cpu_count())
else:
    os.makedirs(out)
    shards = -(-len(paths) * 30_000 // 500_000_000)
    for number in range(shards):
        shard = dataset.shard(shards, number, contiguous=True).with_format("arrow")
        shard = shard.map(embed_table_storage, batched=True, batch_size=1000, keep_in_memory=True)
        shard.to_parquet(f"{out}/{number:05d}.parquet")
subprocess.run(["sync", *(os.path.join(out, name) for name in os.listdir(out))], check=True)
"""


def run(work: Path, backend: str) -> float:
    """Time of the faster of the two ways of `datasets` over ours.

    Args:
        work: folder of the data.
        backend: layout; 'huggingface' is the only one.
    """
    table = picture_table(work)
    commands = {
        "save_to_disk": python(PEER, work, work / "disk", "save_to_disk"),
        "to_parquet": python(PEER, work, work / "parquet", "to_parquet"),
        "poolwright": python(RELEASE, table, work / "out"),
    }
    used = in_turn(commands, work, times=1 if IMAGES > 50_000 else 3)
    for name, usage in used.items():
        print(f"  {name}: {usage.seconds:.2f} s, peak {usage.peak / 1e9:.2f} GB")
    return min(used["save_to_disk"].seconds, used["to_parquet"].seconds) / used["poolwright"].seconds
