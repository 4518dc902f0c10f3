"""Find bytes that came from many URLs, such as the placeholder 'This image is not available'.

Two passes over the finished shards in bounded memory: Misra and Gries (1982) find every hash that is more than one
in `_COUNTERS` of all, then those are counted exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from poolwright.fetch.outcome import SUCCESS
from poolwright.fetch.shards.records import URL, read_columns

_COUNTERS = 50_000
_REPORTED = 100


@dataclass(frozen=True)
class Repeated:
    """Bytes that came from several URLs.

    Attributes:
        sha256: of the bytes.
        urls: number of URLs.
        example: the first URL.
    """

    sha256: str
    urls: int
    example: str


def repeated(files: Sequence[Path], least: int) -> tuple[Repeated, ...]:
    """Return the bytes that came from at least `least` URLs, the most frequent first, 100 at most."""
    candidates = frequent((hash_ for hash_, _ in _hashes(files)), _COUNTERS, least)
    urls: dict[str, dict[str, None]] = {hash_: {} for hash_ in candidates}
    for hash_, url in _hashes(files) if candidates else ():
        if hash_ in urls:
            urls[hash_][url] = None
    found = [Repeated(hash_, len(seen), next(iter(seen))) for hash_, seen in urls.items() if len(seen) >= least]
    return tuple(sorted(found, key=lambda one: (-one.urls, one.sha256))[:_REPORTED])


def frequent(values: Iterable[str], counters: int, least: int) -> set[str]:
    """Return values that may occur `least` times; complete if that is more than one in `counters` of all."""
    counts: dict[str, int] = {}
    forgotten = 0
    for value in values:
        if value in counts or len(counts) < counters:
            counts[value] = counts.get(value, 0) + 1
            continue
        forgotten += 1
        counts = {name: count - 1 for name, count in counts.items() if count > 1}
    return {name for name, count in counts.items() if count + forgotten >= least}


def _hashes(files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for file in files:
        names = ("status", "sha256", URL)
        rows = read_columns(file, names)
        for status, sha256, url in zip(*(rows.column(name).to_pylist() for name in names), strict=True):
            if status == SUCCESS:
                yield sha256, url
