"""Write the JSON documents of COCO entry by entry, in bounded memory.

Format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class CocoDocument:
    """One JSON file with the lists 'images' and 'annotations'; the first entry decides that there is a file.

    Args:
        path: the file.
        header: further values, written at its beginning.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.images = self.annotations = 0
        self._rest = path.with_name(f"{path.name}.annotations")  # joined to the file at its end
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._annotations = self._rest.open("w+", encoding="utf-8", newline="\n")
        self._file.write("{\n" + "".join(f"{_text(key)}: {_text(value)},\n" for key, value in header.items()))
        self._file.write('"images": [')

    def add_image(self, entry: Mapping[str, Any]) -> None:
        """Add an image."""
        self._file.write(f"{',' if self.images else ''}\n{_text(entry)}")
        self.images += 1

    def add_annotation(self, entry: Mapping[str, Any]) -> None:
        """Add an annotation."""
        self._annotations.write(f"{',' if self.annotations else ''}\n{_text(entry)}")
        self.annotations += 1

    def finish(self, footer: Mapping[str, Any]) -> None:
        """Write the annotations after the images, and further values at the end."""
        self._file.write('\n],\n"annotations": [')
        self._annotations.seek(0)
        shutil.copyfileobj(self._annotations, self._file)
        self._file.write("\n]" + "".join(f",\n{_text(key)}: {_text(value)}" for key, value in footer.items()) + "\n}\n")
        self.abandon()

    def abandon(self) -> None:
        """Close the files; the annotations have no file of their own afterwards."""
        self._file.close()
        self._annotations.close()
        self._rest.unlink(missing_ok=True)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
