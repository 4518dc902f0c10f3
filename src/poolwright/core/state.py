"""State: the small result of a step's fit. It is saved, hashed and released with the table."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.errors import InputError
from poolwright.core.files import digest_file, write_atomically
from poolwright.core.parquet import write_parquet


@dataclass(frozen=True)
class State:
    """The things that a step learned: a few values, and tables if values are many.

    Attributes:
        values: JSON values by name: thresholds, counts, model names and digests.
        tables: Arrow tables by name: group cuts, text features, centroids.
        mapped: Arrow tables by name that may be larger than memory: they are saved uncompressed, and mapped into
            memory when they are loaded.
        speeds: the pace that the fit measured. It differs from run to run, so it goes into timings.json and is
            neither saved nor compared with the rest.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    speeds: Mapping[str, Any] = field(default_factory=dict, compare=False)
    mapped: Mapping[str, pa.Table] = field(default_factory=dict)

    def save(self, folder: Path, name: str) -> str:
        """Write `<name>.json`, `<name>.<table>.parquet` and `.arrow` into `folder` and return the digest.

        The JSON is written last, so that a state whose JSON exists is whole. The same state gives
        the same bytes.
        """
        digests = {
            key: write_parquet(folder / f"{name}.{key}.parquet", table) for key, table in sorted(self.tables.items())
        }
        document = {"values": dict(self.values), "tables": digests}
        if self.mapped:
            document["mapped"] = {
                key: write_mapped(folder / f"{name}.{key}.arrow", table) for key, table in sorted(self.mapped.items())
            }
        text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomically(folder / f"{name}.json", lambda out: out.write(text.encode()))
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def load(cls, folder: Path, name: str) -> State:
        """Read a state that `save` wrote.

        Raises:
            InputError: one of its files is damaged or gone.
        """
        path = folder / f"{name}.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            values = document["values"]
            found: dict[str, dict[str, pa.Table]] = {kind: {} for kind in _ENDINGS}
            for kind, key, digest in _tables(document):
                path = folder / f"{name}.{key}{_ENDINGS[kind]}"
                if digest_file(path) != digest:
                    raise ValueError
                found[kind][key] = pq.read_table(path) if kind == "tables" else read_mapped(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{path}: the file is damaged or gone: it is not as it was written; make the table anew with "
                f"`--fresh {folder.parent.name}`, or get the release again if it belongs to one"
            ) from None
        return cls(values, found["tables"], mapped=found["mapped"])

    @staticmethod
    def copy(folder: Path, name: str, to: Path, new_name: str) -> str:
        """Copy a saved state under another name, after checking its tables against their digests.

        Returns:
            The digest, which is that of the original.

        Raises:
            InputError: one of its tables is missing or damaged.
        """
        text = (folder / f"{name}.json").read_bytes()
        for kind, key, digest in _tables(json.loads(text)):
            ending = f"{key}{_ENDINGS[kind]}"
            table = folder / f"{name}.{ending}"
            if not table.exists() or digest_file(table) != digest:
                raise InputError(f"{table} is missing or damaged; get the release again")
            write_atomically(to / f"{new_name}.{ending}", partial(_put_file, table))
        write_atomically(to / f"{new_name}.json", partial(_put, text))
        return State.digest(to, new_name)

    @staticmethod
    def digest(folder: Path, name: str) -> str:
        """Return the digest of a saved state: SHA-256 of its JSON, which holds the digests of its tables."""
        return hashlib.sha256((folder / f"{name}.json").read_bytes()).hexdigest()


def write_mapped(path: Path, table: pa.Table) -> str:
    """Write an uncompressed Arrow file for `read_mapped`; return the digest of its bytes."""
    return write_atomically(path, partial(_put_table, table))


def read_mapped(path: Path) -> pa.Table:
    """Open an uncompressed Arrow file as a table whose values are read from the file when they are needed."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


_ENDINGS = {"tables": ".parquet", "mapped": ".arrow"}


def _tables(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield kind, name and digest of each table of a saved state."""
    for kind in _ENDINGS:
        yield from ((kind, key, digest) for key, digest in document.get(kind, {}).items())


def _put(content: bytes, out: Any) -> None:
    out.write(content)


def _put_file(path: Path, out: Any) -> None:
    with open(path, "rb") as file:
        shutil.copyfileobj(file, out)


def _put_table(table: pa.Table, out: Any) -> None:
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
