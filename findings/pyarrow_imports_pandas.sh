#!/usr/bin/env bash
# PyArrow 26.0.1: converting a NumPy array to or from Arrow imports pandas, if it is installed.
#
# Expected: code that uses PyArrow and NumPy alone does not load pandas; only `to_pandas` and `from_pandas` do.
# `pyarrow.array` and `Array.to_numpy` look whether their argument or result is a pandas object, and import pandas for
# that, once per process and whether or not there is anything of pandas. Nothing turns it off.
#
# Seen:
#   26.0.1 with pandas 3.1.1: loaded by import pyarrow no, by array yes, by to_numpy yes
#
# To do: a command that is started often pays some tenths of a second for it wherever pandas is installed, as it is
# beside `datasets`. Keep pandas out of an environment of short commands, and do not count it as the time of your code.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check \
  "pyarrow==26.0.1" "numpy==2.4.6" "pandas==3.1.1"
unset PYTHONPATH
cd "$dir"
"$dir/env/bin/python" - <<'END'
import subprocess
import sys

START = "import sys, numpy, pyarrow; "
TRIED = {
    "import pyarrow": "",
    "array": "pyarrow.array(numpy.arange(3)); ",
    "to_numpy": "pyarrow.nulls(3, pyarrow.int64()).to_numpy(zero_copy_only=False); ",
}


def loads_pandas(code: str) -> bool:
    command = [sys.executable, "-c", START + code + "print('pandas' in sys.modules)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == "True"


import pandas
import pyarrow

seen = {name: loads_pandas(code) for name, code in TRIED.items()}
words = ", ".join(f"by {name} {'yes' if loaded else 'no'}" for name, loaded in seen.items())
print(f"{pyarrow.__version__} with pandas {pandas.__version__}: loaded {words}")
assert seen == {"import pyarrow": False, "array": True, "to_numpy": True}, seen
END
