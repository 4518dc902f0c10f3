#!/usr/bin/env bash
# PyArrow 26.0.1: vectors of float16 are read from Parquet several times faster as plain bytes than as fixed-size lists.
#
# Expected: an uncompressed, plainly encoded column of fixed-size lists is a copy from the file, whatever its type says.
# Parquet has no lists of fixed size: each number is stored with the level at which its list begins and whether it is
# null, and each is decoded by itself, at 2 to 6 ns. 512 numbers then cost as much as multiplying them with 100 vectors
# in float32. Larger or smaller pages, page version 2 and no statistics do not help; a value type without nulls does a
# little. `fixed_size_binary`, one value for each vector, is copied.
#
# Seen:
#   26.0.1: ns a number: list 5.4, list without nulls 3.8, bytes 0.8
#
# To do: expect vectors in Parquet to take as long to read as to use; where all readers are one's own, store their bytes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check \
  "pyarrow==26.0.1" "numpy==2.4.6"
unset PYTHONPATH
cd "$dir"
"$dir/env/bin/python" - <<'END'
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS, WIDTH = 16_384, 512
numbers = pa.array(np.random.default_rng(0).standard_normal(ROWS * WIDTH).astype(np.float16))


def nanoseconds(column):
    pq.write_table(pa.table({"vector": column}), "rows.parquet", compression="none", use_dictionary=False)
    seconds = []
    for _ in range(5):
        begun = time.process_time()
        pq.read_table("rows.parquet", use_threads=False)
        seconds.append(time.process_time() - begun)
    return min(seconds) / (ROWS * WIDTH) * 1e9


never_null = pa.list_(pa.field("element", pa.float16(), nullable=False), WIDTH)
lists = nanoseconds(pa.FixedSizeListArray.from_arrays(numbers, WIDTH))
strict = nanoseconds(pa.FixedSizeListArray.from_arrays(numbers, type=never_null))
plain = nanoseconds(pa.FixedSizeBinaryArray.from_buffers(pa.binary(2 * WIDTH), ROWS, [None, numbers.buffers()[1]]))
print(f"{pa.__version__}: ns a number: list {lists:.1f}, list without nulls {strict:.1f}, bytes {plain:.1f}")
if lists < 2 * plain:
    raise SystemExit("CHANGED: lists are read about as fast as bytes")
END
