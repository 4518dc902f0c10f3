#!/usr/bin/env bash
# PyArrow 26.0.1: columns that a `compression` mapping does not name are stored uncompressed, and the leaves of nested
# columns have to be named by their paths.
#
# Expected: a mapping from column to codec changes those columns, and the others keep the writer's default, snappy; a map
# column is named by its own name, as in the schema.
# Every leaf that is not a key is UNCOMPRESSED. The key "tags" of a map column matches no leaf (they are
# tags.key_value.key and tags.key_value.value), and is ignored without an error.
#
# Seen:
#   default  uid SNAPPY  tags.key_value.key SNAPPY  tags.key_value.value SNAPPY
#   mapping  uid ZSTD  tags.key_value.key UNCOMPRESSED  tags.key_value.value UNCOMPRESSED
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --target "$folder/packages" pyarrow==26.0.1
PYTHONPATH="$folder/packages" "${PYTHON:-python3}" - "$folder" <<'PY'
import sys

import pyarrow as pa
import pyarrow.parquet as pq

table = pa.table({
    "uid": ["a", "b"],
    "tags": pa.array([[("k", "v")], [("k", "w")]], pa.map_(pa.string(), pa.string())),
})


def codecs(**options):
    path = f"{sys.argv[1]}/rows.parquet"
    pq.write_table(table, path, **options)
    group = pq.read_metadata(path).row_group(0)
    return {group.column(leaf).path_in_schema: group.column(leaf).compression for leaf in range(group.num_columns)}


default = codecs()
mapping = codecs(compression={"uid": "zstd", "tags": "zstd"})
for name, found in (("default", default), ("mapping", mapping)):
    print(f"{name:8}", "  ".join(f"{path} {codec}" for path, codec in found.items()))
assert set(default.values()) == {"SNAPPY"}
assert mapping == {"uid": "ZSTD", "tags.key_value.key": "UNCOMPRESSED", "tags.key_value.value": "UNCOMPRESSED"}
PY
