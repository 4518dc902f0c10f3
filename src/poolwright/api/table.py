"""Reads rows of a finished table into Python: as Arrow, pandas, Polars, a torch dataset, dicts, or pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE, is_vector
from poolwright.core.errors import RecipeError, did_you_mean, require_module
from poolwright.core.images.image import open_image
from poolwright.core.params import several
from poolwright.core.rows import vectors_of, with_missing_as_null
from poolwright.core.table import Table as _Table
from poolwright.run.sources.source import IMAGE_BATCH, Source, table_source

if TYPE_CHECKING:
    import pandas
    import polars
    from PIL import Image

    from poolwright.api.display import ShownPictures
    from poolwright.api.torch_rows import TorchRows
    from poolwright.inspect.stale import Stale

_BATCH_ROWS = 8_192


class TableSlice:
    """Rows and columns of a finished table, which are read when they are asked for.

    `rows[5]` is a dict, `rows[10:20]` are these rows, `rows['label']` is an Arrow column, `rows[['uid', 'label']]` are
    the rows with these columns. Iteration reads batch by batch, in bounded memory. Libraries that know the PyCapsule
    interface of Arrow, such as DuckDB, Polars and pandas, read the rows as they are.

    Args:
        table: the table.
        rows: numbers of the rows, ascending.
        columns: names of the columns; None stands for all that the table holds. `image` is the image file, also if it
            is read through `image_path`.
    """

    def __init__(self, table: _Table, rows: range | None = None, columns: Sequence[str] | None = None) -> None:
        self._of, self._rows = table, rows if rows is not None else range(table.record.rows_kept)
        self._names = None if columns is None else tuple(columns)

    @cached_property
    def _source(self) -> Source:
        return table_source(self._of)

    @cached_property
    def _starts(self) -> list[int]:
        """Number of the first row of each part, and the number of all rows."""
        return list(accumulate((part.rows for part in self._of.record.parts), initial=0))

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._names if self._names is not None else self._of.schema.names)

    def __len__(self) -> int:
        return len(self._rows)

    def __bool__(self) -> bool:
        return True  # rows that exist, even if they are none

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.to_batches():
            yield from _dicts(batch)

    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, key: slice | list[str] | tuple[str, ...]) -> TableSlice: ...

    @overload
    def __getitem__(self, key: str) -> pa.ChunkedArray: ...

    def __getitem__(self, key: int | slice | str | list[str] | tuple[str, ...]) -> Any:
        if isinstance(key, slice):
            rows = self._rows[key]
            if rows.step < 0:
                raise RecipeError("rows are read forwards; a slice of them has a positive step")
            return TableSlice(self._of, rows, self._names)
        if isinstance(key, str):
            return self.select([key]).to_arrow().column(0)
        if isinstance(key, list | tuple):
            return self.select(key)
        return _dicts(self.take([key]))[0]

    def select(self, columns: Sequence[str]) -> TableSlice:
        """Return the same rows with some columns.

        Raises:
            RecipeError: there is no such column.
        """
        known = [*self._of.schema.names, *([IMAGE] if IMAGE in self._source.schema.names else [])]
        columns = several(columns)
        for name in columns:
            if name not in known:
                raise RecipeError(f"table '{self._of.name}' has no column '{name}'; {did_you_mean(name, known)}")
        return TableSlice(self._of, self._rows, tuple(dict.fromkeys(columns)))

    def to_batches(self, batch_rows: int = _BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the rows as Arrow record batches of at most `batch_rows`."""
        for number, (start, stop) in enumerate(pairwise(self._starts)):
            within = self._within(start, stop)
            for table in self._read_part(number, np.arange(within.start, within.stop, within.step) - start, batch_rows):
                yield from table.combine_chunks().to_batches()

    def _within(self, start: int, stop: int) -> range:
        """Return these of the rows that are in `start` to `stop`."""
        rows = self._rows
        first, last = (max(0, -(-(edge - rows.start) // rows.step)) for edge in (start, stop))
        return rows[first:last]

    def _read_part(self, number: int, rows: npt.NDArray[np.int64], batch_rows: int) -> Iterator[pa.Table]:
        """Yield rows of a part, of these ascending numbers, in batches. Other groups of rows are not read."""
        if not len(rows):
            return
        columns = self.columns
        stored = self._source.stored(columns)
        batch_rows = min(batch_rows, IMAGE_BATCH) if IMAGE in columns else batch_rows
        with self._of.reading(self._of.record.parts[number].file) as path, pq.ParquetFile(path) as file:
            at = 0
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if np.searchsorted(rows, at) == np.searchsorted(rows, at + size):
                    at += size
                    continue
                for batch in file.iter_batches(batch_rows, [group], stored, use_threads=False):
                    here = rows[slice(*np.searchsorted(rows, [at, at + len(batch)]))] - at
                    at += len(batch)
                    if len(here):
                        table = pa.Table.from_batches([batch])
                        table = with_missing_as_null(table if len(here) == len(batch) else table.take(pa.array(here)))
                        yield self._source.with_images(table, columns).table

    def take(self, numbers: Sequence[int]) -> pa.Table:
        """Read single rows, by their numbers among these rows; negative ones count from the end.

        Raises:
            IndexError: there is no such row.
        """
        wanted, places = np.unique(np.array([self._rows[number] for number in numbers], np.int64), return_inverse=True)
        found = [
            table
            for number, (start, stop) in enumerate(pairwise(self._starts))
            for table in self._read_part(number, wanted[(wanted >= start) & (wanted < stop)] - start, _BATCH_ROWS)
        ]
        return pa.concat_tables(found).take(pa.array(places)) if found else self.schema.empty_table()

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return pa.schema([self._source.schema.field(name) for name in self.columns])

    def to_arrow(self) -> pa.Table:
        """Read the rows into memory as an Arrow table."""
        return pa.Table.from_batches(self.to_batches(), self.schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self.schema, self.to_batches())
        return reader.__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> pandas.DataFrame:
        """Read the rows into memory as a pandas data frame.

        Raises:
            MissingExtra: pandas is not installed.
        """
        require_module("pandas", "to_pandas")
        frame: pandas.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> polars.DataFrame:
        """Read the rows into memory as a Polars data frame.

        Raises:
            MissingExtra: polars is not installed.
        """
        require_module("polars", "to_polars")
        import polars

        return polars.DataFrame(self.to_arrow())

    def to_torch(self, **options: Any) -> TorchRows:
        """Make a torch dataset of the rows, with random access by number; see `poolwright.api.torch_rows.TorchRows`.

        Args:
            options: `transform`, `classes`, `images`, `folder`; see there.

        Raises:
            MissingExtra: torch is not installed.
        """
        require_module("torch", "to_torch")
        from poolwright.api.torch_rows import TorchRows

        return TorchRows(self, **options)

    def images(self) -> Iterator[Image.Image | None]:
        """Yield the pictures of the rows, upright and RGB; None if a file is missing or cannot be read."""
        for batch in self.select([IMAGE]).to_batches():
            for data in batch.column(0):
                picture = open_image(data.as_py())
                yield None if isinstance(picture, str) else picture

    def image(self, number: int) -> Image.Image | None:
        """Return the picture of one row, as `images` does."""
        picture = open_image(self.select([IMAGE]).take([number]).column(0)[0].as_py())
        return None if isinstance(picture, str) else picture

    def show(self, rows: int = 24) -> ShownPictures:
        """Return thumbnails of the first rows with their labels, which a notebook shows."""
        from poolwright.api.display import ShownPictures, pictures_html

        return ShownPictures(pictures_html(self, range(min(len(self), rows))))

    def __repr__(self) -> str:
        return f"<{len(self):,} rows of table '{self._of.name}': {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        from poolwright.api.display import rows_html

        return rows_html(self)


class Table(_Table, TableSlice):
    """A finished table, read from its folder. `record` has its funnel, what its steps learned, and what it was made of.

    It is a `TableSlice` of all its rows.

    Args:
        folder: the folder, `RUN/tables/NAME`.

    Raises:
        InputError: there is no finished table in the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        _Table.__init__(self, Path(folder))
        TableSlice.__init__(self, self)

    @classmethod
    def of(cls, table: _Table) -> Self:
        """Return a table that is open already."""
        self = cls.__new__(cls)
        self.folder, self.record = table.folder, table.record
        TableSlice.__init__(self, self)
        return self

    @property
    def stale(self) -> Stale | None:
        """Why the table is not up to date with the tables that it was made from; None if it is."""
        from poolwright.inspect.stale import stale

        return stale(self.folder)

    def __repr__(self) -> str:
        rows = f"{self.record.rows_kept:,} of {self.record.rows_in:,} rows kept"
        return f"<table '{self.name}': {rows}, {len(self.columns)} columns>"

    def _repr_html_(self) -> str:
        from poolwright.api.display import table_html

        return table_html(self)


def _dicts(batch: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    """Return rows as dicts of Python values; vectors are NumPy arrays (d,), None if they are missing."""
    columns: dict[str, Sequence[Any]] = {}
    for field in batch.schema:
        column = batch.column(field.name)
        if is_vector(field.type):
            array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
            array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
            valid = array.is_valid().to_pylist()
            columns[field.name] = [one if known else None for one, known in zip(vectors_of(array), valid, strict=True)]
        else:
            columns[field.name] = column.to_pylist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def public_tables(tables: Mapping[str, _Table]) -> dict[str, Table]:
    """Return tables of a run as those of the API."""
    return {name: Table.of(table) for name, table in tables.items()}
