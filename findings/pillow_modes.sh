#!/usr/bin/env bash
# Pillow 13.0.0: resize(..., BICUBIC) of a palette picture is NEAREST; convert("RGB") of 16-bit grey is white.
#
# Expected: the order of resize and convert("RGB") matters little, and convert("RGB") keeps what a picture shows. GIF and
# PNG-8 files are opened in mode P, whose pixels cannot be mixed, so resize picks the nearest ones and says nothing. A
# transform that resizes first, as those of torchvision and open_clip do with the picture as opened, gives a model other
# pixels than one that converts first, as that of transformers does. 16-bit PNG (microscopes, satellites, depth) is opened
# in mode I;16, and all values above 255 become 255.
#
# Seen:
#   palette, bicubic = nearest    True, off by 3.8 grey levels on average from convert, then bicubic
#   16-bit ramp 0..65535          99.6% of the pixels white after convert("RGB")
#
# To do: convert("RGB") before resize; divide 16-bit grey by 257 before it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "pillow==13.0.0" "numpy==2.4.6"
unset PYTHONPATH
"$dir/env/bin/python" - "$dir" <<'END'
import sys

import numpy as np
from PIL import Image


def array(picture):
    return np.asarray(picture.convert("RGB")).astype(int)


drawn = Image.effect_mandelbrot((256, 256), (-2, -1.5, 1, 1.5), 50).convert("RGB").quantize(64)
drawn.save(sys.argv[1] + "/palette.png")
opened = Image.open(sys.argv[1] + "/palette.png")
size = (32, 32)
same = np.array_equal(array(opened.resize(size, Image.BICUBIC)), array(opened.resize(size, Image.NEAREST)))
off = abs(array(opened.resize(size, Image.BICUBIC)) - array(opened.convert("RGB").resize(size, Image.BICUBIC))).mean()
print(f"palette, bicubic = nearest    {same}, off by {off:.1f} grey levels on average from convert, then bicubic")

ramp = np.tile(np.arange(0, 65_536, 16, dtype=np.uint16), (8, 1))
Image.fromarray(ramp).save(sys.argv[1] + "/grey.png")
white = (array(Image.open(sys.argv[1] + "/grey.png")) == 255).mean()
print(f"16-bit ramp 0..65535          {white:.1%} of the pixels white after convert(\"RGB\")")
if not same or off < 1 or white < 0.9:
    raise SystemExit("CHANGED")
END
