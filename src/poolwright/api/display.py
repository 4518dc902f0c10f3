"""Shows tables, runs, recipes and search results in notebooks, as self-contained HTML with a few pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from poolwright.core.columns import IMAGE, LABEL, TEXT, UID, is_vector
from poolwright.core.images.image_files import roots_of
from poolwright.report.images.thumbnails import thumbnail

if TYPE_CHECKING:
    from poolwright.api.results import RunResult, SearchResult
    from poolwright.api.table import Table, TableSlice
    from poolwright.core.table import TableRecord
    from poolwright.recipe.recipe import Recipe

_PICTURES = 12
_ROWS = 10
_TABLES = 20
_THUMBNAIL_BYTES = 6_000
_CELL = 120


@dataclass(frozen=True)
class ShownPictures:
    """Thumbnails that a notebook shows; `html` is what it draws, without a figure if the rows have no pictures."""

    html: str

    def __repr__(self) -> str:
        return f"<{self.html.count('<figure')} pictures, which a notebook shows>"

    def _repr_html_(self) -> str:
        return self.html if "<figure" in self.html else "<p>No pictures: the rows have none, or they are elsewhere.</p>"


def table_html(table: Table) -> str:
    """The funnel of a table, its columns, and some of its pictures."""
    return f"<div>{funnel_html(table.record)}<p>{_columns(table)}</p>{pictures_html(table, _spread(table))}</div>"


def rows_html(rows: TableSlice) -> str:
    """The first rows as a table, and their pictures."""
    names = [name for name in rows.columns if name != IMAGE and not is_vector(rows._source.schema.field(name).type)]
    first = rows.select(names)[:_ROWS] if names else ()
    more = f"<p>{len(rows):,} rows</p>" if len(rows) > _ROWS else ""
    shown = _grid(names, ([row[name] for name in names] for row in first))
    return f"<div>{shown}{more}{pictures_html(rows, range(min(len(rows), _PICTURES)))}</div>"


def funnel_html(record: TableRecord) -> str:
    """Rows in, kept and dropped by reason, step by step, and what every step learned."""
    words = {(reason.step, reason.name): reason.words for reason in record.reasons}
    learned = {step.index: step.learned for step in record.steps}
    lines = (
        (
            row.verb,
            f"{row.rows_in:,}",
            f"{row.rows_in - row.kept:,}",
            f"{row.kept:,}",
            "; ".join(f"{count:,} {words[row.step, name]}" for name, count in row.dropped.items()),
            learned.get(row.step, ""),
        )
        for row in record.funnel
    )
    head = f"<b>{escape(record.name)}</b>: {record.rows_kept:,} of {record.rows_in:,} rows kept"
    more = "".join(f"<p>{escape(text)}</p>" for text in record.remarks)
    return f"<p>{head}</p>{_grid(('step', 'rows in', 'dropped', 'kept', 'because', 'learned'), lines)}{more}"


def run_html(result: RunResult) -> str:
    """The funnels of a run, its releases and its figures."""
    funnels = "".join(funnel_html(table.record) for table in list(result.tables.values())[:_TABLES])
    left = len(result.tables) - _TABLES
    more = f"<p>and {left:,} more tables</p>" if left > 0 else ""
    releases = "".join(
        f"<p>released <code>{escape(str(one.folder))}</code> ({escape(one.words)})</p>" for one in result.releases
    )
    figures = _grid(("figure", "table", "value"), ((one.name, one.table, _figure(one)) for one in result.figures))
    folder = f"<p>run <code>{escape(str(result.folder))}</code></p>"
    return f"<div>{folder}{funnels}{more}{releases}{figures if result.figures else ''}</div>"


def _figure(figure: Any) -> str:
    summary = getattr(figure.value, "summary", None)
    return figure.number if summary is None else ", ".join(f"{name} {value:.3f}" for name, value in summary.items())


def recipe_html(recipe: Recipe) -> str:
    """The pools, tables and releases of a recipe."""
    pools = ((name, pool.kind) for name, pool in recipe.pools.items())
    tables = (
        (name, ", ".join(table.sources), ", ".join(placed.step.verb for placed in table.steps))
        for name, table in recipe.tables.items()
    )
    releases = ((one.table, one.layout.layout, recipe.source.hide(str(one.to))) for one in recipe.releases)
    parts = [_grid(("pool", "read"), pools), _grid(("table", "from", "steps"), tables)]
    parts += [_grid(("release of", "layout", "to"), releases)] if recipe.releases else []
    return f"<div><p>recipe <b>{escape(recipe.name)}</b></p>{''.join(parts)}</div>"


def search_html(found: SearchResult) -> str:
    """What was searched for, and pictures of the nearest rows."""
    nearest = found.nearest
    within = f" of {escape(found.within)}" if found.within else ""
    head = f"<b>{escape(found.words)}</b>: nearest of {found.rows:,} rows in {escape(found.table)}{within}"
    notes = [f"{nearest.first + place}: {score:.4f}" for place, score in enumerate(nearest.scores)]
    return f"<div><p>{head}</p>{pictures_html(found.rows_of, nearest.positions[: _PICTURES * 2], notes)}</div>"


def pictures_html(rows: TableSlice, numbers: Sequence[int], notes: Sequence[str] = ()) -> str:
    """Thumbnails of some rows with their labels, as data URIs. Pictures are not fetched from elsewhere for this."""
    source, known = rows._source, rows._of.schema.names
    roots = roots_of(source.image_root) if source.virtual_image else ()
    if IMAGE not in source.schema.names or any(root is None or "://" in root for root in roots):
        return ""
    names = [name for name in (UID, LABEL, TEXT) if name in known]
    figures = []
    for place, row in enumerate(rows.select([*names, IMAGE]).take(list(numbers)).to_pylist()):
        texts = [notes[place] if notes else "", str(row.get(LABEL) or row.get(TEXT) or row.get(UID) or "")]
        made = thumbnail(row[IMAGE], _THUMBNAIL_BYTES) if row[IMAGE] else "missing_file"
        picture = (
            f"<span>{escape(made)}</span>"
            if isinstance(made, str)
            else f'<img src="{made.uri}" width="{made.width * 96 // max(made.width, made.height)}" alt="">'
        )
        caption = "<br>".join(escape(_brief(text)) for text in texts if text)
        title = escape(str(row.get(UID) or ""), quote=True)
        figures.append(
            f'<figure title="{title}" style="display:inline-block;margin:4px;width:104px;vertical-align:top;'
            f'font-size:11px;overflow:hidden">{picture}<figcaption>{caption}</figcaption></figure>'
        )
    return f"<div>{''.join(figures)}</div>"


def _spread(rows: TableSlice) -> list[int]:
    """Numbers of a few rows, spread over all."""
    return [len(rows) * place // min(len(rows), _PICTURES) for place in range(min(len(rows), _PICTURES))]


def _columns(rows: TableSlice) -> str:
    names = [f"{escape(field.name)} <i>{escape(str(field.type))}</i>" for field in rows._of.schema]
    return ", ".join(names[:60]) + (f" and {len(names) - 60:,} more columns" if len(names) > 60 else "")


def _grid(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{escape(_brief(cell))}</td>' for cell in line)}</tr>" for line in lines)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _brief(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
    return text if len(text) <= _CELL else text[: _CELL - 3] + "..."
