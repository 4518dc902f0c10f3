"""GeoYFCC layout: metadata of all rows in one table, and the rows of subsets as index arrays.

metadata.parquet         the published columns, rows in the order of the table
metadata.pkl             the same as a pandas DataFrame (`pickle: true`)
350_sample_indices.npy   row numbers of a subset; 350_label_wnids.csv: its classes

Format in which CLIP-GeoYFCC was published: https://github.com/lilyjiayi/CLIP-GeoYFCC.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from poolwright.core.columns import LABEL, UID, is_text
from poolwright.core.errors import MissingExtra, ReleaseError, StepError
from poolwright.core.params import Column, Columns
from poolwright.core.table import Table
from poolwright.release.card.markdown import code, fenced, grid
from poolwright.release.card.sections.making import funnel
from poolwright.release.checks.loaders import with_pandas
from poolwright.release.checks.loaders.loader import Loader
from poolwright.release.data.features import require, require_more, with_meanings
from poolwright.release.data.image_files import MetadataFile
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.layouts.layout import Layout, LayoutCheck
from poolwright.release.layouts.shared.geoyfcc_columns import CLASS, MEANINGS, VOCABULARY, Published, PublishedColumns
from poolwright.release.layouts.shared.subset_checks import check_subsets
from poolwright.release.layouts.shared.subsets import CLASSES, INDICES, WNID, WNIDS, Classes, positions, write_subset
from poolwright.release.lineage import between, save_lineage, without_paths
from poolwright.release.record import OtherFile, ReleasedFile, ReleasedSubset, ReleaseRecord
from poolwright.release.statistics import Statistics

SPLIT_NAME = "metadata"
PARQUET = "metadata.parquet"
PICKLE = "metadata.pkl"
_GROUP_ROWS = 50_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def _as_subsets(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Mapping | list | tuple):
        raise ValueError("subsets are names of tables, or a mapping of names to tables: {350: TABLE}")
    return {str(name): table for name, table in value.items()} if isinstance(value, Mapping) else value


Subsets = Annotated[
    tuple[Column, ...] | dict[str, Column],
    BeforeValidator(_as_subsets),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": {"type": "string"}},
            ]
        }
    ),
]


class GeoYfccLayout(Layout):
    """One table of metadata, with subsets as arrays of row numbers, as CLIP-GeoYFCC was published."""

    layout: ClassVar[str] = "geoyfcc"
    example: ClassVar[str] = (
        "{table: best, layout: geoyfcc, columns: {yfcc_metadata: null}, pickle: true, to: out/best}"
    )
    tree: ClassVar[str] = """\
