"""Draw the demo's world: a folder of small pictures with their metadata, and the truth about each of them.

    images/<aa>/<uid>.jpg   (some .png; a few cannot be decoded, a few are copies)
    metadata.parquet        metadata that a user of the pool sees
    truth.parquet           true kinds, copies, corrupt files
    world.json              arguments of the drawing, and whether it is finished

Each picture has generators of its own, seeded by the world's seed and its index, so any one can be drawn alone:
`encode(facts_of(index, seed), seed)` gives the bytes of its file.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from poolwright.core.files import write_text
from poolwright.core.parquet import write_parquet
from poolwright.demo.drawing import draw_kind, measure
from poolwright.demo.facts import Facts, facts_of
from poolwright.demo.people import COUNTRIES

if TYPE_CHECKING:
    import pyarrow as pa

DRAWING = 2
"""Version of the drawing, increased when the drawn files change, so that existing folders are drawn again."""

_PICTURE, _FILE = 2, 3
_FEW = 400
_NOT_A_PICTURE = b"<html><head><title>404 Not Found</title></head><body>This photo is gone.</body></html>\n"


def draw_world(folder: Path, n: int = 6000, seed: int = 2024) -> None:
    """Draw a world into a folder; returns at once if the folder already holds that world.

    Args:
        folder: a new folder, or one that holds a world (finished or not); a different world in it is replaced.
        n: number of pictures.
        seed: equal seeds give equal files.

    Raises:
        FileExistsError: the folder holds something other than a world.
    """
    arguments = {"drawing": DRAWING, "n": n, "seed": seed}
    marker = folder / "world.json"
    if not _prepare(folder, marker, arguments):
        return
    shares = 1 if n < _FEW else min(os.cpu_count() or 1, 8)
    with drawing_processes(__name__, [(folder, n, seed, shares, first) for first in range(1, shares)]):
        _write_images(folder, range(0, n, shares), seed)
    rows = [facts_of(index, seed) for index in range(n)]
    write_parquet(folder / "metadata.parquet", _metadata(rows, seed))
    write_parquet(folder / "truth.parquet", _truth(rows))
    _write_marker(marker, arguments, finished=True)


def draw(facts: Facts, seed: int) -> Image.Image:
    """Draw the picture as it was first taken; a copy gives its original's."""
    if facts.duplicate_of is not None:
        return draw(facts_of(facts.duplicate_of, seed), seed)
    rng = np.random.default_rng([seed, _PICTURE, facts.index])
    return draw_kind(facts.kind, rng, facts.continent, facts.year, facts.colour)


