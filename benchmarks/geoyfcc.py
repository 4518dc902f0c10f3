"""CLIP-GeoYFCC at its published size, from metadata to released tables, against DuckDB.

Ours is the whole shipped recipe except for embedding and labelling: four tables with ledgers, and five releases with
cards, checksums and figures. DuckDB makes the same selection and writes metadata, subsets and their indices as
parquet, no more. The hash ranks of ties and of the cap are given to it as columns.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.timing import in_turn, python
from poolwright.conformance import clip_geoyfcc
from poolwright.core.table import Table
from poolwright.kernels.selection.hashing import hash64, hash_key

SEED = 2023

OURS = """
import shutil, sys
from poolwright.api import run
for folder in sys.argv[2:]:
    shutil.rmtree(folder, ignore_errors=True)
run(sys.argv[1], sys.argv[2])
"""

DUCKDB = """
import sys, duckdb
from poolwright.conformance import clip_geoyfcc
rows, ranks, out = sys.argv[1:]
values = ", ".join(f"('{country}', '{continent}')" for country, continent in clip_geoyfcc.countries().items())
duckdb.sql(f'''
create table rows as select *, row_number() over () - 1 as place from read_parquet('{rows}/*.parquet');
create table named as
  select *, dense_rank() over (order by label_index) - 1 as class_index
  from rows natural join (values {values}) t(country, continent) natural join '{ranks}';
copy named to '{out}-metadata.parquet';
create table best as select * from named order by similarity desc, top_rank limit 1000000;
create table placed as select * from best where continent in (
  select continent from best group by continent having count(*) >= 0.04 * (select count(*) from best));
create table classes as select class_index, count(*) as size from placed group by class_index having count(*) >= 450
  order by size desc, class_index limit 350;
create table large as select * from placed where class_index in (select class_index from classes)
  qualify row_number() over (partition by class_index order by cap_rank) <= 2000;
copy large to '{out}-350.parquet';
copy (select * from large where wnid in {tuple(clip_geoyfcc.published_45())}) to '{out}-45.parquet';
''')
"""


def run(work: Path) -> float:
    """Our wall time over DuckDB's. Prints both and their peak memory: under 60 s and 2 GB are wanted of ours."""
    recipe = work / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(clip_geoyfcc.prepare(work), sort_keys=False))
    ranks = _ranks(work)
    commands = {
        "duckdb": python(DUCKDB, work / "rows", ranks, work / "duckdb"),
        "poolwright": python(OURS, recipe, work / "run", work / "out"),
    }
    used = in_turn(commands, work)
    for name, usage in used.items():
        print(f"  {name}: {usage.seconds:.1f} s, peak {usage.peak / 1e9:.2f} GB")
    for number in (350, 45):
        ours = Table(work / "run" / "tables" / f"clip-geoyfcc-{number}").read(["uid"]).column("uid").to_pylist()
        theirs = pq.read_table(work / f"duckdb-{number}.parquet", columns=["uid"]).column("uid").to_pylist()
        if set(ours) != set(theirs):
            raise RuntimeError(f"the subsets of {number} classes differ: {len(ours):,} and {len(theirs):,} rows")
        print(f"  {number} classes: the same {len(ours):,} rows")
    return used["poolwright"].seconds / used["duckdb"].seconds


def _ranks(work: Path) -> Path:
    """The hash ranks of all rows, as parquet."""
    files = sorted((work / "rows").glob("*.parquet"))
    uids = pa.concat_tables([pq.read_table(file, columns=["uid"]) for file in files]).column("uid")
    keys = {
        "top_rank": hash_key(SEED, "clip-geoyfcc-classes", "top", "0"),
        "cap_rank": hash_key(hash_key(SEED, "", "cap", "0"), "class_index"),
    }
    path = work / "ranks.parquet"
    pq.write_table(pa.table({"uid": uids, **{name: hash64(uids, key) for name, key in keys.items()}}), path)
    return path
