"""Write features of a stream as torch tensors, in files that `torch.load(weights_only=True)` reads."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.release.layouts.streams.stream import Stream


class Features:
    """Vectors of a table in the order of its stream, float32, on disk; one bucket at a time is in memory.

    Args:
        stream: positions of the rows.
        vectors: (n, d) by encoder name, in the order of the stream.
    """

    def __init__(self, stream: Stream, vectors: Mapping[str, np.ndarray]) -> None:
        self._stream, self._vectors = stream, vectors

    @property
    def names(self) -> tuple[str, ...]:
        """Encoder names."""
        return tuple(self._vectors)

    def save_pair(self, path: Path, name: str, bucket: int) -> None:
        """Write (tensor (n, d), list of n class indices) for the rows of a bucket."""
        import torch

        rows = self._stream.listed(bucket)
        tensor = torch.from_numpy(self._of(name, rows))
        _save(path, (tensor, self._stream.class_of[rows].tolist()))

    def save_mapping(self, path: Path, name: str, rows: np.ndarray, keys: list[str]) -> None:
        """Write {key: tensor (d,)} for some rows of the table, in the order of the list."""
        import torch

        _save(path, dict(zip(keys, torch.from_numpy(self._of(name, rows)), strict=True)))

    def _of(self, name: str, rows: np.ndarray) -> np.ndarray:
        return np.array(self._vectors[name][self._stream.position[rows]])


@contextmanager
def ordered_features(table: Table, stream: Stream, columns: Mapping[str, str], near: Path) -> Iterator[Features]:
    """Provide the vectors of some columns of a table, by name, in the order of the stream.

    Args:
        near: folder next to which a temporary folder holds them.
    """
    with TemporaryDirectory(dir=near.parent, prefix=f".{near.name}-") as scratch:
        vectors: dict[str, Any] = {}
        for number, (name, column) in enumerate(columns.items()):
            shape = (len(stream), table.schema.field(column).type.list_size)
            vectors[name] = np.lib.format.open_memmap(Path(scratch) / f"{number}.npy", "w+", np.float32, shape)
        start = 0
        for rows in table.batches(list(dict.fromkeys(columns.values()))) if columns else ():
            _put(vectors, columns, rows, stream.position[start : start + len(rows)])
            start += len(rows)
        yield Features(stream, vectors)
        vectors.clear()  # Windows removes no file that is mapped


def _put(vectors: Mapping[str, np.ndarray], columns: Mapping[str, str], rows: Rows, positions: np.ndarray) -> None:
    for name, column in columns.items():
        vectors[name][positions] = rows.vectors(column)


def _save(path: Path, value: object) -> None:
    import torch

    # Through memory, as torch would write the name of the file into the file.
    out = io.BytesIO()
    torch.save(value, out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())
