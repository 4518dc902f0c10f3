#!/usr/bin/env bash
# datasets 5.2.0: imagefolder takes a class folder called 'train' (or 'test', 'val', 'dev') for a split.
#
# Expected: folders bus, car and train, the vehicles, are three classes, as for torchvision's ImageFolder. The name of one
# folder decides: its files are the split 'train', all other pictures are left out, and there is no column 'label', since
# the pictures that are left are in one folder. No message says so. With classes called 'test' and 'val', both become
# splits, and everything else is lost.
#
# Seen:
#   bus car train        9 pictures   train: 3, columns image
#   bus car test val    12 pictures   validation: 3, test: 3, columns image label
#   bus car tram         9 pictures   train: 9, columns image label
#
# To do: name the files: data_files={"train": "vehicles/**"}.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "datasets==5.2.0" "pillow==13.0.0"
unset PYTHONPATH
export HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 HF_HOME="$dir/hf"
"$dir/env/bin/python" - "$dir" <<'END'
import sys
from pathlib import Path

from datasets import load_dataset
from PIL import Image

found = {}
for classes in ("bus car train", "bus car test val", "bus car tram"):
    top = Path(sys.argv[1]) / classes.replace(" ", "-")
    for number, name in enumerate(classes.split()):
        (top / name).mkdir(parents=True)
        for shade in range(3):
            Image.new("RGB", (8, 8), (80 * number, 80 * shade, 0)).save(top / name / f"{shade}.png")
    splits = load_dataset("imagefolder", data_dir=str(top))
    rows = {name: len(split) for name, split in splits.items()}
    columns = next(iter(splits.values())).column_names
    shown = ", ".join(f"{name}: {count}" for name, count in rows.items())
    print(f"{classes:20} {3 * len(classes.split()):2} pictures   {shown}, columns {' '.join(columns)}")
    found[classes] = rows, columns
if found["bus car train"] != ({"train": 3}, ["image"]) or sum(found["bus car test val"][0].values()) != 6:
    raise SystemExit("CHANGED")
if found["bus car tram"] != ({"train": 9}, ["image", "label"]):
    raise SystemExit("CHANGED")
END
