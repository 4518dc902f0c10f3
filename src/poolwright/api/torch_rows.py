"""Makes a torch dataset of rows of a table. It is imported by `to_torch` alone, since it imports torch."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import Dataset

from poolwright.core.columns import IMAGE, IMAGE_PATH, UID, is_vector
from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.core.images.image import open_image

if TYPE_CHECKING:
    from poolwright.api.table import TableSlice


class TorchRows(Dataset):  # type: ignore[misc]
    """A map-style dataset of rows: `dataset[i]` is a dict by column, for torch's DataLoader with any number of workers.

    Numbers, truth values and vectors are tensors, texts are texts, and `image` is a picture (PIL, upright, RGB), or
    what `transform` makes of it. A missing float is NaN; any other missing value is None, which torch does not collate.

    The columns are written once to an Arrow file, which all workers map into memory, so that rows are read in any
    order without decoding a group of rows for each. Image files are read where they are.

    Args:
        rows: the rows and columns; name the columns you need.
        transform: called with the picture, such as a torchvision transform.
        classes: a column whose values become class numbers, from 0 in alphabetical order. `dataset.classes` has their
            names.
        images: whether to read pictures; by default if there are any.
        folder: folder of the Arrow file; default that of temporary files. It is removed with the dataset.

    Raises:
        RecipeError: there is no such column, or no pictures although they are asked for.
        InputError: while rows are read: a picture is missing or cannot be decoded; the message names the row.
    """

    def __init__(
        self,
        rows: TableSlice,
        *,
        transform: Callable[[Any], Any] | None = None,
        classes: str | None = None,
        images: bool | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self._rows, self._transform, self._classes = rows, transform, classes
        there = IMAGE in rows._source.schema.names
        self._images = there if images is None else images
        if (self._images or transform) and not there:
            raise RecipeError(f"table '{rows._of.name}' has no pictures: no column 'image' or 'image_path'")
        self._shown = [name for name in rows.columns if name != IMAGE]
        if classes is not None and classes not in self._shown:
            raise RecipeError(f"no column '{classes}' for the classes; {did_you_mean(classes, self._shown)}")
        # What a picture, and an error about it, are read from.
        more = [UID, *([IMAGE_PATH] if self._images and rows._source.virtual_image else [])]
        self._path = _write(rows, list(dict.fromkeys([*self._shown, *more])), folder)
        weakref.finalize(self, _remove, self._path, os.getpid())
        self.classes: list[Any] = _distinct(self._mapped, classes) if classes is not None else []
        self._numbers = {name: number for number, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        number = range(len(self))[index]
        stored = self._mapped
        row = {name: self._value(name, stored.column(name)[number]) for name in self._shown}
        if self._images:
            row[IMAGE] = self._picture(number)
        return row

    @property
    def _mapped(self) -> pa.Table:
        """The columns, mapped into memory by each process once."""
        if "_table" not in self.__dict__:
            self.__dict__["_table"] = pa.ipc.open_file(pa.memory_map(str(self._path))).read_all()
        table: pa.Table = self.__dict__["_table"]
        return table

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_table"}

    def _value(self, name: str, value: pa.Scalar) -> Any:
        if name == self._classes:
            return None if not value.is_valid else torch.tensor(self._numbers[value.as_py()])
        if not value.is_valid:
            return torch.tensor(float("nan")) if pa.types.is_floating(value.type) else None
        if is_vector(value.type):
            return torch.from_numpy(np.array(value.values.to_numpy(zero_copy_only=False)))
        found = value.as_py()
        return torch.tensor(found) if isinstance(found, bool | int | float) else found

    def _picture(self, number: int) -> Any:
        picture = open_image(self._bytes(number))
        if isinstance(picture, str):
            uid = self._mapped.column(UID)[number].as_py()
            raise InputError(f"table '{self._rows._of.name}', row {number}, uid {uid}: no picture: {picture}")
        return self._transform(picture) if self._transform else picture

    def _bytes(self, number: int) -> bytes | None:
        """Return the image file of a row: through its path, or from the table if it is stored there."""
        source = self._rows._source
        if source.virtual_image:
            row = source.with_images(self._mapped.select([IMAGE_PATH]).slice(number, 1), [IMAGE]).table
        else:
            row = self._rows.select([IMAGE]).take([number])
        data: bytes | None = row.column(0)[0].as_py()
        return data


def _write(rows: TableSlice, columns: list[str], folder: str | Path | None) -> Path:
    """Write columns to an Arrow file, batch by batch."""
    chosen = rows.select(columns)
    handle, name = tempfile.mkstemp(".arrow", "poolwright-", folder)
    with os.fdopen(handle, "wb") as out, pa.ipc.new_file(out, chosen.schema) as writer:
        for batch in chosen.to_batches():
            writer.write_batch(batch)
    return Path(name)


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in workers, which are copies of this process
        with suppress(OSError):
            path.unlink()


def _distinct(table: pa.Table, column: str) -> list[Any]:
    return sorted(value for value in table.column(column).unique().to_pylist() if value is not None)
