#!/usr/bin/env bash
# PyArrow 26.0.1: `ascii_lower` gives other texts if the array was cut by another Arrow library, as those in Rust.
#
# Expected: lower case. A slice made by PyArrow remembers how many values it skips. One made by arrow-rs, which is in
# arro3, DataFusion, delta-rs and Lance, has offsets that begin behind 0 instead, which is as valid and costs no copy to
# hand over. `ascii_lower`, `ascii_upper` and `ascii_swapcase` convert as many bytes as the texts have, but from the first
# byte of the buffer on, and keep the offsets.
#
# Seen:
#   the slice: ['KITTEN', 'B']
#   utf8_lower: ['kitten', 'b']
#   ascii_lower: ['enb\x00\x00\x00', '\x00']
#
# To do: `utf8_lower`, which is right, or offsets that begin at 0. `validate(full=True)` finds nothing wrong before.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check \
  "pyarrow==26.0.1" "arro3-core==0.9.1"
unset PYTHONPATH
"$dir/env/bin/python" - <<'END'
import arro3.core
import pyarrow as pa
import pyarrow.compute as pc

texts = arro3.core.Array.from_arrow(pa.array(["AAAA", "KITTEN", "B"]))
cut = pa.array(texts.slice(1))
cut.validate(full=True)
found = {name: getattr(pc, name)(cut).to_pylist() for name in ("utf8_lower", "ascii_lower")}
print(f"the slice: {cut.to_pylist()}")
for name, lowered in found.items():
    print(f"{name}: {lowered}")
if found["utf8_lower"] != ["kitten", "b"] or found["ascii_lower"] == ["kitten", "b"]:
    raise SystemExit("CHANGED: ascii_lower lowers the slice")
END
