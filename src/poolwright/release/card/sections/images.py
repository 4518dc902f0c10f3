"""Write the section of a dataset card on what was done to its images."""

from __future__ import annotations

from poolwright.core.wording import counted
from poolwright.release.data.image_changes import ORIGINAL
from poolwright.release.record import ReleaseRecord

_COUNTS = {
    "encoded": "encoded anew",
    "turned": "of these turned upright, as EXIF said",
    "flattened": "of these with transparency, laid on white",
    "first": "of these the first of several pictures in their file",
    "stripped": "stripped of metadata, with their pixels as they were coded",
    "kept": "released as they were found",
}


def images_section(release: ReleaseRecord) -> str:
    """Return what was done to the images as Markdown; '' if they were released as found."""
    changes = release.images.changes if release.images else None
    if changes is None:
        return ""
    counts = changes.model_dump()
    lines = [f"- {counted(counts[name], 'image')} {words}" for name, words in _COUNTS.items() if counts[name]]
    words = f"{changes.words} With {changes.library}:"
    columns = f"`width`, `height` and `sha256` are of the released files, `{ORIGINAL}width` and so on of those found. "
    columns += "Other columns, such as vectors and perceptual hashes, were made from the files as they were found."
    return "\n\n".join(["### What was done to the images", words, "\n".join(lines), columns])
