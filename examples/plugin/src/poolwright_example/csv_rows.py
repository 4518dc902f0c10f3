"""The release layout `csv_rows`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
from pydantic import Field

from poolwright import Layout, Rows, StepError
from poolwright.core.columns import UID, is_text
from poolwright.core.params import Columns
from poolwright.core.table import Table
from poolwright.release.checks.loaders import with_pandas
from poolwright.release.checks.loaders.loader import Loader
from poolwright.release.data.splits import split_values, table_splits
from poolwright.release.layouts.layout import LayoutCheck
from poolwright.release.record import OtherFile, ReleasedFile, ReleaseRecord
from poolwright.release.statistics import Statistics


class CsvRows(Layout):
    """A CSV file for each split, with chosen columns, and a list of the columns."""

    layout: ClassVar[str] = "csv_rows"
    example: ClassVar[str] = "{table: best, layout: csv_rows, columns: [label, url], to: out/best}"
    tree: ClassVar[str] = """\
train.csv      a line for each row: `uid` and the chosen columns; test.csv
columns.txt    a line for each column"""

    columns: Columns = Field(default=("text",), description="columns besides `uid`; they are texts")

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return uid and the chosen columns."""
        for name in self.columns:
            if name in schema.names and not is_text(schema.field(name).type):
                raise StepError(f"layout '{self.layout}': '{name}' is {schema.field(name).type}; columns are texts")
        return tuple(dict.fromkeys([UID, *self.columns]))

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the rows of each split, in the order of the table."""
        names = list(self.needs(table.schema))
        splits = table_splits(table, statistics)
        rows = Rows(table.read())
        of_row = pa.array([splits[value] for value in split_values(rows)], pa.string())
        files = []
        for split in dict.fromkeys(splits.values()):
            own = rows.table.select(names).filter(pyarrow.compute.equal(of_row, split))
            pyarrow.csv.write_csv(own, folder / f"{split}.csv")
            files.append(ReleasedFile(path=f"{split}.csv", split=split, rows=own.num_rows))
        (folder / "columns.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")
        listed = OtherFile(path="columns.txt", type="text/plain", words="the columns")
        record = self.record(table, rows.table.select(names).schema, files, splits, None)
        return record.model_copy(update={"others": (listed,)})

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """Check that the list has the columns of the record."""
        yield "columns", lambda: self._check(folder, release)

    def _check(self, folder: Path, release: ReleaseRecord) -> tuple[list[str], str]:
        listed = (folder / "columns.txt").read_text(encoding="utf-8").splitlines()
        wrong = listed != [column.name for column in release.columns]
        return ["'columns.txt' has other columns than the files"] if wrong else [], f"{len(listed)} columns"

    def loaders(self, release: ReleaseRecord) -> Sequence[Loader]:
        """Return pandas, which the card names."""
        return [*super().loaders(release), Loader("pandas", with_pandas.load)]

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how pandas reads the files."""
        return f'```python\nimport pandas\n\nrows = pandas.read_csv("{release.files[0].path}")\n```'
