"""Write a shard whose rows all have an outcome, and choose rows of a finished shard to fetch again."""

from __future__ import annotations

from collections.abc import Sequence
from time import time

import pyarrow as pa

from poolwright.core.errors import PoolwrightError
from poolwright.core.files import remove
from poolwright.fetch.options import ALL_FAILED, FetchOptions
from poolwright.fetch.outcome import SUCCESS, FetchOutcome
from poolwright.fetch.shards.folder import FetchFolder
from poolwright.fetch.shards.journal import Journal, remove_journal
from poolwright.fetch.shards.records import read_outcomes


def rows_to_refetch(folder: FetchFolder, shard: int, options: FetchOptions) -> list[int] | None:
    """Return the rows of a finished shard that are to be fetched again; None if the shard stays as it is."""
    if not (options.retry or options.placeholders):
        return None
    outcomes = read_outcomes(folder.files(shard).parquet)
    everything = ALL_FAILED in options.retry
    rows = [
        outcome.row
        for outcome in outcomes
        if outcome.status != SUCCESS and (everything or outcome.error_class in options.retry)
    ]
    known = any(outcome.status == SUCCESS and outcome.sha256 in options.placeholders for outcome in outcomes)
    return rows if rows or known else None


def finish_shard(
    folder: FetchFolder,
    shard: int,
    rows: pa.Table,
    journal: Journal,
    begun: float,
    awaited: Sequence[int] = (),
    apart: FetchFolder | None = None,
) -> None:
    """Write the files of a shard whose rows all have an outcome. A call after a kill has the same result.

    Args:
        awaited: rows whose images later shards want.
        apart: folder to write to, for `put_in_place`; default the folder itself.

    Raises:
        PoolwrightError: a call with other placeholders was interrupted while it wrote the files.
        OSError: a file cannot be written, for example on a full disk; the journal stays.
    """
    files, into = folder.files(shard), apart or folder
    before: list[FetchOutcome] = []
    if journal.pending is not None:
        journal.sync()  # from here on the old files do not match their mark
        before = read_outcomes(files.parquet)
    old = files.reader() if any(outcome.status == SUCCESS for outcome in before) else None
    outcomes = [journal.outcomes.get(row) or before[row] for row in range(len(rows))]
    for outcome in outcomes:
        if outcome.status == SUCCESS and outcome.sha256 in folder.options.placeholders:
            outcome.fail("placeholder", f"the placeholder {outcome.sha256}")

    def image(outcome: FetchOutcome) -> bytes:
        if journal.has_image(outcome.row) or old is None:
            return journal.read(outcome.row)
        try:
            return old(outcome)
        except (KeyError, FileNotFoundError):
            raise PoolwrightError(
                f"{files.data}: the image of row {outcome.row} is missing: a call with other `placeholders`, which "
                "left it out, was interrupted; repeat that call"
            ) from None

    into.files(shard).write(rows, outcomes, image, begun, time())
    into.finish(shard, len(rows), awaited)
    journal.close()
    if apart is None:
        remove_journal(folder.work, shard)


def put_in_place(folder: FetchFolder, shard: int, apart: FetchFolder) -> None:
    """Move the files of a shard that was finished apart to its folder. After a kill, its journal finishes it again."""
    apart.files(shard).move(folder.files(shard))
    apart.move_marks(shard, folder)
    remove_journal(folder.work, shard)
    remove(apart.folder)