def encode(facts: Facts, seed: int) -> bytes:
    """Return the bytes of the picture's file: original, copied, or corrupted."""
    if facts.duplicate_of is not None:
        return _encode_copy(facts, facts_of(facts.duplicate_of, seed), seed)
    data = _save(draw(facts, seed), facts.suffix, quality=round(68 + 2 * (facts.year - 2004)))
    if not facts.corrupt:
        return data
    way = np.random.default_rng([seed, _FILE, facts.index]).integers(3)
    return (data[: len(data) * 2 // 5], b"", _NOT_A_PICTURE)[way]


def _encode_copy(facts: Facts, original: Facts, seed: int) -> bytes:
    factor = _copy_factor(facts, seed)
    if factor is None:
        return encode(original, seed)
    picture = draw(original, seed)
    if factor != 1:
        picture = picture.resize(_size(facts, seed), Image.Resampling.LANCZOS)
    return _save(picture, facts.suffix, quality=55)


def _copy_factor(facts: Facts, seed: int) -> float | None:
    """Return the factor by which a copy was resized, or None for an exact copy."""
    way = int(np.random.default_rng([seed, _FILE, facts.index]).integers(4))
    return (None, 1.0, 0.75, 1.3)[way]


def _size(facts: Facts, seed: int) -> tuple[int, int]:
    """Return width and height of the picture's file in pixels, without drawing it."""
    original = facts if facts.duplicate_of is None else facts_of(facts.duplicate_of, seed)
    width, height = measure(original.year, np.random.default_rng([seed, _PICTURE, original.index]))
    factor = 1.0 if facts.duplicate_of is None else _copy_factor(facts, seed) or 1.0
    return round(width * factor), round(height * factor)


def _save(picture: Image.Image, suffix: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    if suffix == "png":
        picture.save(buffer, "PNG", compress_level=3)
    else:
        picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _prepare(folder: Path, marker: Path, arguments: dict[str, int]) -> bool:
    """Mark the folder as that of this world; False if the world is complete already."""
    folder.mkdir(parents=True, exist_ok=True)
    if marker.exists():
        found = json.loads(marker.read_text())
        if found == {**arguments, "finished": True}:
            return False
        for name in ("metadata.parquet", "truth.parquet"):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "images", ignore_errors=True)
    elif any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty and holds no drawn world; give a new folder")
    _write_marker(marker, arguments, finished=False)
    return True


def _write_marker(marker: Path, arguments: dict[str, int], finished: bool) -> None:
    write_text(marker, json.dumps({**arguments, "finished": finished}) + "\n")


@contextmanager
def drawing_processes(module: str, arguments: Iterable[Iterable[object]]) -> Iterator[None]:
    """Start a process for each set of arguments of a module, and wait for them at the end.

    They are started by a command line of their own, not by multiprocessing, so that a caller's script needs no
    `if __name__ == "__main__"`.

    Raises:
        RuntimeError: a process failed.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    commands = [[sys.executable, "-m", module, *map(str, some)] for some in arguments]
    helpers = [subprocess.Popen(command, env=environment) for command in commands]
    try:
        yield
        failed = [helper for helper in helpers if helper.wait() != 0]
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(helpers)} drawing processes failed; see their errors above")
    finally:
        for helper in helpers:
            if helper.poll() is None:
                helper.kill()
                helper.wait()


def _write_images(folder: Path, indices: Iterable[int], seed: int) -> None:
    for index in indices:
        facts = facts_of(index, seed)
        path = folder / "images" / facts.image_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(facts, seed))


def _metadata(rows: list[Facts], seed: int) -> pa.Table:
    import pyarrow as pa

    sizes = [_size(facts, seed) for facts in rows]
    columns: dict[str, tuple[pa.DataType, list[Any]]] = {
        "uid": (pa.string(), [facts.uid for facts in rows]),
        "image_path": (pa.string(), [facts.image_path for facts in rows]),
        "title": (pa.string(), [facts.title for facts in rows]),
        "text": (pa.string(), [facts.text for facts in rows]),
        "user": (pa.string(), [facts.user for facts in rows]),
        "country": (pa.string(), [COUNTRIES[facts.country].name for facts in rows]),
        "lat": (pa.float64(), [facts.lat for facts in rows]),
        "lon": (pa.float64(), [facts.lon for facts in rows]),
        "taken_at": (pa.timestamp("us"), [facts.taken_at for facts in rows]),
        "uploaded_at": (pa.timestamp("us"), [facts.uploaded_at for facts in rows]),
        "license": (pa.string(), [facts.license for facts in rows]),
        "url": (pa.string(), [f"https://example.org/photos/{facts.image_path}" for facts in rows]),
        "width": (pa.int32(), [width for width, _ in sizes]),
        "height": (pa.int32(), [height for _, height in sizes]),
    }
    return pa.table({name: pa.array(values, kind) for name, (kind, values) in columns.items()})


def _truth(rows: list[Facts]) -> pa.Table:
    import pyarrow as pa

    uids = [facts.uid for facts in rows]
    originals = [None if facts.duplicate_of is None else uids[facts.duplicate_of] for facts in rows]
    return pa.table(
        {
            "uid": uids,
            "kind": [facts.kind for facts in rows],
            "colour": [facts.colour for facts in rows],
            "true_continent": [facts.continent for facts in rows],
            "duplicate_of": pa.array(originals, pa.string()),
            "corrupt": [facts.corrupt for facts in rows],
            "caption_kind": pa.array([facts.caption_kind for facts in rows], pa.string()),
        }
    )


def _main(folder: str, n: str, seed: str, shares: str, first: str) -> None:
    _write_images(Path(folder), range(int(first), int(n), int(shares)), int(seed))


if __name__ == "__main__":
    _main(*sys.argv[1:])
