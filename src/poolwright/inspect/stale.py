"""Finds tables that are stale: made from another table of the run that has changed since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poolwright.core.files import digest_file
from poolwright.core.table import RECORD
from poolwright.run.identity import IDENTITY


@dataclass(frozen=True)
class Stale:
    """Why a table is stale, and what makes it right.

    Attributes:
        table: its name.
        since: the tables it was made from that changed, or that are stale themselves.
        fresh: the tables to make anew; those that come from them follow.
    """

    table: str
    since: tuple[str, ...]
    fresh: tuple[str, ...]

    @property
    def words(self) -> str:
        """One sentence: what changed, and what to do."""
        earlier = " and ".join(f"'{name}'" for name in self.since)
        anew = " ".join(f"--fresh {name}" for name in self.fresh)
        return f"table '{self.table}' is stale: it was made from an earlier {earlier}. Run the recipe with: {anew}"


def stale(folder: Path) -> Stale | None:
    """Return why a table is stale; None if it is not.

    Tables are compared by the digests of their records, so nothing but records is read.

    Args:
        folder: the table's folder, next to those of the tables that it was made from.
    """
    since: list[str] = []
    fresh: list[str] = []
    for name, digest in _recorded(folder).items():
        above = stale(folder.with_name(name))
        if above or _digest(folder.with_name(name) / RECORD) != digest:
            since.append(name)
            fresh += above.fresh if above else ()
    return Stale(folder.name, tuple(since), tuple(dict.fromkeys(fresh)) or (folder.name,)) if since else None


def _recorded(folder: Path) -> dict[str, str]:
    """Return the digest of the record of each table that a table was made from, by its name."""
    try:
        identity = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
        sources = [identity["source"], *identity.get("joined", {}).values()]
        return {**identity.get("tables", {}), **dict(_tables_of(sources))}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _tables_of(sources: Any) -> Iterator[tuple[str, str]]:
    for source in sources:
        if source.keys() == {"table", "record"}:
            yield source["table"], source["record"]
        elif isinstance(source.get("sources"), dict):
            yield from _tables_of(source["sources"].values())


def _digest(path: Path) -> str | None:
    return digest_file(path) if path.exists() else None