metadata.parquet                    one row per image, in the published columns
metadata.pkl                        the same as a pandas DataFrame, with `pickle: true`
350_sample_indices.npy              a subset of 350 classes: row numbers in the metadata, int64
350_label_wnids.csv                 its classes: one column `wnid`, by class number
classes.csv                         all classes: number, index in the vocabulary, WordNet id, name, rows"""
    nested: ClassVar[bool] = True

    columns: PublishedColumns = Field(
        default=PublishedColumns(),
        description="columns of the table that the published ones are made from, such as {yfcc_row_id: uid}; null "
        "leaves one out",
    )
    more: Columns | None = Field(default=None, description="further columns to release, such as similarity")
    subsets: Subsets = Field(
        default=(),
        description="tables that come from this one, whose rows are given as index arrays; files are named by the "
        "number of classes, or by the keys of a mapping: {350: TABLE}",
    )
    wnid: Column = Field(default=WNID, description="column of the WordNet ids of the classes; subsets need it")
    pickle: bool = Field(default=False, description="write metadata.pkl too, a pandas DataFrame (needs pandas)")

    @field_validator("subsets")
    @classmethod
    def _names_fit(cls, subsets: Any) -> Any:
        for name in subsets if isinstance(subsets, Mapping) else ():
            if not _NAME.match(name):
                raise ValueError(f"the names of files begin with '{name}'; use letters, digits, '.', '_' and '-'")
        tables = list(subsets.values()) if isinstance(subsets, Mapping) else list(subsets)
        if len(set(tables)) < len(tables):
            raise ValueError("a table is named twice")
        return subsets

    def tables(self) -> tuple[str, ...]:
        """Return the tables of the subsets."""
        return tuple(self.subsets.values()) if isinstance(self.subsets, Mapping) else self.subsets

    def check(self, schema: pa.Schema) -> None:
        """Check the columns, and that pandas is installed if `pickle` is set."""
        super().check(schema)
        if self.pickle and find_spec("pandas") is None:
            raise MissingExtra("pandas", "'pickle: true' of layout 'geoyfcc'")

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: the sources of the published ones, `more`, and the WordNet id."""
        sources = self.columns.sources(schema)
        names = [UID, *(column for columns in sources.values() for column in columns)]
        names += require_more(self.more, schema, sources)
        if self.subsets:
            require(self.wnid, schema, "'wnid'")
            if not is_text(schema.field(self.wnid).type):
                raise StepError(f"'wnid: {self.wnid}' has type {schema.field(self.wnid).type}; it must be text")
            if CLASS not in sources:
                raise StepError(f"subsets are named by their classes, but 'columns' leaves '{CLASS}' out")
            names.append(self.wnid)
        return tuple(dict.fromkeys(names))

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the metadata, the classes and the subsets."""
        sources = self.columns.sources(table.schema)
        published = Published(table, sources, self.more or ())
        classes = Classes(table.name, self._about(table.schema, sources))
        schema = readable_schema(published.schema, table)
        numbers = self._write_metadata(table, folder, published, classes, schema)
        others: list[OtherFile] = []
        if CLASS in sources:
            classes.check(sources[CLASS][0])
            others.append(classes.write(folder))
        subsets, files = self._write_subsets(table, folder, numbers, classes)
        if self.pickle:
            others.append(_write_pickle(folder))
        metadata = ReleasedFile(path=PARQUET, split=SPLIT_NAME, rows=table.record.rows_kept)
        record = self.record(table, schema, [metadata], {None: SPLIT_NAME}, None)
        record = record.model_copy(update={"subsets": tuple(subsets), "others": (*others, *files)})
        return with_meanings(record, MEANINGS)

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to load the metadata and its subsets."""
        lines = ["import numpy as np", "import pandas as pd", "", f'metadata = pd.read_parquet("{PARQUET}")']
        if release.subsets:
            name = release.subsets[0].name
            lines.append(f'subset = metadata.iloc[np.load("{INDICES.format(name)}")]')
            lines.append(f'wnids = pd.read_csv("{WNIDS.format(name)}")["wnid"]  # its classes, by label_ids')
        words = fenced("\n".join(lines), "python")
        if self.pickle:
            words += f'\n\n`{PICKLE}` holds the same: `pd.read_pickle("{PICKLE}")`. '
            words += "A pickle can run code when it is read; read it only if you trust its source."
        listed = [f"`{other.path}`: {other.words}." for other in release.others if other.path == CLASSES]
        return "\n\n".join([words, *listed])

    def loaders(self, release: ReleaseRecord) -> Sequence[Loader]:
        """Return `datasets` and pandas."""
        return [*super().loaders(release), Loader("pandas", with_pandas.load)]

    def sections(self, release: ReleaseRecord, table: Table) -> Sequence[str]:
        """Return a section on the subsets and how they were made."""
        if not release.subsets:
            return []
        rows = [
            (code(subset.table), f"{subset.classes:,}", f"{subset.rows:,}", code(INDICES.format(subset.name)))
            for subset in release.subsets
        ]
        words = f"## Subsets\n\n{grid(('subset', 'classes', 'rows', 'row numbers'), rows, (1, 2))}"
        made = {ancestor.name: ancestor for other in self.others(table) for ancestor in between(other, table)}
        funnels = [funnel(without_paths(ancestor.record)) for ancestor in made.values()]
        return [words, *funnels, "Their records and states are in `lineage/`."]

    def task_categories(self, release: ReleaseRecord) -> list[str]:
        """Return classification, unless the classes are left out."""
        return ["image-classification"] if release.has(CLASS) else super().task_categories(release)

    def subset_rows(self, folder: Path, release: ReleaseRecord) -> Mapping[str, np.ndarray]:
        """Return the row numbers in the index arrays."""
        names = [subset.name for subset in release.subsets]
        return {name: np.load(folder / INDICES.format(name), allow_pickle=False) for name in names}

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """Check that classes.csv and the subsets agree with the metadata. Pickles are not opened."""
        if any(other.path == CLASSES for other in release.others):
            yield "subsets", lambda: check_subsets(folder, release)

    def _about(self, schema: pa.Schema, sources: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Return the columns of classes.csv -> the columns that they are read from."""
        about = {VOCABULARY: sources[VOCABULARY][0]} if VOCABULARY in sources else {}
        about |= {WNID: self.wnid} if self.wnid in schema.names else {}
        return about | ({"name": LABEL} if LABEL in schema.names else {})

    def _write_metadata(
        self, table: Table, folder: Path, published: Published, classes: Classes, schema: pa.Schema
    ) -> np.ndarray:
        """Write metadata.parquet; return the class numbers of all rows."""
        wanted = tuple(dict.fromkeys([*published.columns, *classes.columns.values()]))
        numbers = []
        writer = MetadataFile(folder / PARQUET, schema, _GROUP_ROWS)
        try:
            for rows in table.batches(wanted):
                made = published.of(rows)
                writer.write(pa.table(list(made.values()), schema=published.schema).cast(schema))
                if CLASS in made:
                    numbers.append(made[CLASS].to_numpy())
                    classes.add(made[CLASS], [_undictionary(rows.column(name)) for name in classes.columns.values()])
        finally:
            writer.close()
        return np.concatenate(numbers) if numbers else np.empty(0, np.int64)

    def _write_subsets(
        self, table: Table, folder: Path, numbers: np.ndarray, classes: Classes
    ) -> tuple[list[ReleasedSubset], list[OtherFile]]:
        others = self.others(table)
        if not others:
            return [], []
        uids = table.read([UID]).column(UID).cast(pa.string())
        found = {other.name: positions(other, uids, table.name) for other in others}
        names = self._names(table.name, found, numbers)
        subsets, files = [], []
        for other in others:
            subset, made = write_subset(folder, names[other.name], other.name, found[other.name], numbers, classes)
            subsets.append(subset)
            files += made
            save_lineage(folder, other, table)
        return subsets, files

    def _names(self, base: str, found: Mapping[str, np.ndarray], numbers: np.ndarray) -> dict[str, str]:
        """Return the prefix of each subset's file names, by its table."""
        if isinstance(self.subsets, Mapping):
            return {table: name for name, table in self.subsets.items()}
        names = {table: str(len(np.unique(numbers[positions]))) for table, positions in found.items()}
        count, times = Counter(names.values()).most_common(1)[0]
        if times > 1:
            one, other, *_ = (table for table, name in names.items() if name == count)
            raise ReleaseError(
                f"table '{base}': the subsets '{one}' and '{other}' both have {count} classes, by which their files "
                f"are named; give them names: `subsets: {{{count}a: {one}, {count}b: {other}}}`"
            )
        return names


def _undictionary(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _write_pickle(folder: Path) -> OtherFile:
    """Write the metadata as a DataFrame of numbers and objects, which old and new versions of pandas can read."""
    import pickle

    import pandas as pd
    import pyarrow.parquet as pq

    with pq.ParquetFile(folder / PARQUET) as file:
        table = file.read(use_threads=False)
    columns = {}
    for name in table.column_names:
        values = table.column(name).to_numpy()
        table = table.drop_columns([name])
        columns[name] = pd.Series(values, dtype=object if values.dtype == object else None)
    frame = pd.DataFrame(columns)
    frame.columns = pd.Index(list(columns), dtype=object)
    with (folder / PICKLE).open("wb") as out:
        pickle.dump(frame, out, protocol=4)
    return OtherFile(path=PICKLE, type="application/octet-stream", words="The metadata as a pandas DataFrame, pickled")
