#!/usr/bin/env bash
# img2dataset 1.47.0: pictures with an EXIF orientation are stored on their side, without the tag.
#
# Expected: a picture that a telephone wrote lying, with the tag to turn it, is upright in the shard, or still has the tag:
# OpenCV's imread turns by default. img2dataset decodes with IMREAD_UNCHANGED, which does not, resizes, and encodes without
# EXIF, so that nothing in the shard can turn the picture any more; the tag is left as text in the column exif of the
# Parquet file. Width and height are those of the lying picture too.
#
# Seen:
#   served    60 x 40, orientation 6, blue on the left
#   upright   40 x 60, blue at the top
#   shard     60 x 40, no orientation, blue on the left; exif in Parquet: "Image Orientation": "Rotated 90 CW"
#
# To do: --disable_all_reencoding, or turn the pictures of shards by the column exif.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "img2dataset==1.47.0" "pandas==2.3.3" "pyarrow==26.0.1" "numpy==2.4.6" "opencv-python-headless==4.14.0.94" "albumentations==1.4.24" "pillow==13.0.0"
unset PYTHONPATH
export NO_ALBUMENTATIONS_UPDATE=1 WANDB_MODE=disabled
cat >"$dir/main.py" <<'END'
import io
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
from img2dataset import download
from PIL import Image, ImageOps

lying, exif, out = Image.new("RGB", (60, 40), (200, 0, 0)), Image.Exif(), io.BytesIO()
lying.paste((0, 0, 200), (0, 0, 20, 40))
exif[0x0112] = 6
lying.save(out, "JPEG", quality=95, exif=exif)
served = out.getvalue()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        self.wfile.write(served)

    def log_message(self, *_):
        pass


def described(picture):
    width, height = picture.size
    blue = [name for name, at in {"on the left": (2, height // 2), "at the top": (width // 2, 2)}.items()
            if picture.convert("RGB").getpixel(at)[2] > 150]
    tag = picture.getexif().get(0x0112)
    return f"{width} x {height}, {f'orientation {tag}' if tag else 'no orientation'}, blue {' and '.join(blue)}"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "urls.txt").write_text(f"http://127.0.0.1:{server.server_port}/1.jpg\n")
    download(
        url_list=str(folder / "urls.txt"), output_folder=str(folder / "shards"), output_format="webdataset",
        thread_count=1, resize_mode="keep_ratio_largest", resize_only_if_bigger=True, image_size=256,
    )
    (row,) = pq.read_table(folder / "shards/00000.parquet").to_pylist()
    with tarfile.open(folder / "shards/00000.tar") as archive:
        stored = Image.open(archive.extractfile(f"{row['key']}.jpg"))
        stored.load()
    given = Image.open(io.BytesIO(served))
    print("served   ", described(given))
    print("upright  ", described(ImageOps.exif_transpose(given)))
    print("shard    ", described(stored) + "; exif in Parquet:", row["exif"])
    if described(stored) != "60 x 40, no orientation, blue on the left" or (row["width"], row["height"]) != (60, 40):
        sys.exit("CHANGED")
END
PYTHONWARNINGS=ignore "$dir/env/bin/python" "$dir/main.py" "$dir"
