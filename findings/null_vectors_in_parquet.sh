#!/usr/bin/env bash
# PyArrow 25.0.1: missing vectors can be written to Parquet, and not be read back; PyArrow 26.0.1 reads them.
#
# Expected: a column of fixed_size_list<float>[2] with a null comes back as it was written. With 25.0.1 the file is
# written without complaint; reading it raises. The file is sound: 26.0.1 reads what 25.0.1 wrote.
#
# Seen:
#   25.0.1 wrote [[1.0, 2.0], None, [3.0, 4.0]]
#   25.0.1 reads: ArrowInvalid: Expected all lists to be of size=2 but index 2 had size=0
#   26.0.1 reads: [[1.0, 2.0], None, [3.0, 4.0]]
#
# To do: store vectors as NaN or as variable lists while readers with PyArrow 25 are about; else ask for 26.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "pyarrow==25.0.1"
unset PYTHONPATH
"$dir/env/bin/python" - "$dir" <<'END'
import sys

import pyarrow as pa
import pyarrow.parquet as pq

vectors = pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2))
pq.write_table(pa.table({"clip": vectors}), sys.argv[1] + "/vectors.parquet")
print(f"{pa.__version__} wrote {vectors.to_pylist()}")
try:
    pq.read_table(sys.argv[1] + "/vectors.parquet")
except pa.ArrowInvalid as error:
    print(f"{pa.__version__} reads: ArrowInvalid: {error}")
    if "Expected all lists to be of size=2" not in str(error):
        raise SystemExit("CHANGED: another error") from None
else:
    raise SystemExit("CHANGED: it reads them")
END
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "pyarrow==26.0.1"
"$dir/env/bin/python" - "$dir" <<'END'
import sys

import pyarrow as pa
import pyarrow.parquet as pq

found = pq.read_table(sys.argv[1] + "/vectors.parquet")["clip"].to_pylist()
print(f"{pa.__version__} reads: {found}")
if found != [[1.0, 2.0], None, [3.0, 4.0]]:
    raise SystemExit("CHANGED: the newer one reads something else")
END
