#!/usr/bin/env bash
# datasets 5.2.0, Pillow 13.0.0: datasets turns pictures by their EXIF orientation; Pillow does not.
#
# Expected: the picture that datasets decodes is the one that PIL.Image.open(file).convert('RGB') gives, since datasets
# decodes by Pillow. It applies the orientation, as a browser does. Whoever embeds a folder by Pillow (torchvision's
# ImageFolder does), then trains on the release by datasets, sees other pixels, and width and height change places: those
# of a metadata column, taken by Image.open(file).size, do not fit.
#
# Seen:
#   Pillow    (40, 20)
#   datasets  (20, 40)
#
# To do: PIL.ImageOps.exif_transpose wherever Pillow opens a picture.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${PYTHON:-python3}" -m venv --without-pip "$dir/env"
"${PYTHON:-python3}" -m pip --python "$dir/env/bin/python" install --quiet --disable-pip-version-check "datasets==5.2.0" "pillow==13.0.0"
unset PYTHONPATH
export HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
"$dir/env/bin/python" - "$dir" <<'END'
import sys
from pathlib import Path

from datasets import load_dataset
from PIL import Image

folder = Path(sys.argv[1]) / "pictures" / "cat"
folder.mkdir(parents=True)
exif = Image.Exif()
exif[0x0112] = 6  # to be turned by a quarter, as telephones write it
Image.new("RGB", (40, 20), (200, 10, 10)).save(folder / "1.jpg", exif=exif)

plain = Image.open(folder / "1.jpg").convert("RGB").size
dataset = load_dataset("imagefolder", data_dir=str(folder.parent), cache_dir=sys.argv[1] + "/cache")["train"]
turned = dataset[0]["image"].size
print("Pillow   ", plain)
print("datasets ", turned)
if (plain, turned) != ((40, 20), (20, 40)):
    raise SystemExit("CHANGED")
END
