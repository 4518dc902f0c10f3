"""Step `fetch`: fetch images by URL, before the other steps of a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import is_text
from poolwright.core.errors import ChangedError, StepError
from poolwright.core.files import human_bytes
from poolwright.core.roles import SourceStep
from poolwright.core.rows import Rows
from poolwright.core.runtime.nodes import Nodes
from poolwright.core.runtime.progress import Listener
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason
from poolwright.core.table import Table
from poolwright.core.wording import counted
from poolwright.core.wording import rows as in_rows
from poolwright.fetch.http.network import check_installed
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import CLASSES
from poolwright.fetch.rows import FETCH_ERROR, FetchedRows, with_outcomes
from poolwright.fetch.shards.folder import is_of_begun_shard


class Fetch(FetchOptions, SourceStep):
    """Fetch the image of every row by its URL, guarded, and keep the rows that have one.

    The first step of a table that comes from a table: before its rows are read, the images are fetched to
    `fetched/<table>` in the run folder, in img2dataset's layout of files, as `poolwright fetch` does; a fetch that was
    stopped continues. The rows then have `image_path`, `sha256`, `width`, `height` and `bytes` of the fetched images,
    and the steps that follow can read them. Rows without an image are dropped, with the error as reason.

    State: nothing. The outcomes of the URLs are an input of the table, identified by their content.
    """

    verb: ClassVar[str] = "fetch"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = "fetch: {max_bytes: 20MB, total: 30}"
    folder_name: ClassVar[str] = "fetched"
    reasons: ClassVar[tuple[Reason, ...]] = tuple(Reason(name, of.words) for name, of in CLASSES.items())

    format: Literal["files"] = Field(default="files", description="folders of files, so that later tables read them")
    columns: tuple[str, ...] = Field(default=(), description="further columns to write next to the images")

    def options(self) -> FetchOptions:
        """Return the options as for the command `poolwright fetch`."""
        asked = self.model_dump(exclude_unset=True)
        return FetchOptions(**{**asked, "format": self.format, "columns": self.columns})

    def prepare(
        self, name: str, source: Table, folder: Path, listener: Listener, nodes: Nodes | None = None
    ) -> dict[str, float]:
        """Fetch the images, or those that are left. An image that cannot be fetched is not an error."""
        from poolwright.fetch.fetch import fetch_images, fetch_reporter

        begun = perf_counter()
        try:
            fetched = fetch_images(source.folder, folder, self.options(), fetch_reporter(name, listener), nodes=nodes)
        except ChangedError as error:
            raise ChangedError(
                f"table '{name}': {error}. To fetch the images of the new rows: rm -r {folder}"
            ) from None
        seconds = perf_counter() - begun
        listener.note(f"{name}: {counted(fetched.succeeded, 'image')} of {in_rows(fetched.rows)}")
        if fetched.failed_before:
            listener.note(
                f"{name}: {fetched.failed_before:,} rows failed in an earlier run and were not fetched again; "
                "'retry: all' in the step does"
            )
        return {"seconds": round(seconds, 3), "rows_per_second": round(fetched.rows_now / seconds, 3)}

    def is_passing(self, folder: Path, path: str) -> bool:
        return is_of_begun_shard(folder, path)

    def rows(self, source: Table, folder: Path) -> FetchedRows:
        return FetchedRows(table=str(source.folder), images=str(folder), shard_rows=self.shard_rows)

    def rows_schema(self, given: pa.Schema) -> pa.Schema:
        return with_outcomes(given)

    def needs(self) -> tuple[str, ...]:
        return (self.url, FETCH_ERROR)

    def check_files(self, given: pa.Schema) -> None:
        check_installed()

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        for name in self.needs():
            if not is_text(given.field(name).type):
                raise StepError(f"'{self.verb}' needs text in '{name}', which holds {given.field(name).type}")
        return []

    def apply(self, rows: Rows, state: State) -> Outcome:
        codes = dict(zip(CLASSES, range(1, len(CLASSES) + 1), strict=True))
        drop = [codes[error] if error else 0 for error in rows.column(FETCH_ERROR).to_pylist()]
        return Outcome(drop=np.array(drop, np.uint8))

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        error = row.get(FETCH_ERROR)
        return f"{row.get(self.url)}: {CLASSES[error].words}" if error else str(row.get(self.url))

    def learned(self, state: State) -> str:
        return f"images of at most {human_bytes(self.max_bytes)}, in at most {self.total:g} s each"
