"""The pool `captioned_list`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from poolwright import BadPart, InputError, Part, Pool, RecipeError
from poolwright.core.columns import IMAGE_PATH, ROW_ERROR, TEXT, UID
from poolwright.core.pool import PathOrUrl

SCHEMA = pa.schema([(name, pa.string()) for name in (UID, IMAGE_PATH, TEXT, ROW_ERROR)])


class CaptionedList(Pool):
    """Text files with an image path and a caption in each line, separated by a tab.

    Image paths are relative to the folder of the lists, and are the uids. A line without a tab is a row that cannot
    be read: it is dropped with its reason.
    """

    kind: ClassVar[str] = "captioned_list"
    example: ClassVar[str] = "pictures: {read: captioned_list, path: lists}"

    path: PathOrUrl = Field(description="folder of the lists, which end in .tsv")

    def arrow_schema(self) -> pa.Schema:
        """Return uid, image_path, text and row_error, all texts."""
        self._files()
        return SCHEMA

    def parts(self) -> list[Part]:
        """Return one part per file."""
        return [Part(index=index, name=file.name, files=(str(file),)) for index, file in enumerate(self._files())]

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        """Read the lines of a file, in batches."""
        try:
            lines = Path(part.files[0]).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise BadPart(part.index, part.name, f"is not UTF-8: {error}") from None
        except OSError as error:
            raise InputError(f"{part.files[0]}: cannot be read: {error.strerror}") from None
        for start in range(0, len(lines), batch_rows):
            rows = [_row(line) for line in lines[start : start + batch_rows]]
            table = pa.Table.from_pylist(rows, SCHEMA)
            yield table.select(list(columns))

    def image_root(self) -> str:
        """Return the folder of the lists."""
        return self.path

    def _files(self) -> list[Path]:
        folder = Path(self.path)
        files = sorted(folder.glob("*.tsv"))
        if not files:
            raise RecipeError(f"{folder}: no .tsv files here" if folder.is_dir() else f"{folder}: no such folder")
        return files


def _row(line: str) -> dict[str, str | None]:
    path, tab, caption = line.partition("\t")
    if not tab or not path:
        return {ROW_ERROR: "no path and caption with a tab between them"}
    return {UID: path, IMAGE_PATH: path, TEXT: caption}
