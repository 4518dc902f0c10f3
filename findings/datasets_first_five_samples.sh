#!/usr/bin/env bash
# datasets 5.2.0: the first five samples of a WebDataset decide the columns of all.
#
# Expected: a tar of seven samples, six with a .jpg and one with a .png, gives seven pictures, or an error. Each sample
# loads, but the seventh has no picture: 'png' is no column, since none of the first five samples has one. In the same
# way a key of the .json that none of the first five has is left out of all the rows that have it.
#
# Seen:
#   ['__key__', '__url__', 'jpg', 'json']
#   7 rows, 6 pictures, 0 titles
#
# To do: give all pictures of a tar one extension, whatever their format, since readers know it by the bytes; give every
# sample all keys of the JSON, and not null, which would make the type of the column null.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "datasets==5.2.0" "pillow==12.0.0"
unset PYTHONPATH
HF_HOME="$dir/home" HF_HUB_OFFLINE=1 "$dir/env/bin/python" - "$dir" <<'END'
import io
import json
import sys
import tarfile

import datasets
from PIL import Image

datasets.disable_progress_bars()
shard = sys.argv[1] + "/shard.tar"
with tarfile.open(shard, "w") as archive:
    for number in range(7):
        picture = io.BytesIO()
        Image.new("RGB", (8, 8)).save(picture, "PNG" if number == 6 else "JPEG")
        about = {"number": number, "title": "the last"} if number == 6 else {"number": number}
        files = {"png" if number == 6 else "jpg": picture.getvalue(), "json": json.dumps(about).encode()}
        for extension, data in files.items():
            entry = tarfile.TarInfo(f"{number}.{extension}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))

rows = datasets.load_dataset("webdataset", data_files=shard, split="train", cache_dir=sys.argv[1] + "/cache")
pictures = sum(row["jpg"] is not None for row in rows)
titles = sum("title" in row["json"] for row in rows)
print(sorted(rows.column_names))
print(f"{len(rows)} rows, {pictures} pictures, {titles} titles")
if (len(rows), pictures, titles) != (7, 6, 0):
    raise SystemExit("CHANGED: every picture and key is there")
END
