"""Measure how much of a released dataset can still be fetched from its URLs, by class and by error."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from poolwright.core.columns import LABEL
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.files import write_text
from poolwright.core.wording import guarded
from poolwright.fetch.fetch import Fetched, SourceLike
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import SUCCESS
from poolwright.fetch.shards.folder import FetchFolder
from poolwright.fetch.sources import open_source

JSON, CSV = "recovery.json", "recovery.csv"


@dataclass(frozen=True)
class ClassRecovery:
    """One class of a release.

    Attributes:
        name: of the class.
        rows: its rows.
        recovered: rows with an image again.
        errors: rows without one, by error class.
    """

    name: str
    rows: int
    recovered: int
    errors: dict[str, int]

    @property
    def share(self) -> float:
        """Share of the rows that have an image again."""
        return self.recovered / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Recovery:
    """Recovered part of a release.

    Attributes:
        fetched: result of fetching all rows.
        verified: number of images with the SHA-256 of the release; the others had none to compare.
        classes: the least recovered first; empty if the release has no classes.
        files: the report as JSON and CSV.
    """

    fetched: Fetched
    verified: int
    classes: tuple[ClassRecovery, ...]
    files: tuple[Path, ...]


def recovery(fetched: Fetched, options: FetchOptions, column: str | None) -> Recovery:
    """Count a finished fetch by class, and write the report next to the shards.

    Args:
        fetched: result of `fetch_images`.
        options: options of the fetch.
        column: column of the classes, from `check_class_column`.
    """
    folder = FetchFolder(fetched.folder, options)
    files = [folder.files(shard).parquet for shard in folder.finished()]
    rows: Counter[str] = Counter()
    errors: dict[str, Counter[str]] = defaultdict(Counter)
    verified = 0
    for file in files:
        there = pq.read_schema(file).names
        wanted = ["status", "error_class", *(name for name in (column, "expected_sha256") if name in there)]
        for row in pq.read_table(file, columns=wanted).to_pylist():
            verified += row["status"] == SUCCESS and bool(row.get("expected_sha256"))
            if column:
                name = _class_name(row[column])
                rows[name] += 1
                errors[name].update([row["error_class"]] if row["status"] != SUCCESS else [])
    found = [ClassRecovery(name, rows[name], rows[name] - errors[name].total(), dict(errors[name])) for name in rows]
    classes = tuple(sorted(found, key=lambda one: (one.share, -one.rows, one.name)))
    return Recovery(fetched, verified, classes, _write(fetched, verified, classes))


def check_class_column(source: SourceLike, options: FetchOptions, wanted: str | None) -> str | None:
    """Return the column of the classes, by its name in the output; None if there is none.

    Args:
        source: source of the rows.
        options: options of the fetch.
        wanted: column of the source; None for `label`, if there is one.

    Raises:
        RecipeError: there is no such column.
    """
    opened = open_source(source, options)
    if (wanted or LABEL) in opened.names:
        return str(opened.schema.names[opened.names.index(wanted or LABEL)])
    if wanted:
        raise RecipeError(f"no column '{wanted}' for the class; {did_you_mean(wanted, opened.names)}")
    return None


def _class_name(value: Any) -> str:
    return "(none)" if value is None else str(value)


def _write(fetched: Fetched, verified: int, classes: Sequence[ClassRecovery]) -> tuple[Path, ...]:
    """Write recovery.json and, if there are classes, recovery.csv: one line per class, one column per error."""
    report = {
        "rows": fetched.rows,
        "recovered": fetched.succeeded,
        "share": fetched.succeeded / fetched.rows if fetched.rows else 0.0,
        "verified_by_sha256": verified,
        "errors": dict(fetched.errors),
        "classes": [
            {"class": one.name, "rows": one.rows, "recovered": one.recovered, "share": one.share, "errors": one.errors}
            for one in classes
        ],
    }
    files = [fetched.folder / JSON]
    write_text(files[0], json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    if classes:
        files.append(fetched.folder / CSV)
        write_text(files[1], _csv(classes, list(fetched.errors)))
    return tuple(files)


def _csv(classes: Sequence[ClassRecovery], errors: Sequence[str]) -> str:
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["class", "rows", "recovered", "share", *errors])
    for one in classes:
        cells = [
            guarded(one.name),
            one.rows,
            one.recovered,
            f"{one.share:.4f}",
            *(one.errors.get(e, 0) for e in errors),
        ]
        lines.writerow(cells)
    return out.getvalue()
