#!/usr/bin/env bash
# datasets 5.2.0: a file that two patterns of a split match is loaded twice, and without patterns folder names do that.
#
# Expected: `path: [a.csv, "*.csv"]` in the card names each file once, as a shell's set of files or a union would, and so
# do the patterns by which `datasets` finds splits on its own. Files are matched pattern by pattern and the lists are
# joined: a file below train/ in another folder whose name has the word 'train' has its rows twice. No message says so.
#
# Seen:
#   path: [a.csv, "*.csv"]                       3 + 2 rows   train: 8
#   train/b.csv, train/train-part/a.csv          2 + 3 rows   train: 8
#   train/b.csv, train/part/a.csv                2 + 3 rows   train: 5
#
# To do: keep the patterns of a split apart, and the words train, test, val, dev and eval out of the names of its folders.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "datasets==5.2.0"
unset PYTHONPATH
export HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 HF_HOME="$dir/hf"
"$dir/env/bin/python" - "$dir" <<'END'
import sys
from pathlib import Path

from datasets import load_dataset

CARD = '---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: [a.csv, "*.csv"]\n---\n'
found = {}
for number, (shown, files) in enumerate(
    {
        'path: [a.csv, "*.csv"]': {"a.csv": 3, "b.csv": 2},
        "train/b.csv, train/train-part/a.csv": {"train/b.csv": 2, "train/train-part/a.csv": 3},
        "train/b.csv, train/part/a.csv": {"train/b.csv": 2, "train/part/a.csv": 3},
    }.items()
):
    top = Path(sys.argv[1]) / str(number)
    for name, rows in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("x\n" + "".join(f"{name} {row}\n" for row in range(rows)))
    if number == 0:
        (top / "README.md").write_text(CARD)
    found[number] = {name: len(split) for name, split in load_dataset(str(top)).items()}
    shown_rows = " + ".join(map(str, sorted(files.values(), reverse=number == 0)))
    print(f"{shown:44} {shown_rows} rows   {', '.join(f'{name}: {count}' for name, count in found[number].items())}")
if found != {0: {"train": 8}, 1: {"train": 8}, 2: {"train": 5}}:
    raise SystemExit("CHANGED")
END
