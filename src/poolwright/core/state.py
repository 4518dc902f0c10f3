"""State: the small result of a step's fit. It is saved, hashed and released with the table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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
        speeds: the pace that the fit measured. It differs from run to run, so it goes into timings.json and is
            neither saved nor compared with the rest.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    speeds: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def save(self, folder: Path, name: str) -> str:
        """Write `<name>.json` and `<name>.<table>.parquet` into `folder` and return the digest.

        The JSON is written last, so that a state whose JSON exists is whole. The same state gives
        the same bytes.
        """
        digests = {
            key: write_parquet(folder / f"{name}.{key}.parquet", table) for key, table in sorted(self.tables.items())
        }
        document = {"values": dict(self.values), "tables": digests}
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
            values, digests = document["values"], document["tables"]
            tables = {}
            for key, digest in digests.items():
                path = folder / f"{name}.{key}.parquet"
                if digest_file(path) != digest:
                    raise ValueError
                tables[key] = pq.read_table(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise InputError(
                f"{path}: the file is damaged or gone: it is not as it was written; make the table anew with "
                f"`--fresh {folder.parent.name}`, or get the release again if it belongs to one"
            ) from None
        return cls(values, tables)

    @staticmethod
    def copy(folder: Path, name: str, to: Path, new_name: str) -> str:
        """Copy a saved state under another name, after checking its tables against their digests.

        Returns:
            The digest, which is that of the original.

        Raises:
            InputError: one of its tables is missing or damaged.
        """
        text = (folder / f"{name}.json").read_bytes()
        for key, digest in json.loads(text)["tables"].items():
            table = folder / f"{name}.{key}.parquet"
            if not table.exists() or digest_file(table) != digest:
                raise InputError(f"{table} is missing or damaged; get the release again")
            content = table.read_bytes()
            write_atomically(to / f"{new_name}.{key}.parquet", partial(_put, content))
        write_atomically(to / f"{new_name}.json", partial(_put, text))
        return State.digest(to, new_name)

    @staticmethod
    def digest(folder: Path, name: str) -> str:
        """Return the digest of a saved state: SHA-256 of its JSON, which holds the digests of its tables."""
        return hashlib.sha256((folder / f"{name}.json").read_bytes()).hexdigest()


def _put(content: bytes, out: Any) -> None:
    out.write(content)
