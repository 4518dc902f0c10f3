"""Read files that list rows: their ids, URLs or hashes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.errors import InputError, did_you_mean
from poolwright.core.remote.files import open_file
from poolwright.core.runtime.packed import unpacked, unpacked_name
from poolwright.core.texts.csv_quotes import unclosed_quote
from poolwright.core.texts.text_files import decode, delimiter_of, load_json, whole_text
from poolwright.core.wording import some

KINDS = "txt, csv, tsv, jsonl, json, parquet or npy"


@dataclass(frozen=True)
class ListFile:
    """The entries of a file.

    Attributes:
        entries: (n,) strings, numbers or bytes, with nulls where the file has them.
        other: name of the column that was read, if it is the only one and not the one wanted; else ''. It may be
            the first entry of a file without a header.
    """

    entries: pa.Array
    other: str = ""


def read_list(path: str, column: str) -> ListFile:
    """Read the entries of a file.

    Args:
        path: path or fsspec URL ending in .txt, .csv, .tsv, .jsonl, .ndjson, .json, .parquet or .npy, possibly packed
            (.gz, .bz2, .xz, .zst).
        column: column of a file with columns, whatever its case; a single column may have another name.

    Raises:
        InputError: the file cannot be read, is of another kind, or has no such column.
    """
    kind = unpacked_name(path).rpartition(".")[2].lower()
    if kind not in _READERS:
        raise InputError(f"{path}: lists of rows are {KINDS} files")
    try:
        return _READERS[kind](_content(path), column)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text: {error.reason}; save it as UTF-8") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _content(path: str) -> bytes:
    with open_file(path) as packed, unpacked(packed, path) as file:
        return file.read()


def _lines(content: bytes, column: str) -> ListFile:
    return ListFile(pa.array([line for line in decode(content).split("\n") if line.strip()], pa.string()))


def _csv(content: bytes, column: str) -> ListFile:
    from pyarrow import csv

    text = decode(content)
    header = next((line for line in text.splitlines() if line.strip()), "")
    parse = csv.ParseOptions(delimiter=delimiter_of(header), newlines_in_values=True)
    if unclosed := unclosed_quote(io.BytesIO(text.encode()), parse.delimiter):
        raise InputError(unclosed)
    names = csv.read_csv(io.BytesIO((header + "\n").encode()), parse_options=parse).column_names if header else []
    # Everything is read as text: a uid such as 007 is not a number, and NA is not nothing.
    options = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=[])
    table = csv.read_csv(io.BytesIO(text.encode()), parse_options=parse, convert_options=options)
    return _pick(table, column)


def _json_lines(content: bytes, column: str) -> ListFile:
    found = []
    for number, line in enumerate(decode(content).split("\n"), start=1):
        if line.strip():
            try:
                found.append(load_json(line))
            except ValueError:
                raise InputError(f"line {number} is not valid JSON") from None
    return _of_objects(found, column)


def _json(content: bytes, column: str) -> ListFile:
    found = load_json(decode(content))
    if isinstance(found, dict):
        found = found.get(column)
    if not isinstance(found, list):
        raise InputError(f"a JSON list of entries, or of objects with '{column}', is expected")
    return _of_objects(found, column)


def _of_objects(found: list[Any], column: str) -> ListFile:
    """Return the entries of a list of texts and numbers, or of objects that have them under one name."""
    if all(isinstance(one, dict) for one in found):
        names = list(dict.fromkeys(name for one in found for name in one))
        name, other = _name(names, column)
        found = [one.get(name) for one in found]
    else:
        other = ""
    for at, one in enumerate(found, start=1):
        if not isinstance(one, str | int | float | None) or isinstance(one, bool):
            raise InputError(f"entry {at} is {json.dumps(one)[:80]}, neither text nor a number")
    return ListFile(pa.array([None if one is None else whole_text(str(one)) for one in found], pa.string()), other)


def _parquet(content: bytes, column: str) -> ListFile:
    import pyarrow.parquet as pq

    return _pick(pq.read_table(io.BytesIO(content)), column)


def _pick(table: pa.Table, column: str) -> ListFile:
    name, other = _name(table.column_names, column)
    entries = table.column(table.column_names.index(name)).combine_chunks()
    dtype = entries.type.value_type if pa.types.is_dictionary(entries.type) else entries.type
    if pa.types.is_nested(dtype) or pa.types.is_boolean(dtype) or pa.types.is_temporal(dtype):
        raise InputError(f"column '{name}' is {dtype}; entries are strings, integers or bytes")
    return ListFile(entries, other)


def _name(names: list[str], column: str) -> tuple[str, str]:
    """Return the name of the column to read, and again if it is not the one that is wanted."""
    same = [name for name in names if name == column] or [
        name for name in names if name.strip().casefold() == column.strip().casefold()
    ]
    if len(same) > 1:
        raise InputError(f"has the column '{column}' {len(same)} times; rename one")
    if same:
        return same[0], ""
    if len(names) != 1:
        found = f"its columns (its first line) are {some(names, 30)}" if names else "it is empty"
        raise InputError(f"has no column '{column}'; {found}; name one: column: NAME ({did_you_mean(column, names)})")
    return names[0], names[0]


def _npy(content: bytes, column: str) -> ListFile:
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.fields and all(kind[0] == np.uint64 for kind in array.dtype.fields.values()):
        # DataComp's uids: 128 bits as two uint64, written in the metadata as 32 hex digits.
        parts = [array[name].reshape(-1).tolist() for name in array.dtype.names or ()]
        return ListFile(
            pa.array(["".join(f"{part:016x}" for part in uid) for uid in zip(*parts, strict=True)], pa.string())
        )
    if array.dtype.kind not in "USiu":
        raise InputError(f"has values of {array.dtype}; uids are strings, integers or two uint64")
    texts = np.char.decode(array.reshape(-1), "utf-8") if array.dtype.kind == "S" else array.reshape(-1)
    return ListFile(pa.array([str(value) for value in texts.tolist()], pa.string()))


_READERS: dict[str, Callable[[bytes, str], ListFile]] = {
    "txt": _lines,
    "csv": _csv,
    "tsv": _csv,
    "jsonl": _json_lines,
    "ndjson": _json_lines,
    "json": _json,
    "parquet": _parquet,
    "npy": _npy,
}
