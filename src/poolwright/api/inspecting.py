"""Inspect a run: show, why, explore, search, report, cluster_figures; verify a release."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from poolwright.api.results import SearchResult
from poolwright.api.table import Table
from poolwright.core.columns import BUCKET, IMAGE, is_vector
from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.core.params import several
from poolwright.core.rows import Rows
from poolwright.core.runtime.progress import Listener, Silent
from poolwright.core.table import RECORD
from poolwright.inspect.why import Story, dropped_rows
from poolwright.inspect.why import why as _why
from poolwright.measure.store import measured_of
from poolwright.recipe.recipe import Recipe
from poolwright.run.run import Run, open_run

if TYPE_CHECKING:
    from poolwright.inspect.ledger import DroppedRows
    from poolwright.inspect.views.view import View
    from poolwright.release.checks.result import Verification
    from poolwright.report.view import TableView

_NEIGHBOURS = 24


def show(folder: str | Path) -> list[Table]:
    """Open the finished tables of a run folder, in the order they were made.

    Raises:
        InputError: there is no run, or nothing is finished.
    """
    order = open_run(folder).recipe.order
    tables = [Table(path.parent) for path in sorted(Path(folder).glob(f"tables/*/{RECORD}"))]
    if not tables:
        raise InputError(f"{folder}: no table of this run is finished yet; run the recipe again to continue it")
    return sorted(tables, key=lambda table: order.index(table.name) if table.name in order else len(order))


def why(folder: str | Path, uid: str) -> list[Story]:
    """Explain what happened to one row, in every finished table it entered.

    Args:
        folder: the run folder.
        uid: of the row.

    Raises:
        InputError: no finished table has read the row.
    """
    return _why(open_run(folder), uid)


def ledger(
    folder: str | Path,
    table: str,
    *,
    reason: str | None = None,
    step: str | int | None = None,
    uids: Sequence[str] = (),
    columns: Sequence[str] | None = None,
) -> DroppedRows:
    """List the rows that a finished table dropped, with step, reason, place in the source, and values.

    Args:
        folder: the run folder.
        table: its name.
        reason: only rows that were dropped for this reason, by its short name; 'quarantined' for parts.
        step: only rows that this step dropped: its verb, or its number from 1; 0 or 'read' is what comes before.
        uids: only rows with these uids.
        columns: columns of the rows, of the source or given by steps; by default all but vectors and images.

    Returns:
        Rows that are read when they are iterated over, batch by batch, and a summary by step and reason.

    Raises:
        RecipeError: no such table, reason or step.
        InputError: the table is not finished.
    """
    from poolwright.inspect.ledger import ledger_of

    return ledger_of(
        open_run(folder), table, reason, step, several(uids), None if columns is None else several(columns)
    )


def explore(folder: str | Path, table: str | None = None) -> View:
    """Explore the rows of a finished table, kept and dropped: facets, filters, search, map.

    The first call reads the table and its source once, and writes an index to `<run>/explore`.

    Args:
        folder: the run folder.
        table: its name; default the last one.

    Raises:
        RecipeError: no such table.
        InputError: it is not finished.
    """
    from poolwright.inspect.views.view import View

    work = open_run(folder)
    return View(work, table or show(folder)[-1].name)


def search(
    folder: str | Path,
    prompt: str | None = None,
    *,
    table: str | None = None,
    bucket: int | str | None = None,
    n: int = 50,
    like: str | None = None,
    against: str | None = None,
    vectors: str | None = None,
    model: str | Mapping[str, Any] | None = None,
    features: str | Path | None = None,
) -> SearchResult:
    """Find the rows of a finished table that are nearest to a prompt, or to an image.

    Args:
        folder: the run folder.
        prompt: a text such as 'wedding, engagement ring'; may be left out if `like` is given.
        table: default the largest with vectors, and with buckets if one is named.
        bucket: only rows of this bucket; the table has a column `bucket`.
        n: rows wanted.
        like: uid of a row whose neighbours are wanted too; default the nearest row.
        against: a second prompt, which competes with the first.
        vectors: column of the vectors; default the first whose encoder is known.
        model: encoder of the prompts, if the recipe of the run names none.
        features: `.npy` with one ready text feature per prompt, instead of an encoder.

    Raises:
        RecipeError: no such table, column, bucket or encoder.
        InputError: nothing is finished, or there is no such row.
    """
    from poolwright.core.results.search_result import Query
    from poolwright.inspect.search import search as _search
    from poolwright.inspect.views.vectors import TableRows
    from poolwright.models.encoders.spec import model_spec

    query = Query(
        prompt,
        against,
        like,
        None if bucket is None else str(bucket),
        vectors,
        None if model is None else model_spec(model, {"folder": str(Path.cwd())}),
        None if features is None else Path(features),
        n,
        _NEIGHBOURS,
    )
    searched = _searched(show(folder), table, bucket)
    return SearchResult.of(_search(TableRows(open_run(folder), searched), query), searched)


def write_search(folder: str | Path, found: SearchResult, to: str | Path = ".") -> tuple[Path, Path]:
    """Write a search result as a page and a contact sheet.

    Args:
        folder: the run folder that was searched.
        found: what `search` returned.
        to: the folder of the files, which are named after the query.

    Returns:
        Paths of the HTML page and the JPEG.
    """
    from poolwright.report.search_page import write_search as _write

    table = _searched(show(folder), found.table)
    words = [found.prompt or f"like {found.like}", found.contest.other if found.contest else "", found.within]
    slug = "-".join(re.findall(r"\w+", " ".join(words).lower()))[:80] or "prompt"
    Path(to).mkdir(parents=True, exist_ok=True)
    return _write(_view(open_run(folder), table), found, Path(to), f"search-{slug}")


def _searched(tables: Sequence[Table], name: str | None, bucket: str | int | None = None) -> Table:
    """Return the table of that name, or the largest one with vectors, and with buckets if one is named."""
    if name is not None:
        by_name = {table.name: table for table in tables}
        if name not in by_name:
            raise RecipeError(f"no finished table '{name}'; {did_you_mean(name, by_name)}")
        return by_name[name]
    with_vectors = [table for table in tables if any(is_vector(field.type) for field in table.schema)]
    with_buckets = [table for table in with_vectors if bucket is not None and BUCKET in table.schema.names]
    return max(with_buckets or with_vectors or tables, key=lambda table: table.record.rows_kept)


def report(folder: str | Path, to: str | Path | None = None) -> Path:
    """Draw a run as one self-contained HTML file.

    Args:
        folder: the run folder.
        to: the file; default `report.html` in the run folder.

    Raises:
        InputError: nothing is finished.
        MissingExtra: jinja2 is not installed.
    """
    from poolwright.report.page import write_report

    tables = show(folder)
    work = open_run(folder)
    views = [_view(work, table) for table in tables]
    return write_report(views, Path(to) if to else Path(folder) / "report.html", tables[0].record.recipe)


def cluster_figures(folder: str | Path, to: str | Path, classes: Sequence[str] = ()) -> list[Path]:
    """Draw the clusters of a run: for each class a map and a contact sheet, as PNG, light and dark, and SVG.

    Args:
        folder: the run folder.
        to: folder of the files.
        classes: names of the classes; by default the largest.

    Raises:
        InputError: no table was clustered.
        RecipeError: there is no such class.
        MissingExtra: matplotlib is not installed. Without openTSNE no maps are drawn.
    """
    from poolwright.report.cluster_figures import write_cluster_figures

    tables = show(folder)
    work = open_run(folder)
    return write_cluster_figures([_view(work, table) for table in tables], Path(to), several(classes))


def _view(work: Run, table: Table) -> TableView:
    from poolwright.inspect.stale import stale
    from poolwright.report.view import TableView

    def dropped_sample(code: int, limit: int) -> Rows:
        return dropped_rows(work, table.name, code, limit)

    outdated = stale(table.folder)
    return TableView(
        table=table,
        image_bytes=_image_reader(table),
        dropped_sample=dropped_sample,
        measured=measured_of(table, work.folder),
        compared=_compared(work.recipe, table.name),
        stale=outdated.words if outdated else "",
    )


def _compared(recipe: Recipe, table: str) -> tuple[tuple[str, str], ...]:
    """Return the columns that figures `accuracy` of a table compare, each pair once."""
    of_table = [figure for figure in recipe.figures if figure.table == table and figure.measure == "accuracy"]
    return tuple(dict.fromkeys((str(figure.predicted), str(figure.truth)) for figure in of_table))


def _image_reader(table: Table) -> Callable[[Rows], list[bytes | None]]:
    from poolwright.run.sources.source import table_source

    source = table_source(table)

    def image_bytes(rows: Rows) -> list[bytes | None]:
        if source.schema.get_field_index(IMAGE) < 0:
            return [None] * len(rows)
        images: list[bytes | None] = source.with_images(rows.table, [IMAGE]).column(IMAGE).to_pylist()
        return images

    return image_bytes


def verify(
    folder: str | Path, full: bool = False, load: bool = True, *, listener: Listener | None = None
) -> Verification:
    """Check a release: checksums, schema, counts, card, Croissant, and the checks of its layout; then load it.

    If the layout that the release names is not installed, its own checks are skipped.

    Args:
        folder: the folder of the release; or its address, `hf://datasets/USER/NAME` or `s3://BUCKET/FOLDER`, from which
            it is pulled into a temporary folder first.
        full: check the bytes of every image, and load every row, not a sample.
        load: load the release with the libraries that its card names, as far as they are installed. Each does so in a
            process of its own, without network.
        listener: receives progress.

    Raises:
        RecipeError: the address is wrong.
        TransferError: it cannot be pulled.
    """
    from poolwright.hub.pull_release import pull_release
    from poolwright.registry import layout_class
    from poolwright.release.verify import verify as _verify

    if "://" not in str(folder):
        return _verify(folder, layout_class, full, load)
    with TemporaryDirectory(prefix="poolwright-verify-", ignore_cleanup_errors=True) as own:
        place = Path(own, "release")
        pull_release(str(folder), place, layout_class, None, False, listener or Silent(), check=False)
        return replace(_verify(place, layout_class, full, load), url=str(folder))
