#!/usr/bin/env bash
# onnxruntime 1.32.0 on Linux: importing it leaves a device id and a database of events in the home folder.
#
# Expected: reporting of usage is a matter of Windows builds, and of sessions that run. The wheel for Linux has it too,
# and the import alone makes files, before onnxruntime.disable_telemetry_events() can be called. DO_NOT_TRACK=1 has no
# effect; ORT_DISABLE_TELEMETRY=1 has.
#
# Seen:
#   import                          -> .cache/Microsoft/DeveloperTools/.onnxruntime/deviceid, onnxruntime.db ...
#   DO_NOT_TRACK=1                  -> the same
#   ORT_DISABLE_TELEMETRY=1         -> nothing
#
# To do: set ORT_DISABLE_TELEMETRY=1 before the import.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "onnxruntime==1.32.0"
unset PYTHONPATH
"$dir/env/bin/python" - "$dir" <<'END'
import os
import subprocess
import sys
from pathlib import Path

names = {"DO_NOT_TRACK", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
kept = {name: value for name, value in os.environ.items() if name not in names}
left = {}
for number, switch in enumerate(("", "DO_NOT_TRACK", "ORT_DISABLE_TELEMETRY")):
    home = Path(sys.argv[1]) / f"home-{number}"
    home.mkdir()
    environment = {**kept, "HOME": str(home), **({switch: "1"} if switch else {})}
    subprocess.run([sys.executable, "-c", "import onnxruntime"], env=environment, check=True)
    left[switch] = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    print(f"{switch or 'import':24} -> {left[switch]}")
for switch in ("", "DO_NOT_TRACK"):
    if not any(path.endswith("deviceid") for path in left[switch]):
        raise SystemExit(f"CHANGED: no device id with '{switch}'")
if left["ORT_DISABLE_TELEMETRY"]:
    raise SystemExit("CHANGED: ORT_DISABLE_TELEMETRY leaves files")
END
