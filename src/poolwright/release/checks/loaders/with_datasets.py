"""Load a release with `datasets`, as its card says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE
from poolwright.core.wording import counted
from poolwright.release.card.sections.loading import is_loaded_by_split
from poolwright.release.checks.loaders.loader import importing
from poolwright.release.checks.loaders.sampling import ROWS, SMALL, ends, spread
from poolwright.release.checks.result import Findings
from poolwright.release.data.features import FILE_NAME
from poolwright.release.record import ReleaseRecord

FILES = 4
"""Files of each split whose rows are read if a release is streamed."""


@dataclass(frozen=True)
class _Call:
    """Arguments of `load_dataset`, and the splits of the release by the names that it gives them."""

    arguments: Mapping[str, Any]
    splits: Mapping[str, str]
    config: str | None = None


def load(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    """Load every config and split with `load_dataset`, and compare rows and columns with the record.

    A release of at most `SMALL` bytes is loaded whole, and the rows at both ends of each split are read; of a larger
    one the first rows of `FILES` files of each split are streamed.

    Args:
        full: whether every row is read, with its image decoded.
    """
    with importing():
        import datasets

    wrong = [*_schemas(folder, release)]
    stream = sum((folder / file.path).stat().st_size for file in release.files) > SMALL
    read, images = 0, False
    with TemporaryDirectory(prefix="poolwright-datasets-", ignore_cleanup_errors=True) as cache:
        for call in _calls(folder, release) if not wrong else ():
            found = datasets.load_dataset(**call.arguments, streaming=stream, cache_dir=cache)
            wrong += _split_problems(set(found), call)
            for name, split in call.splits.items():
                if name in found:
                    rows = _Rows(found[name], split, stream, full)
                    wrong += rows.problems(release, _rows_of(release, split, call.config))
                    read, images = read + rows.read, rows.images
    given = "streams" if stream else f"gives {counted(release.rows, 'row')} in"
    seen = f"{counted(read, 'row')} read{', with their images' if images else ''}"
    return wrong, f"load_dataset {given} {counted(len(release.splits), 'split')}; {seen}"


def _schemas(folder: Path, release: ReleaseRecord) -> Iterator[str]:
    """Yield the Parquet files whose types `datasets` does not know; loading looks at the first alone."""
    from datasets import Features

    for file in release.files:
        if file.path.endswith(".parquet"):
            try:
                Features.from_arrow_schema(pq.read_schema(folder / file.path))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                yield f"'{file.path}': {str(error).splitlines()[0]}"


def _calls(folder: Path, release: ReleaseRecord) -> Iterator[_Call]:
    if is_loaded_by_split(release):
        for split in release.splits:
            yield _Call({"path": "imagefolder", "data_dir": str(folder / split)}, {"train": split})
        return
    for config in release.configs or (None,):
        files = release.files if config is None else release.files_of(config)
        splits = {file.split: file.split for file in files}
        yield _Call({"path": str(folder), "name": config}, splits, config)


def _rows_of(release: ReleaseRecord, split: str, config: str | None) -> int:
    files = release.files if config is None else release.files_of(config)
    return sum(file.rows for file in files if file.split == split)


def _split_problems(found: set[str], call: _Call) -> Iterator[str]:
    of = f" of config '{call.config}'" if call.config else ""
    if found != set(call.splits):
        yield f"load_dataset gives the splits {sorted(found)}{of}, the release has {sorted(call.splits)}"


class _Rows:
    """The rows of one split, as `datasets` gives them."""

    def __init__(self, found: Any, split: str, stream: bool, full: bool) -> None:
        self.found, self.split, self.stream, self.full = found, split, stream, full
        self.read, self.images = 0, False

    def problems(self, release: ReleaseRecord, wanted: int) -> Iterator[str]:
        """Yield what differs from the record: rows, columns, images."""
        features = self.found.features or {}
        missing = [known.name for known in release.columns if known.name not in features and known.name != FILE_NAME]
        if missing and features:
            yield f"split '{self.split}' is loaded without {', '.join(missing)}"
        if not self.stream and len(self.found) != wanted:
            yield f"split '{self.split}' is loaded with {len(self.found):,} rows, the release has {wanted:,}"
            return
        self.images = release.images is not None and IMAGE in features
        for row in self._rows():
            self.read += 1
            if self.images and row[IMAGE] is None:
                yield f"split '{self.split}' has a row without image: {row.get('uid', '')}"
        if self.stream and self.full and self.read != wanted:
            yield f"split '{self.split}' is streamed with {self.read:,} rows, the release has {wanted:,}"

    def _rows(self) -> Iterator[Any]:
        if self.full:
            yield from self.found
        elif self.stream:
            files = self.found.num_shards
            for file in spread(files, FILES):
                yield from islice(self.found.shard(num_shards=files, index=file), ROWS)
        else:
            yield from (self.found[number] for number in ends(len(self.found)))
