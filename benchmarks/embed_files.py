"""Vectors of JPEG files, against a PyTorch DataLoader (Pillow, 2 workers) around the same ONNX model.

300 photographs of 3,000 x 2,000 pixels, and a ResNet-18 of random weights. Ours is a whole run: start, digests of the
files, vectors in a table. The peer decodes every picture at its full size, resizes it and runs batches of 32; it writes
nothing. We decode a JPEG at 1/2, 1/4 or 1/8 if that leaves twice the wanted size, which changes a pixel by about one
grey level after resizing; the smallest cosine of the two vectors of a picture is printed, and must be at least 0.999.

POOLWRIGHT_BENCH_ENCODER may name the folder of another encoder with a manifest, to measure a real one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.embed import MANIFEST, detailed_jpeg, write_resnet18
from benchmarks.timing import fresh_folder, in_turn, python
from poolwright import Table

PHOTOS, DIFFERENT = int(os.environ.get("POOLWRIGHT_BENCH_IMAGES", 300)), 6
SIZE = (3_000, 2_000)
LEAST_COSINE = 0.999

OURS = """
import shutil, sys
from pathlib import Path
from poolwright.api import Recipe
work, encoder = Path(sys.argv[1]), sys.argv[2]
shutil.rmtree(work / "run", ignore_errors=True)
pools = {"files": {"read": "table", "path": "rows.parquet", "images": "images"}}
steps = [{"embed": {"image": "vector", "model": "bench"}}]
data = {"recipe": 1, "name": "bench", "pools": pools, "models": {"bench": {"model": f"onnx:{encoder}"}},
        "tables": {"all": {"from": "files", "steps": steps}}}
Recipe.from_data(data, work).run(work / "run")
"""
PEER = """
import json, os, sys
import numpy as np
import onnxruntime
import torch
from PIL import Image
work, encoder = sys.argv[1:]
with open(f"{encoder}/manifest.json") as file:
    image = json.load(file)["image"]
filter = Image.Resampling[image.get("interpolation", "bicubic").upper()]
mean, std = (np.array(image[name], np.float32) for name in ("mean", "std"))

def prepare(picture):
    width, height = picture.size
    scale, edge = image["resize"] / min(width, height), image["crop"]
    picture = picture.resize((int(width * scale), int(height * scale)), filter)
    left, top = round((picture.width - edge) / 2), round((picture.height - edge) / 2)
    pixels = np.asarray(picture.crop((left, top, left + edge, top + edge)), np.float32) / np.float32(255)
    return torch.from_numpy(((pixels - mean) / std).transpose(2, 0, 1))

class Files(torch.utils.data.Dataset):
    paths = sorted(os.listdir(f"{work}/images"))
    def __len__(self):
        return len(self.paths)
    def __getitem__(self, at):
        return prepare(Image.open(f"{work}/images/{self.paths[at]}").convert("RGB"))

session = onnxruntime.InferenceSession(f"{encoder}/{image['file']}", providers=["CPUExecutionProvider"])
names = [image.get("output") or session.get_outputs()[0].name], session.get_inputs()[0].name
loader = torch.utils.data.DataLoader(Files(), batch_size=32, num_workers=2)
rows = np.concatenate([session.run(names[0], {names[1]: batch.numpy()})[0] for batch in loader])
np.save(f"{work}/peer.npy", rows / np.linalg.norm(rows, axis=1, keepdims=True))
"""


def run(work: Path) -> float:
    """Return our pictures/s over those of the DataLoader."""
    _photos(work)
    encoder = Path(os.environ.get("POOLWRIGHT_BENCH_ENCODER") or _resnet18(work / "encoder")).resolve()
    commands = {"dataloader": python(PEER, work, encoder), "poolwright": python(OURS, work, encoder)}
    used = in_turn(commands, work, times=2)
    for name, usage in used.items():
        speed = f"{PHOTOS / usage.seconds:,.1f} pictures/s, {usage.seconds:.1f} s"
        print(f"  {name}: {speed}, peak {usage.peak / 1e9:.2f} GB")
    rows = pa.concat_tables(batch.table for batch in Table(work / "run/tables/all").batches(["uid", "vector"]))
    rows = rows.sort_by("uid")
    ours = np.stack(rows.column("vector").to_numpy(zero_copy_only=False)).astype(np.float64)
    cosine = float((ours * np.load(work / "peer.npy")).sum(axis=1).min())
    print(f"  smallest cosine of the two vectors of a picture: {cosine:.5f}")
    if cosine < LEAST_COSINE:
        raise RuntimeError(f"vectors differ: cosine {cosine}")
    return used["dataloader"].seconds / used["poolwright"].seconds


def _photos(work: Path) -> None:
    if (work / "rows.parquet").exists():
        return
    fresh_folder(work / "images")
    files = [detailed_jpeg(seed, *SIZE) for seed in range(DIFFERENT)]
    names = [f"{number:04d}.jpg" for number in range(PHOTOS)]
    for number, name in enumerate(names):
        (work / "images" / name).write_bytes(files[number % DIFFERENT])
    pq.write_table(pa.table({"uid": names, "image_path": names}), work / "rows.parquet")


def _resnet18(folder: Path) -> Path:
    if not (folder / "manifest.json").exists():
        fresh_folder(folder)
        write_resnet18(folder / "model.onnx")
        manifest = json.loads(MANIFEST)
        manifest["image"]["file"] = "model.onnx"
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
