"""Fetch the images of rows with URLs into shards. The entry point of this package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from time import perf_counter

import pyarrow as pa

from poolwright.core.errors import CountError, PoolwrightError
from poolwright.core.runtime.nodes import Nodes
from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.fetch.centre import OwnCentre
from poolwright.fetch.feed import ShardRows, SourceFeed, shards_to_fetch
from poolwright.fetch.fetcher import Fetcher, run_async
from poolwright.fetch.http.network import Resolve, SystemResolver, check_installed, proxy_url
from poolwright.fetch.nodes.driver import fetch_on_nodes
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import SUCCESS, FetchOutcome
from poolwright.fetch.repeats import Repeated, repeated
from poolwright.fetch.shards.first_rows import first_rows
from poolwright.fetch.shards.folder import FetchFolder
from poolwright.fetch.shards.records import EXPECTED, URL, read_columns
from poolwright.fetch.shards.shard_files import shard_name
from poolwright.fetch.sources import FetchSource, open_source

_LITTLE = 2_000
"""Rows that are fetched by the time that processes have started."""

SourceLike = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class FetchProgress:
    """Progress of a fetch. `rows` were fetched in this call; totals are None if the source does not have them."""

    rows: int
    rows_total: int | None
    shards: int
    shards_total: int | None
    succeeded: int
    failed: Mapping[str, int]


ProgressCallback = Callable[[FetchProgress], None]


def fetch_reporter(name: str, listener: Listener) -> ProgressCallback:
    """Return a callback that reports the progress of a fetch to the listener of a run."""
    begun = perf_counter()

    def report(found: FetchProgress) -> None:
        progress = TableProgress(name, "fetch", max(found.shards_total or 0, found.shards), found.shards)
        progress.rows, progress.kept, progress.dropped = found.rows, found.succeeded, dict(found.failed)
        progress.seconds = perf_counter() - begun
        listener.progress(progress)

    return report


@dataclass(frozen=True)
class Fetched:
    """Result of a fetch, over all calls.

    Attributes:
        folder: folder of the shards.
        rows: number of rows of the source, each with an outcome.
        statuses: number of rows by status, including 'success'.
        errors: number of rows without an image, by error class.
        shards: number of finished shards.
        bytes: size of all images together.
        repeated: bytes that came from many URLs, perhaps placeholders.
        rows_now: number of rows that this call fetched.
        failed_before: number of rows that failed in an earlier call, and were not fetched again.
    """

    folder: Path
    rows: int
    statuses: Mapping[str, int]
    errors: Mapping[str, int]
    shards: int
    bytes: int
    repeated: tuple[Repeated, ...]
    rows_now: int = 0
    failed_before: int = 0

    @property
    def succeeded(self) -> int:
        """Number of rows with an image."""
        return self.statuses.get(SUCCESS, 0)


def fetch_images(
    source: SourceLike,
    to: Path,
    options: FetchOptions,
    progress: ProgressCallback | None = None,
    resolve: Resolve | None = None,
    nodes: Nodes | None = None,
) -> Fetched:
    """Fetch the images of a source, or continue where an earlier call stopped. No other process may work in `to`.

    Args:
        source: Parquet, CSV or JSON Lines files, a finished table or a release, with a column of URLs.
        to: folder of the shards.
        options: how to fetch.
        progress: called after every row and every finished shard.
        resolve: resolves host names; default the system.
        nodes: processes that fetch, if it is not little; default this one. All of them see the folder `to`.

    Raises:
        RecipeError: a column is missing, or the folder holds something else.
        ChangedError: the source or a finished shard has changed.
        InputError: the source cannot be read.
        PoolwrightError: the run itself failed, for example on a full disk; the same call continues.
    """
    check_installed()
    proxy_url(options)
    opened = open_source(source, options)
    folder = FetchFolder(to, options)
    folder.claim(opened)
    counting = _Counting(progress, opened.rows, options.shard_rows)
    system = SystemResolver(min(64, options.concurrency))
    tables = _Shards(opened, options.shard_rows)
    try:
        find = partial(first_rows, folder.work, opened.batches((URL, EXPECTED)), options.shard_rows)
        shards = shards_to_fetch(folder, tables.tables(), counting.shard_finished)
        if nodes is not None and nodes.optional:
            little, shards = _is_little(shards)
            nodes = None if little else nodes
        if nodes is None:
            fetcher = Fetcher(folder, options, find(), resolve or system, counting, OwnCentre(options))
            run_async(fetcher.run(SourceFeed(shards, options)))
        else:
            run_async(fetch_on_nodes(nodes, folder, options, shards, counting, find))
    except OSError as error:
        raise PoolwrightError(
            f"{error.filename or to}: {error.strerror or error}; finished shards stay, the same command continues"
        ) from None
    finally:
        system.close()
    return summarize(folder, tables.rows, counting.rows, counting.failed.total())


def _is_little(shards: Iterator[ShardRows]) -> tuple[bool, Iterator[ShardRows]]:
    """Whether a second process would not pay; also return the shards, the first of which were read for this."""
    read, rows = list[ShardRows](), 0
    for shard in shards:
        read.append(shard)
        rows += len(shard.rows) if shard.pending is None else len(shard.pending)
        if len(read) > 1 and rows >= _LITTLE:
            return False, chain(read, shards)
    return True, iter(read)


class _Shards:
    """Tables of a source, with a count of their rows."""

    def __init__(self, source: FetchSource, shard_rows: int) -> None:
        self.source, self.shard_rows = source, shard_rows
        self.rows = 0

    def tables(self) -> Iterator[pa.Table]:
        for table in self.source.shards(self.shard_rows):
            self.rows += len(table)
            yield table


class _Counting:
    """Counts outcomes and finished shards, and reports progress."""

    def __init__(self, progress: ProgressCallback | None, total: int | None, shard_rows: int) -> None:
        self.progress, self.total = progress, total
        self.shards_total = None if total is None else -(-total // shard_rows)
        self.rows = self.succeeded = self.shards = 0
        self.failed: Counter[str] = Counter()

    def outcome(self, outcome: FetchOutcome) -> None:
        self.rows += 1
        if outcome.status == SUCCESS:
            self.succeeded += 1
        else:
            self.failed[str(outcome.error_class)] += 1
        self._report()

    def outcomes(self, counts: Mapping[str, int]) -> None:
        """Take over what was counted elsewhere: rows by error class, and those that succeeded."""
        self.failed = Counter({name: count for name, count in counts.items() if name != SUCCESS})
        self.succeeded = counts.get(SUCCESS, 0)
        self.rows = self.succeeded + self.failed.total()
        self._report()

    def shard_finished(self, shard: int) -> None:
        self.shards += 1
        self._report()

    def _report(self) -> None:
        if self.progress:
            self.progress(
                FetchProgress(self.rows, self.total, self.shards, self.shards_total, self.succeeded, self.failed)
            )


def summarize(folder: FetchFolder, rows: int, rows_now: int, failed_now: int) -> Fetched:
    """Count the outcomes in a folder, of `rows` rows; this call fetched `rows_now`, of which `failed_now` failed.

    Raises:
        CountError: not every row of the source has one outcome.
    """
    finished = folder.finished()
    files = [folder.files(shard).parquet for shard in finished]
    statuses: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    size = 0
    for file in files:
        table = read_columns(file, ["status", "error_class", "bytes"])
        statuses.update(table.column("status").to_pylist())
        errors.update(name for name in table.column("error_class").to_pylist() if name)
        size += sum(
            count
            for count, status in zip(table.column("bytes").to_pylist(), table.column("status").to_pylist(), strict=True)
            if status == SUCCESS
        )
    if statuses.total() != rows:
        raise CountError(
            f"{folder.folder}: {statuses.total():,} outcomes for {rows:,} rows in "
            f"{len(files)} shards (to {shard_name(max(finished, default=0))}); this is a bug, please report it"
        )
    found = repeated(files, folder.options.repeat_alarm)
    before = max(0, errors.total() - failed_now)
    return Fetched(folder.folder, rows, _most(statuses), _most(errors), len(files), size, found, rows_now, before)


def _most(counts: Counter[str]) -> dict[str, int]:
    """Sort counts, the largest first."""
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
