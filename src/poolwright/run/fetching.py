"""The images of a table whose first step is `fetch`: fetched before the table is made, and read with its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from poolwright.core.errors import ChangedError
from poolwright.core.table import Table
from poolwright.fetch.rows import FetchedRows
from poolwright.fetch.step import Fetch
from poolwright.run.lock import run_lock
from poolwright.run.progress import Listener, TableProgress
from poolwright.run.source import Source, pool_source

if TYPE_CHECKING:
    from poolwright.fetch.fetch import FetchProgress


def fetch_table(name: str, source: Table, step: Fetch, images: Path, listener: Listener) -> dict[str, float]:
    """Fetch the images of a table, or what is left of them; returns how long it took and how fast it was.

    Args:
        name: of the table that wants them.
        source: the table whose rows have the URLs.
        images: folder to fetch to.

    Raises:
        ChangedError: other rows were fetched there.
        PoolwrightError: the fetch itself failed. Images that could not be fetched are no error.
    """
    from poolwright.fetch.fetch import fetch_images

    begun = perf_counter()
    try:
        with run_lock(images / ".fetch"):
            fetched = fetch_images(source.folder, images, step.options(), fetch_teller(name, listener))
    except ChangedError as error:
        raise ChangedError(f"table '{name}': {error}. To fetch the images of the new rows: rm -r {images}") from None
    seconds = perf_counter() - begun
    listener.note(f"{name}: {fetched.succeeded:,} images of {fetched.rows:,} rows")
    return {"seconds": round(seconds, 3), "rows_per_second": round(fetched.rows_now / seconds, 3)}


def fetched_source(source: Table, step: Fetch, images: Path) -> Source:
    """The rows of a table with their fetched images."""
    rows = FetchedRows(table=str(source.folder), images=str(images), shard_rows=step.shard_rows)
    return replace(pool_source(source.name, rows), name=f"tables.{source.name}")


def fetch_teller(name: str, listener: Listener) -> Callable[[FetchProgress], None]:
    """Tells a listener how far a fetch is."""
    begun = perf_counter()

    def tell(found: FetchProgress) -> None:
        progress = TableProgress(name, "fetch", max(found.shards_total or 0, found.shards), found.shards)
        progress.rows, progress.kept, progress.dropped = found.rows, found.succeeded, dict(found.failed)
        progress.seconds = perf_counter() - begun
        listener.progress(progress)

    return tell
