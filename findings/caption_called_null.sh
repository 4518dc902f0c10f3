#!/usr/bin/env bash
# pandas 3.1.1, PyArrow 26.0.1, DuckDB 2.0.1, datasets 5.2.0: one CSV of captions, four readers.
#
# Expected: a caption is what the file says; at most an empty one is missing. pandas takes 'null', 'NA', 'None', 'nan' and
# 'n/a' for missing, PyArrow none of them (its list of nulls is not applied to strings), not even the empty one; DuckDB
# the empty one alone. load_dataset("csv") reads by pandas: if every caption of a file is such a word, its column even
# becomes float64, and a file with other words then has another schema.
#
# Seen (captions 'null', 'NA', 'None', 'nan', '', 'n/a'):
#   pandas    all six missing
#   datasets  all six missing, column of type float64
#   DuckDB    the empty one missing
#   PyArrow   none missing
#
# To do: pandas.read_csv(keep_default_na=False), load_dataset("csv", keep_default_na=False); or Parquet.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "pandas==3.1.1" "pyarrow==26.0.1" "duckdb==2.0.1" "datasets==5.2.0"
unset PYTHONPATH
export HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
"$dir/env/bin/python" - "$dir" <<'END'
import sys

import duckdb
import pandas as pd
import pyarrow.csv
from datasets import load_dataset

file = sys.argv[1] + "/captions.csv"
words = ["null", "NA", "None", "nan", "", "n/a"]
with open(file, "w", encoding="utf-8") as out:
    out.write("uid,caption\n" + "".join(f"{number},{word}\n" for number, word in enumerate(words)))

dataset = load_dataset("csv", data_files=file, cache_dir=sys.argv[1] + "/cache")["train"]
missing = {
    "pandas": pd.read_csv(file)["caption"].isna().tolist(),
    "datasets": [caption is None for caption in dataset["caption"]],
    "DuckDB": [row[0] is None for row in duckdb.sql(f"SELECT caption FROM read_csv('{file}')").fetchall()],
    "PyArrow": pyarrow.csv.read_csv(file)["caption"].is_null().to_pylist(),
}
for reader, found in missing.items():
    print(f"{reader:9} missing: {[word for word, gone in zip(words, found, strict=True) if gone]}")
print("type of the column in datasets:", dataset.features["caption"].dtype)
wanted = {"pandas": [True] * 6, "datasets": [True] * 6, "DuckDB": [word == "" for word in words], "PyArrow": [False] * 6}
if missing != wanted or dataset.features["caption"].dtype != "float64":
    raise SystemExit(f"CHANGED: {missing}")
END
