"""The server, and fetching from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.fetch.fetch import Fetched, fetch_images
from poolwright.fetch.http.network import Resolve
from poolwright.fetch.options import FetchOptions
from tests.fetch.server import BadServer

QUICK: dict[str, Any] = {"timeout": 0.4, "total": 1.0, "retries": 0, "backoff": 0.01, "allow_private": True}
QUICK |= {"robots_txt": False, "tdm": False}  # so that a test counts the requests for its images alone


@pytest.fixture
def server() -> Iterator[BadServer]:
    with BadServer() as running:
        yield running


def outcomes(folder: Path) -> list[dict[str, Any]]:
    """All rows of the finished shards, in order."""
    files = sorted(folder.glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


class Get(Protocol):
    def __call__(self, *urls: str, **options: Any) -> list[dict[str, Any]]: ...


@pytest.fixture
def get(tmp_path: Path) -> Get:
    """Fetches URLs and gives their rows."""
    calls = 0

    def fetch(*urls: str, resolve: Resolve | None = None, sha: list[str] | None = None, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        columns = {"url": list(urls), **({"sha256": sha} if sha else {})}
        pq.write_table(pa.table(columns), tmp_path / f"urls-{calls}.parquet")
        to = tmp_path / f"out-{calls}"
        fetched = fetch_images(
            tmp_path / f"urls-{calls}.parquet", to, FetchOptions(**{**QUICK, **options}), resolve=resolve
        )
        rows = outcomes(to)
        assert [row["url"] for row in rows] == list(urls)
        assert sum(fetched.statuses.values()) == fetched.rows == len(urls)
        return rows

    return fetch


def fetch_rows(rows: dict[str, list[Any]], folder: Path, **options: Any) -> Fetched:
    """Write rows next to `folder` and fetch them to it."""
    source = folder.with_suffix(".parquet")
    if not source.exists():
        pq.write_table(pa.table(rows), source)
    return fetch_images(source, folder, FetchOptions(**{**QUICK, **options}))
