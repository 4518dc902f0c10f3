#!/usr/bin/env bash
# img2dataset 1.47.0: sha256 is that of the bytes served, not of the picture in the shard.
#
# Expected: the column sha256 of 00000.parquet, next to width and height of the picture in 00000.tar, is that picture's.
# width and height are (256 x 256, resized with a border by default); sha256 is of the file as the server sent it. Only
# with --disable_all_reencoding are both the same, and then width and height are null. Checking shards by it fails for
# every row, and so does finding equal pictures among those that are resized.
#
# Seen:
#   served    300 x 200, sha256 4fd190e1788a...
#   Parquet   256 x 256, sha256 4fd190e1788a...
#   shard     256 x 256, sha256 6917828708d0...   (differs between builds of OpenCV)
#
# To do: hash the files of shards anew, unless all reencoding was off.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "img2dataset==1.47.0" "pandas==2.3.3" "pyarrow==26.0.1" "numpy==2.4.6" "opencv-python-headless==4.14.0.94" "albumentations==1.4.24"
unset PYTHONPATH
export NO_ALBUMENTATIONS_UPDATE=1 WANDB_MODE=disabled
cat >"$dir/main.py" <<'END'
import hashlib
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from img2dataset import download

noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
served = cv2.imencode(".jpg", noise)[1].tobytes()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        self.wfile.write(served)

    def log_message(self, *_):
        pass


def digest(data):
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "urls.txt").write_text(f"http://127.0.0.1:{server.server_port}/1.jpg\n")
    for reencoded in (True, False):
        to = folder / f"shards-{reencoded}"
        download(
            url_list=str(folder / "urls.txt"), output_folder=str(to), output_format="webdataset", thread_count=1,
            disable_all_reencoding=not reencoded,
        )
        (row,) = pq.read_table(to / "00000.parquet").to_pylist()
        with tarfile.open(to / "00000.tar") as archive:
            stored = archive.extractfile(f"{row['key']}.jpg").read()
        print(f"reencoded: {reencoded}")
        print("  served  300 x 200, sha256", digest(served)[:12])
        print(f"  Parquet {row['width']} x {row['height']}, sha256", row["sha256"][:12])
        print(f"  shard   {' x '.join(map(str, cv2.imdecode(np.frombuffer(stored, np.uint8), 1).shape[1::-1]))}, sha256", digest(stored)[:12])
        if row["sha256"] != digest(served) or (digest(stored) == digest(served)) == reencoded:
            sys.exit("CHANGED")
END
PYTHONWARNINGS=ignore "$dir/env/bin/python" "$dir/main.py" "$dir"
