"""Make the columns in which CLIP-GeoYFCC was published from those of a table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from poolwright.core import columns as names
from poolwright.core.columns import UID, is_text
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.params import Column, Columns
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.release.data.features import require_published

ROW_ID = "yfcc_row_id"
CLASS = "label_ids"
VOCABULARY = "in_imagenet21k_label_indices"
COUNTRY_ID = "country_id"
IS_TRAIN = "is_train"
METADATA = "yfcc_metadata"

_NUMBERS = frozenset((ROW_ID, CLASS, VOCABULARY, COUNTRY_ID))
# Columns of YFCC100M's metadata, as its pool names them.
_YFCC = (
    *("line_number", "photo_id", "hash", "user_nsid", names.AUTHOR, names.TAKEN_AT, "taken", names.UPLOADED_AT),
    *("capture_device", names.TITLE, "description", "user_tags", "machine_tags", names.LONGITUDE, names.LATITUDE),
    *("accuracy", "page_url", names.URL, names.LICENSE, "license_name", "license_url", "server", "farm", "secret"),
    *("original_secret", "extension", "media", names.ATTRIBUTION),
)

MEANINGS = {
    ROW_ID: "Row of the image in YFCC100M: first column of yfcc100m_dataset, from 0",
    CLASS: "Class of the image, 0 to n-1; classes.csv has the names",
    VOCABULARY: "Index of the class in ImageNet-21K",
    "continent": "Domain: continent of the country",
    "region": "Region of the country, such as Western Africa",
    "country": "Country of the image",
    COUNTRY_ID: "Number of the country",
    IS_TRAIN: "Whether the image is for training",
    "file_name": "Image file",
    METADATA: "Metadata of the image in YFCC100M",
}
"""Meanings of the published columns, in their order."""


class PublishedColumns(BaseModel):
    """Columns of the table that the published columns are made from; null leaves one out."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    yfcc_row_id: Column | None = Field(default=ROW_ID, description="row in YFCC100M, as integers or text")
    label_ids: Column | None = Field(default="class_index", description="class, numbered 0 to n-1; see renumber")
    in_imagenet21k_label_indices: Column | None = Field(
        default=names.LABEL_INDEX, description="index of the class in its vocabulary"
    )
    continent: Column | None = Field(default=names.CONTINENT, description="domain")
    region: Column | None = Field(default=names.REGION, description="region of the country")
    country: Column | None = Field(default=names.COUNTRY, description="name of the country")
    country_id: Column | None = Field(
        default=COUNTRY_ID, description="number of the country; if the table has none, by order of the names"
    )
    is_train: Column | None = Field(default=IS_TRAIN, description="booleans, or text with the value 'train'")
    file_name: Column | None = Field(default=names.IMAGE_PATH, description="image file")
    yfcc_metadata: Columns | None = Field(
        default=(METADATA,),
        description="one column to copy, or several to combine; if the table has no yfcc_metadata, all columns of "
        "YFCC100M that it has",
    )

    def sources(self, schema: pa.Schema) -> dict[str, tuple[str, ...]]:
        """Return the table columns by published column, in published order; () if countries have to be numbered.

        Raises:
            StepError: the table lacks a column, or its type does not fit.
        """
        found: dict[str, tuple[str, ...]] = {}
        for name in MEANINGS:
            given = getattr(self, name)
            if given is None:
                continue
            columns = given if isinstance(given, tuple) else (given,)
            usual = name not in self.model_fields_set
            if usual and columns[0] not in schema.names:
                columns = self._instead(name, columns, schema)
            for column in columns:
                require_published(name, column, schema, partial(_fits, name))
            found[name] = columns
        if not found:
            raise StepError("'columns' leaves all published columns out")
        return found

    def _instead(self, name: str, columns: tuple[str, ...], schema: pa.Schema) -> tuple[str, ...]:
        """Return the default sources of a published column that the table lacks."""
        if name == METADATA:
            return tuple(column for column in _YFCC if column in schema.names) or columns
        if name == COUNTRY_ID and self.country in schema.names:
            return ()
        return columns


