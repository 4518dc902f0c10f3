"""Write and read the candidates of a step `verify`, so that the studio judges the same rows by the same terms.

`candidates.parquet` holds `uid`, `class` and `bucket` of every candidate, including those that nobody was asked about,
in the order in which people are asked. It dates from the last time that the step read its worklist.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.annotation.answers import ClassName, YesNo, meanings_of
from poolwright.annotation.candidates import Candidates
from poolwright.annotation.deciding.judging import Terms
from poolwright.core.errors import InputError
from poolwright.core.parquet import write_parquet

CANDIDATES = "candidates.parquet"
FORMAT = 1

_MANY = 100_000  # rows from which several threads pay off
_KEY = b"poolwright.candidates"


@dataclass(frozen=True)
class Understanding:
    """How a step understands what people write.

    Attributes:
        answer: kind of answer asked for: "yes_no", "class" or "classes".
        words: meanings of words besides the usual ones.
        files: files with answers besides those in the worklist.
        field: name of the field of these that has the answers.
    """

    answer: str = "yes_no"
    words: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    field: str = "verdict"

    def meanings(self, classes: list[str]) -> YesNo | ClassName:
        """Return the interpretation of words if these classes are asked about."""
        return meanings_of(self.answer, set(classes), self.words)


@dataclass(frozen=True)
class CandidateFile:
    """The contents of the file.

    Attributes:
        rows: `uid`, `class` and `bucket`, strings; '' for candidates without bucket.
        terms: terms by which they are judged.
        understanding: how answers are understood.
    """

    rows: pa.Table
    terms: Terms
    understanding: Understanding


def write_candidates(worklist: Path, candidates: Candidates, terms: Terms, understanding: Understanding) -> None:
    """Write the file, unless it exists with the same contents."""
    columns = {"uid": candidates.uids, "class": candidates.classes, "bucket": candidates.buckets}
    about = {"format": FORMAT, "terms": asdict(terms), **asdict(understanding)}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    table = table.replace_schema_metadata({_KEY: json.dumps(about, ensure_ascii=False)})
    path = worklist / CANDIDATES
    if not (path.exists() and _same(path, table)):
        write_parquet(path, table)


def _same(path: Path, table: pa.Table) -> bool:
    try:
        with pq.ParquetFile(path) as file:
            written = file.read(use_threads=file.metadata.num_rows > _MANY)
    except (OSError, pa.ArrowException):
        return False
    return bool(written.equals(table) and (written.schema.metadata or {}).get(_KEY) == table.schema.metadata[_KEY])


def read_candidates(worklist: Path) -> CandidateFile | None:
    """Read the file, or return None if there is none.

    Raises:
        InputError: it is damaged.
    """
    path = worklist / CANDIDATES
    if not path.exists():
        return None
    try:
        with pq.ParquetFile(path) as file:
            rows = file.read(use_threads=file.metadata.num_rows > _MANY)
        about = json.loads(rows.schema.metadata[_KEY])
        terms = Terms(**{**about["terms"], "reviewers": tuple(about["terms"].get("reviewers", ()))})
        understanding = Understanding(
            about["answer"], about["words"], tuple(about["files"]), about.get("field", "verdict")
        )
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        raise InputError(f"{path} is damaged, or of another version; run the recipe again to write it anew") from None
    return CandidateFile(rows, terms, understanding)
