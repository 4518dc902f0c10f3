"""Read files that list rows to remove."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from poolwright.core.errors import InputError, did_you_mean


def read_tombstones(path: str, column: str) -> pa.Array:
    """Read the entries of a file as strings (n,), with nulls where the file has them.

    Args:
        path: path or fsspec URL ending in .txt, .csv, .parquet or .npy.
        column: column of a csv or parquet file; a file with a single column may name it differently.

    Raises:
        InputError: the file cannot be read, is of another kind, or has no such column.
    """
    kind = path.rpartition(".")[2].lower()
    if kind not in _READERS:
        raise InputError(f"{path}: lists of rows to remove are .txt, .csv, .parquet or .npy files")
    try:
        return _READERS[kind](_content(path), column).cast(pa.string())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _content(path: str) -> bytes:
    import fsspec

    with fsspec.open(path, "rb") as file:
        return bytes(file.read())


def _lines(content: bytes, column: str) -> pa.Array:
    lines = content.decode("utf-8-sig").split("\n")
    entries = [line.removesuffix("\r") for line in lines]
    return pa.array([entry for entry in entries if entry.strip()], pa.string())


def _csv(content: bytes, column: str) -> pa.Array:
    from pyarrow import csv

    # Everything is read as text: a uid such as 007 is not a number, and NA is not nothing.
    header = content.decode("utf-8-sig").split("\n", 1)[0]
    names = csv.read_csv(io.BytesIO((header + "\n").encode())).column_names if header.strip() else []
    options = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=[])
    return _pick(csv.read_csv(io.BytesIO(content), convert_options=options), column)


def _parquet(content: bytes, column: str) -> pa.Array:
    import pyarrow.parquet as pq

    return _pick(pq.read_table(io.BytesIO(content)), column)


def _pick(table: pa.Table, column: str) -> pa.Array:
    names = table.column_names
    if column not in names and len(names) != 1:
        raise InputError(f"has no column '{column}'; {did_you_mean(column, names)}")
    return table.column(column if column in names else 0).combine_chunks()


def _npy(content: bytes, column: str) -> pa.Array:
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.fields and all(kind[0] == np.uint64 for kind in array.dtype.fields.values()):
        # DataComp's uids: 128 bits as two uint64, written in the metadata as 32 hex digits.
        parts = [array[name].reshape(-1).tolist() for name in array.dtype.names or ()]
        return pa.array(["".join(f"{part:016x}" for part in uid) for uid in zip(*parts, strict=True)], pa.string())
    if array.dtype.kind not in "USiu":
        raise InputError(f"has values of {array.dtype}; uids are strings, integers or two uint64")
    texts = np.char.decode(array.reshape(-1), "utf-8") if array.dtype.kind == "S" else array.reshape(-1)
    return pa.array([str(value) for value in texts.tolist()], pa.string())


_READERS: dict[str, Callable[[bytes, str], pa.Array]] = {
    "txt": _lines,
    "csv": _csv,
    "parquet": _parquet,
    "npy": _npy,
}
