"""Folders of real pictures, fewer than there are: encoders take a tenth of a second for each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

SHARES = {"pacs": 3, "imagenet_photos": 5, "taiwan_pictures": 1}
"""Every so manyth picture of a folder."""


def some_pictures(real_data: Path, to: Path, shares: Mapping[str, int] = SHARES) -> Path:
    """Copy some pictures of each folder, in the order of their paths, and what else is in it; encoders are linked."""
    for name, share in shares.items():
        folders = sorted({path.parent for path in (real_data / name).rglob("*") if path.is_file()})
        for folder in folders:
            files = sorted(path for path in folder.iterdir() if path.is_file())
            place = to / folder.relative_to(real_data)
            place.mkdir(parents=True)
            for path in files[::share]:
                shutil.copy(path, place)
    for name in ("photo_encoder", "squeezenet"):
        (to / name).symlink_to(real_data / name)
    return to
