"""GLT layout: the sets of a generalized long tail, as ImageNet-GLT was published.

imagenet_sup_intra_lt_inter_lt.json   Train-GLT, its val and Test-GLT, Test-CBL, Test-GBL
imagenet_sup_intra_lt_inter_bl.json   Train-CBL and its val, Test-CBL, Test-GBL
metadata.parquet                      the same as one table: one row per image, with its set in either file

{"cat2id": {class: "0"}, "id2cat": {"0": class}, "train": {"label": {path: "0"}, "frequency": {path: 0},
"attribute": {path: 0}}, "val": ..., "test_lt": ..., "test_bl": ..., "test_bbl": ...}; numbers of classes are strings,
as in the files of https://github.com/KaihuaTang/Generalized-Long-Tailed-Benchmarks.pytorch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, field_validator

from poolwright.core.columns import (
    ATTRIBUTE,
    CLASS_INDEX,
    IMAGE_PATH,
    LABEL,
    UID,
    is_text,
)
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.params import Column, Columns
from poolwright.core.table import Table
from poolwright.reference.glt_sets import COLUMNS, FREQUENCY, SETS, SPLIT_CBL, SPLIT_GLT, TEST_BBL, TEST_BL, TEST_LT
from poolwright.release.card.markdown import code, fenced, grid
from poolwright.release.checks.result import Findings
from poolwright.release.data.features import plain_field, require, require_more, with_features, with_meanings
from poolwright.release.data.image_files import MetadataFile
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.layouts.layout import Layout, LayoutCheck
from poolwright.release.record import OtherFile, ReleasedFile, ReleaseRecord
from poolwright.release.statistics import Statistics

PARQUET, SPLIT_NAME = "metadata.parquet", "metadata"
PATH = "path"
FILES = {SPLIT_GLT: "{}_intra_lt_inter_lt.json", SPLIT_CBL: "{}_intra_lt_inter_bl.json"}
"""End of each file's name, by the column of its sets."""
KINDS = {"label": CLASS_INDEX, "frequency": FREQUENCY, "attribute": ATTRIBUTE}
_WORDS = {
    SPLIT_GLT: "Classes and attributes are long-tailed in train, val and test_lt; test_bl and test_bbl are balanced",
    SPLIT_CBL: "Classes are balanced and attributes long-tailed in train and val; test_bl and test_bbl are balanced",
}
_MEANINGS = {
    PATH: "The image file, as the JSON files name it",
    LABEL: "Name of the class",
    CLASS_INDEX: "Number of the class, the largest first",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_GROUP_ROWS = 50_000
_TESTS = (TEST_LT, TEST_BL, TEST_BBL)


class GltLayout(Layout):
    """The sets of the step `glt` as the two JSON files in which ImageNet-GLT was published, and as one table."""

    layout: ClassVar[str] = "glt"
    example: ClassVar[str] = "{table: best, layout: glt, root: /data/imagenet/train, to: out/best-glt}"
    tree: ClassVar[str] = """\
imagenet_sup_intra_lt_inter_lt.json   Train-GLT, its val and Test-GLT, Test-CBL, Test-GBL
imagenet_sup_intra_lt_inter_bl.json   Train-CBL and its val, Test-CBL, Test-GBL
                                      {"cat2id", "id2cat", "train", "val", "test_lt", "test_bl", "test_bbl"}; each set
                                      {"label": {path: "0"}, "frequency": {path: 0}, "attribute": {path: 0}}
metadata.parquet                      one row per image: path, class, attribute, frequency, set in either file"""

    label: Column = Field(default=LABEL, description="column of the class names")
    path: Column = Field(default=IMAGE_PATH, description="column of the paths")
    root: str = Field(default="", description="folder prepended to every path, such as /data/imagenet/train")
    name: str = Field(default="imagenet_sup", description="prefix of the names of the two files")
    more: Columns | None = Field(default=None, description="further columns for the table")

    @field_validator("name")
    @classmethod
    def _fits_a_file(cls, name: str) -> str:
        if not _NAME.match(name):
            raise ValueError(f"the names of files begin with '{name}'; use letters, digits, '.', '_' and '-'")
        return name

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: those of the step `glt`, class and path, and `more`."""
        for name in COLUMNS:
            if name not in schema.names:
                raise StepError(f"layout 'glt' writes what the step `glt` draws, but there is no column '{name}'")
        for name, what in ((self.label, "label"), (self.path, "path")):
            require(name, schema, f"'{what}'")
        if not is_text(schema.field(self.path).type):
            raise StepError(f"'path: {self.path}' has type {schema.field(self.path).type}; paths are text")
        more = require_more(self.more, schema, {UID, PATH, LABEL, *COLUMNS})
        return tuple(dict.fromkeys([UID, self.path, self.label, *COLUMNS, *more]))

    def class_name(self) -> str | None:
        """Return the column `label`."""
        return self.label

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the rows by class, attribute and path, whatever their order in the table."""
        rows = self._rows(table)
        classes = _classes(rows, table.name)
        schema = with_features(readable_schema(rows.schema, table, self._columns()), CLASS_INDEX, classes)
        writer = MetadataFile(folder / PARQUET, schema, _GROUP_ROWS)
        try:
            writer.write(rows.cast(schema))
        finally:
            writer.close()
        others = [self._write_file(folder, column, rows, classes) for column in FILES]
        metadata = ReleasedFile(path=PARQUET, split=SPLIT_NAME, rows=len(rows))
        record = self.record(table, schema, [metadata], {None: SPLIT_NAME}, None, classes, CLASS_INDEX)
        return with_meanings(record.model_copy(update={"others": tuple(others)}), _MEANINGS)

    def divisions(self, release: ReleaseRecord) -> Sequence[str]:
        """Return the columns of the sets."""
        return (SPLIT_GLT, SPLIT_CBL)

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to read the files, the sets of each protocol, and the table."""
        lt, bl = (code(pattern.format(self.name)) for pattern in FILES.values())
        protocols = [
            ("class-wise long tail", f"Train-GLT: {code('train')} of {lt}", f"Test-CBL: {code('test_bl')}"),
            ("attribute-wise long tail", f"Train-CBL: {code('train')} of {bl}", f"Test-GBL: {code('test_bbl')}"),
            ("generalized long tail", f"Train-GLT: {code('train')} of {lt}", f"Test-GBL: {code('test_bbl')}"),
        ]
        lines = [
            "import json",
            "",
            f'annotations = json.load(open("{FILES[SPLIT_GLT].format(self.name)}", encoding="utf-8"))',
            'train = annotations["train"]',
            'for path, label in train["label"].items():',
            '    name = annotations["id2cat"][label]  # label is a number as a string, "0" the largest class',
            '    group = train["frequency"][path]  # 0 many, 1 medium, 2 few',
            '    attribute = train["attribute"][path]  # 0 the largest of its class; not to be used in training',
        ]
        paths = f"Paths begin with `{self.root}`." if self.root else "Paths are relative to the folder of the images."
        words = f"{paths} The parameter `root` of the release prepends your folder. Code for the published files also "
        words += f"reads these. `{PARQUET}` has the same rows: `split_glt` and `split_cbl` are their sets."
        return "\n\n".join([fenced("\n".join(lines), "python"), grid(("protocol", "train", "test"), protocols), words])

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """Check that the two JSON files agree with the table, and that the test sets are disjoint from the others."""
        yield "sets", lambda: self._check_sets(folder, release)

    def _check_sets(self, folder: Path, release: ReleaseRecord) -> Findings:
        rows = pq.read_table(folder / PARQUET, columns=[PATH, *KINDS.values(), *FILES])
        wrong, counts = list(_overlaps(rows)), []
        for column, pattern in FILES.items():
            name = pattern.format(self.name)
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            wrong += [f"'{name}': {words}" for words in _differences(found, column, rows, release.classes)]
            counts.append(f"{sum(len(found[kind]['label']) for kind in SETS):,} images in {name}")
        return wrong, f"{' and '.join(counts)} agree with the table; no image of a test is in another set"

    def _rows(self, table: Table) -> pa.Table:
        """Return the rows of the table in the columns of the release, ordered."""
        found = table.read(self.needs(table.schema))
        for name, what in ((self.label, "class"), (self.path, "path"), *((name, name) for name in KINDS.values())):
            if found.column(name).null_count:
                uid = found.filter(pc.is_null(found.column(name))).column(UID)[0].as_py()
                raise ReleaseError(f"table '{table.name}': the row of uid {uid!r} has no {what}, as '{name}' is null")
        rows = pa.table({name: found.column(column) for name, column in self._columns().items()})
        rows = rows.cast(pa.schema([plain_field(field) for field in rows.schema]))
        if self.root:
            paths = pc.binary_join_element_wise(self.root.rstrip("/"), rows.column(PATH).cast(pa.string()), "/")
            rows = rows.set_column(1, PATH, paths)
        rows = rows.sort_by([(name, "ascending") for name in (CLASS_INDEX, ATTRIBUTE, PATH)])
        _check_paths(rows, table.name)
        return rows

    def _columns(self) -> dict[str, str]:
        """Return the columns of the release -> the columns of the table that they are made from."""
        names = {UID: UID, PATH: self.path, LABEL: self.label}
        same = (CLASS_INDEX, ATTRIBUTE, FREQUENCY, SPLIT_GLT, SPLIT_CBL, *(self.more or ()))
        return names | {name: name for name in same}

    def _write_file(self, folder: Path, column: str, rows: pa.Table, classes: tuple[str, ...]) -> OtherFile:
        name = FILES[column].format(self.name)
        with (folder / name).open("w", encoding="utf-8", newline="\n") as out:
            out.write(f'{{"cat2id": {json.dumps({label: str(number) for number, label in enumerate(classes)})}')
            out.write(f', "id2cat": {json.dumps({str(number): label for number, label in enumerate(classes)})}')
            for kind in SETS:
                _write_set(out, kind, rows.filter(pc.fill_null(pc.equal(rows.column(column), kind), False)))
            out.write("}")
        return OtherFile(path=name, type="application/json", words=_WORDS[column])


def _write_set(out: TextIO, name: str, rows: pa.Table) -> None:
    paths = rows.column(PATH).to_pylist()
    parts = []
    for kind, column in KINDS.items():
        values = rows.column(column)
        values = values.cast(pa.string()) if kind == "label" else values
        parts.append(f'"{kind}": {json.dumps(dict(zip(paths, values.to_pylist(), strict=True)))}')
    out.write(f', "{name}": {{{", ".join(parts)}}}')


def _differences(found: dict[str, Any], column: str, rows: pa.Table, classes: Sequence[str]) -> Iterator[str]:
    """Yield the differences between a file and the sets in a column of the table."""
    names = {str(number): name for number, name in enumerate(classes)}
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
                yield f"'{kind}' of {name} differs from the {len(wanted[name]):,} rows of the table"


def _overlaps(rows: pa.Table) -> Iterator[str]:
    """Report test images that are in another set of the other file; within a file each image has one set."""
    sets = zip(*(rows.column(name).to_pylist() for name in (PATH, SPLIT_GLT, SPLIT_CBL)), strict=True)
    found = [(path, *both) for path, *both in sets if None not in both and len({*both}) > 1 and {*both} & {*_TESTS}]
    if found:
        path, one, other = found[0]
        yield f"{len(found):,} test images are in other sets too: '{path}' is in {one} of GLT and in {other} of CBL"


def _check_paths(rows: pa.Table, table: str) -> None:
    counts = pc.value_counts(rows.column(PATH))
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        times, path = twice[0]["counts"].as_py(), twice[0]["values"].as_py()
        raise ReleaseError(
            f"table '{table}': {times:,} rows have the path {path!r}, which must identify one image; is 'path' the "
            "right column?"
        )


def _classes(rows: pa.Table, table: str) -> tuple[str, ...]:
    """Return the names of the classes by number.

    Raises:
        ReleaseError: a number has two names, a name two numbers, or a number has no row.
    """
    pairs = sorted(_pairs(rows))
    numbers = [number for number, _ in pairs]
    names = [str(name) for _, name in pairs]
    if numbers != list(range(len(numbers))) or len(set(names)) < len(names):
        wrong = next((pair for number, pair in enumerate(pairs) if pair[0] != number), None)
        problem = f"{wrong[1]!r} has number {wrong[0]}" if wrong else "a name has two numbers"
        raise ReleaseError(
            f"table '{table}': '{CLASS_INDEX}' does not number the classes of 'label' from 0, each once: {problem}; "
            "release the table that has the step `glt`, with the column of its classes"
        )
    return tuple(names)


def _pairs(rows: pa.Table) -> Iterator[tuple[int, str | int]]:
    found = rows.group_by([CLASS_INDEX, LABEL]).aggregate([])
    yield from zip(found.column(CLASS_INDEX).to_pylist(), found.column(LABEL).to_pylist(), strict=True)
