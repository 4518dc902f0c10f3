"""Check of a GLT release: do the two JSON files and the table agree, and are the test sets apart?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.reference.glt_sets import SETS, SPLIT_CBL, SPLIT_GLT
from poolwright.release.layouts.glt import FILES, KINDS, PATH
from poolwright.release.record import ReleaseRecord

_TESTS = ("test_lt", "test_bl", "test_bbl")


def check_sets(folder: Path, release: ReleaseRecord) -> tuple[list[str], str]:
    """What is wrong with the files, and words for when nothing is."""
    rows = pq.read_table(folder / release.files[0].path, columns=[PATH, *KINDS.values(), *FILES])
    wrong, told = list(_overlaps(rows)), []
    for column, pattern in FILES.items():
        name = pattern.format(release.parameters["name"])
        found = json.loads((folder / name).read_text(encoding="utf-8"))
        wrong += [f"'{name}': {words}" for words in _wrong(found, column, rows, release)]
        told.append(f"{sum(len(found[kind]['label']) for kind in SETS):,} images in {name}")
    return wrong, f"{' and '.join(told)} agree with the table; no image of a test is in another set"


def _wrong(found: dict[str, Any], column: str, rows: pa.Table, release: ReleaseRecord) -> Iterator[str]:
    names = {str(number): name for number, name in enumerate(release.classes)}
    if found["id2cat"] != names or found["cat2id"] != {name: number for number, name in names.items()}:
        yield f"cat2id and id2cat do not have the {len(names):,} classes of release.json"
    sets = rows.column(column).to_pylist()
    paths = rows.column(PATH).to_pylist()
    for kind, source in KINDS.items():
        values = rows.column(source).to_pylist()
        wanted: dict[str, dict[str, Any]] = {name: {} for name in SETS}
        for name, path, value in zip(sets, paths, values, strict=True):
            if name is not None:
                wanted[name][path] = str(value) if kind == "label" else value
        for name in SETS:
            if found[name][kind] != wanted[name]:
                yield f"'{kind}' of {name} is not that of the {len(wanted[name]):,} rows of the table"


def _overlaps(rows: pa.Table) -> Iterator[str]:
    """Images of a test that are in another set of the other file; in one file each image has one set."""
    sets = zip(*(rows.column(name).to_pylist() for name in (PATH, SPLIT_GLT, SPLIT_CBL)), strict=True)
    found = [(path, *both) for path, *both in sets if None not in both and len({*both}) > 1 and {*both} & {*_TESTS}]
    if found:
        path, one, other = found[0]
        yield f"{len(found):,} images of tests are in other sets too: '{path}' is in {one} of GLT and in {other} of CBL"
