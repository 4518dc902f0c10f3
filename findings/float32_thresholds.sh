#!/usr/bin/env bash
# DuckDB 2.0.1, PyArrow 26.0.1, pandas 3.1.1: whether 0.26 is at least 0.26 depends on who asks, and how.
#
# Expected: a threshold on a column of float32 similarities, in a Parquet file, keeps the same rows wherever it is written.
# 0.26 as float32 is 0.25999999. DuckDB reads the literal as a decimal, which becomes float32 beside the column; the same
# number as a parameter is a double, beside which the column becomes double. pandas compares as float32, and in
# read_parquet(filters=...) leaves it to PyArrow, which compares as double. So the row at the threshold comes and goes.
#
# Seen, of rows with 0.25, 0.26 and 0.27:
#   DuckDB, literal                       b c
#   DuckDB, parameter                     c
#   PyArrow, read_table(filters)          c
#   pandas, read_parquet(filters)         c
#   pandas, frame[frame.score >= 0.26]    b c
#
# To do: name the type on both sides: CAST(? AS FLOAT), pyarrow.scalar(0.26, "float32"), numpy.float32(0.26).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "duckdb==2.0.1" "pyarrow==26.0.1" "pandas==3.1.1" "numpy==2.4.6"
unset PYTHONPATH
"$dir/env/bin/python" - "$dir" <<'END'
import sys

import duckdb
import pandas
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

file = sys.argv[1] + "/rows.parquet"
pq.write_table(pa.table({"uid": list("abc"), "score": pa.array([0.25, 0.26, 0.27], pa.float32())}), file)
frame = pandas.read_parquet(file)
query = f"SELECT uid FROM '{file}' WHERE score >="
found = {
    "DuckDB, literal": [uid for (uid,) in duckdb.sql(f"{query} 0.26").fetchall()],
    "DuckDB, parameter": [uid for (uid,) in duckdb.execute(f"{query} ?", [0.26]).fetchall()],
    "PyArrow, read_table(filters)": pq.read_table(file, filters=pc.field("score") >= 0.26)["uid"].to_pylist(),
    "pandas, read_parquet(filters)": list(pandas.read_parquet(file, filters=[("score", ">=", 0.26)]).uid),
    "pandas, frame[frame.score >= 0.26]": list(frame[frame.score >= 0.26].uid),
}
for how, uids in found.items():
    print(f"{how:37} {' '.join(uids)}")
if [len(uids) for uids in found.values()] != [2, 1, 1, 1, 2]:
    raise SystemExit("CHANGED")
END
