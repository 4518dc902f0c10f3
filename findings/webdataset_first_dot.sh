#!/usr/bin/env bash
# webdataset 1.0.2: a key ends at the first dot of a file name, not at the last.
#
# Expected: cat.v1.jpg and cat.v1.txt are the sample 'cat.v1' with the fields jpg and txt, as os.path.splitext would have
# it. They are fields 'v1.jpg' and 'v1.txt' of a sample 'cat', and cat.v2.jpg and cat.v2.txt, if they follow, are further
# fields of the same sample. A pipeline that wants 'jpg' finds no picture, and one of two captions is lost.
#
# Seen:
#   cat {'v1.jpg': b'picture 1', 'v1.txt': b'one', 'v2.jpg': b'picture 2', 'v2.txt': b'two'}
#   dog {'jpg': b'picture 3', 'txt': b'three'}
#
# To do: no dots in keys; number the rows, as img2dataset does.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "webdataset==1.0.2"
unset PYTHONPATH
"$dir/env/bin/python" - "$dir" <<'END'
import io
import sys
import tarfile

import webdataset

files = {
    "cat.v1.jpg": b"picture 1", "cat.v1.txt": b"one", "cat.v2.jpg": b"picture 2", "cat.v2.txt": b"two",
    "dog.jpg": b"picture 3", "dog.txt": b"three",
}
shard = sys.argv[1] + "/shard.tar"
with tarfile.open(shard, "w") as archive:
    for name, data in files.items():
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))

samples = {}
for sample in webdataset.WebDataset(shard, shardshuffle=False):
    samples[sample["__key__"]] = {name: value for name, value in sample.items() if not name.startswith("__")}
for key, fields in samples.items():
    print(key, fields)
if sorted(samples) != ["cat", "dog"] or sorted(samples["cat"]) != ["v1.jpg", "v1.txt", "v2.jpg", "v2.txt"]:
    raise SystemExit("CHANGED: keys are others")
END