def _fits(name: str, dtype: pa.DataType) -> bool:
    text = is_text(dtype)
    if name in _NUMBERS:
        return bool(pa.types.is_integer(dtype)) or (text and name == ROW_ID)
    if name == IS_TRAIN:
        return text or bool(pa.types.is_boolean(dtype))
    return text if name in ("continent", "region", "country", "file_name") else True


class Published:
    """Maker of the published columns of a table's rows.

    Args:
        table: a finished table.
        sources: result of `PublishedColumns.sources`.
        more: further columns, unchanged.
    """

    def __init__(self, table: Table, sources: Mapping[str, tuple[str, ...]], more: tuple[str, ...]) -> None:
        self.table, self.sources, self.more = table, sources, more
        self.countries = self._countries() if sources.get(COUNTRY_ID) == () else None
        inner = dict.fromkeys(column for columns in sources.values() for column in columns)
        self.columns = tuple(dict.fromkeys([UID, *inner, *more]))
        empty = Rows(table.schema.empty_table().select(self.columns))
        self.schema = pa.schema(pa.field(name, array.type) for name, array in self.of(empty).items())

    def of(self, rows: Rows) -> dict[str, pa.Array]:
        """Return the published columns of some rows.

        Raises:
            ReleaseError: a value of a column of integers or booleans is missing, or is not an integer.
        """
        made = {name: self._one(name, columns, rows) for name, columns in self.sources.items()}
        return {**made, **{name: _plain(rows.column(name)) for name in self.more}}

    def _one(self, name: str, columns: tuple[str, ...], rows: Rows) -> pa.Array:
        if name == COUNTRY_ID and self.countries is not None:
            country = self.sources["country"][0]
            found = pc.index_in(_plain(rows.column(country)).cast(pa.string()), value_set=self.countries)
            return self._whole(name, country, found.cast(pa.int64()), rows)
        if name == METADATA:
            return _metadata(columns, rows)
        values = _plain(rows.column(columns[0]))
        if name in _NUMBERS:
            return self._whole(name, columns[0], self._integers(columns[0], values, rows), rows)
        if name == IS_TRAIN and not pa.types.is_boolean(values.type):
            values = pc.equal(values, "train")
        if name == IS_TRAIN:
            return self._whole(name, columns[0], values, rows)
        return values.cast(pa.string())

    def _integers(self, column: str, values: pa.Array, rows: Rows) -> pa.Array:
        try:
            return values.cast(pa.int64())
        except pa.ArrowInvalid:
            at = next(at for at, value in enumerate(values.to_pylist()) if value is not None and not _is_whole(value))
            raise ReleaseError(
                f"table '{self.table.name}': '{column}' of uid {rows.strings(UID)[at]!r} is {values[at].as_py()!r}, "
                "which is not a 64-bit integer; name another column with 'columns'"
            ) from None

    def _whole(self, name: str, column: str, values: pa.Array, rows: Rows) -> pa.Array:
        if values.null_count:
            at = pc.index(values.is_null(), True).as_py()
            raise ReleaseError(
                f"table '{self.table.name}': '{column}' of uid {rows.strings(UID)[at]!r} is null, and the published "
                f"column '{name}' has a value in every row; drop such rows in a step: `where: {column} is not null`"
            )
        return values

    def _countries(self) -> pa.Array:
        """Return the countries of the table in order of their names."""
        found: set[str] = set()
        column = self.sources["country"][0]
        for rows in self.table.batches([column]):
            found.update(pc.unique(rows.column(column).cast(pa.string())).to_pylist())
        return pa.array(sorted(found - {None}), pa.string())


def _metadata(columns: tuple[str, ...], rows: Rows) -> pa.Array:
    if len(columns) == 1:
        return _plain(rows.column(columns[0]))
    arrays = [_plain(rows.column(name)) for name in columns]
    # Times become text, as in the dictionaries of a pickle they would be objects of the library that made them.
    arrays = [array.cast(pa.string()) if pa.types.is_temporal(array.type) else array for array in arrays]
    return pa.StructArray.from_arrays(arrays, list(columns))


def _plain(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _is_whole(value: object) -> bool:
    try:
        return -(2**63) <= int(str(value)) < 2**63
    except ValueError:
        return False
