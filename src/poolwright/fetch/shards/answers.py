"""Read what rows of a finished shard were answered, for later rows with the same URLs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from poolwright.fetch.outcome import SUCCESS, FetchOutcome
from poolwright.fetch.shards.folder import FetchFolder
from poolwright.fetch.shards.records import KEPT, read_columns
from poolwright.fetch.shards.shard_files import ReadImage
from poolwright.fetch.sharing import Answer


class FinishedAnswers:
    """The answers of a finished shard.

    Args:
        folder: folder of the shards.
        shard: number of the shard.
    """

    def __init__(self, folder: FetchFolder, shard: int) -> None:
        self._files, self._places = folder.files(shard), folder.places(shard)
        self._rows = read_columns(self._files.parquet, KEPT)
        self._readers: list[ReadImage] = []

    def answer(self, row: int) -> Answer | None:
        """Return the answer of a row; None if its image is not where it was written."""
        outcome = FetchOutcome(row=row, **self._rows.slice(row, 1).to_pylist()[0])
        if outcome.status != SUCCESS:
            return Answer(outcome, None)
        for read in self._ways():
            try:
                data = read(outcome)
            except (KeyError, OSError):
                continue
            if hashlib.sha256(data).hexdigest() == outcome.sha256:
                return Answer(outcome, data)
        return None

    def _ways(self) -> Iterator[ReadImage]:
        """Yield readers of images: by their noted places, and by a search, which is made once."""
        for at, places in enumerate((self._places, None)):
            if at == len(self._readers):
                self._readers.append(self._files.reader(places))
            yield self._readers[at]
