#!/usr/bin/env bash
# CleanVision 0.3.7: a picture with a palette is measured by the numbers of its colours; grey has a stricter threshold.
#
# Expected: the issues of a picture depend on what it shows. CleanVision measures a picture as Pillow opens it. Pixels of
# a GIF or PNG-8 are indices into a palette, so brightness and information are those of these numbers: a pale map of ten
# colours is 'dark', as its numbers are 0 to 9. The entropy of a colour picture is over the histograms of three channels,
# which adds log2(3) = 1.58 bits, that of a grey one over one; so the one threshold of 3 bits finds grey pictures that
# it does not find once they are saved as colour.
#
# Seen:
#   pale, RGB      -
#   pale, palette  dark
#   2 bits, RGB    -
#   2 bits, grey   low_information
#
# To do: convert pictures to RGB before they are checked, and expect palettes among GIF and PNG files of web pools.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check \
  "cleanvision==0.3.7" "pillow==12.2.0" "numpy==2.4.6" "pandas==2.3.3"
unset PYTHONPATH
"$dir/env/bin/python" - "$dir" <<'END' 2>/dev/null
import os
import sys

import numpy as np
from cleanvision import Imagelab
from PIL import Image

draw = np.random.default_rng(0)
folder = sys.argv[1] + "/pictures"
os.mkdir(folder)
colours = draw.integers(150, 220, (10, 3), np.uint8)
pale = Image.fromarray(draw.integers(0, 10, (80, 80), np.uint8), "P")
pale.putpalette(colours.tobytes())
grey = Image.fromarray(draw.choice(np.array([40, 90, 140, 190], np.uint8), (80, 80)))
pictures = {"pale, RGB": pale.convert("RGB"), "pale, palette": pale, "2 bits, RGB": grey.convert("RGB"), "2 bits, grey": grey}
for name, picture in pictures.items():
    picture.save(f"{folder}/{name}.png")
stdout, sys.stdout = sys.stdout, open(os.devnull, "w")
lab = Imagelab(data_path=folder)
lab.find_issues({"dark": {}, "low_information": {}}, n_jobs=1)
sys.stdout = stdout
found = {}
for path, row in lab.issues.iterrows():
    found[os.path.basename(path)[:-4]] = [kind for kind in ("dark", "low_information") if row[f"is_{kind}_issue"]]
for name in pictures:
    print(f"{name:<14} {', '.join(found[name]) or '-'}")
if found != {"pale, RGB": [], "pale, palette": ["dark"], "2 bits, RGB": [], "2 bits, grey": ["low_information"]}:
    raise SystemExit("CHANGED")
END
