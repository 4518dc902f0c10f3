"""Load the splits of a release as folders of classes with `torchvision.datasets.ImageFolder`."""

from __future__ import annotations

from pathlib import Path

from poolwright.core.wording import counted
from poolwright.release.checks.loaders.loader import importing
from poolwright.release.checks.loaders.sampling import ends
from poolwright.release.checks.result import Findings
from poolwright.release.record import ReleaseRecord

FORMATS = frozenset(("jpg", "png", "ppm", "bmp", "pgm", "tif", "webp"))
"""Image formats whose files it finds; it leaves others out without a word."""


def load(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    """Load every split, and compare the number of images with the record.

    Args:
        full: whether every image is decoded; otherwise those at both ends of each split.
    """
    with importing():
        from torchvision.datasets import ImageFolder

    wrong, read, classes = [], 0, set()
    for split, rows in release.splits.items():
        found = ImageFolder(str(folder / split))
        classes |= {*found.classes}
        if len(found) != rows:
            wrong.append(f"ImageFolder finds {len(found):,} images in '{split}', the release has {rows:,}")
        for number in range(len(found)) if full else ends(len(found)):
            found[number]
            read += 1
    splits = f" in {len(release.splits)} splits" if len(release.splits) > 1 else ""
    return (
        wrong,
        f"ImageFolder gives {counted(release.rows, 'image')} of {len(classes):,} classes{splits}; {read:,} read",
    )
