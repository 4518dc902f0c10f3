"""Write the report page: one self-contained HTML file that makes no network requests."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from poolwright.core.errors import InputError, MissingExtra
from poolwright.core.files import write_text
from poolwright.core.table import Table
from poolwright.models.classifiers.comparison_text import Compared, compared
from poolwright.report import figures, measured, story, times
from poolwright.report.charts.charts import Markup, dots
from poolwright.report.charts.distributions import Distributions, read_distributions
from poolwright.report.charts.tally import Bins
from poolwright.report.charts.words import clean, cut
from poolwright.report.clusters import PER_SIDE, ClassMap, class_maps
from poolwright.report.decisions import decision_plots
from poolwright.report.images.near_duplicates import DuplicateGroups, duplicate_groups
from poolwright.report.images.thumbnails import Thumbnail
from poolwright.report.inputs import InputSummary, describe_inputs
from poolwright.report.mistakes import mistake_sheets
from poolwright.report.set_charts import SetCharts, set_charts
from poolwright.report.sheets import Budget, Sheet, dropped_sheets, kept_sheets, share_budget
from poolwright.report.view import TableView

MOST_PICTURES = 1_600
MOST_PICTURE_BYTES = 5_000_000
_WORTH_COMPARING = 4
_MOST_LINES, _MOST_LINE = 3_000, 400
_TEMPLATES = "templates"


@dataclass(frozen=True)
class Chapter:
    """One table of the page, ready for the template."""

    anchor: str
    table: Table
    stale: str
    facts: list[story.Fact]
    circumstances: list[tuple[str, str]]
    balance: story.Reconciliation
    funnel: list[story.FunnelLine]
    steps: list[story.StepWords]
    bars: list[figures.BarChart]
    overflowed: tuple[str, ...]
    heats: list[figures.HeatMap]
    numbers: list[figures.Plot]
    times: list[figures.Plot]
    globe: figures.GlobeMap | None
    sets: SetCharts | None
    values: list[measured.MeasuredValue]
    matrices: list[measured.MatrixTable]
    compared: list[Compared]
    mistakes: list[Sheet]
    attributes: list[ClassMap]
    duplicates: list[DuplicateGroups]
    label: str | None
    kept: list[Sheet]
    dropped: list[Sheet]
    inputs: InputSummary
    decisions: list[figures.Plot]


@dataclass(frozen=True)
class Mosaic:
    """A picture of each of the largest groups of one table, for the overview."""

    table: str
    pictures: list[tuple[str, Thumbnail]]


def write_report(views: Sequence[TableView], path: Path, title: str) -> Path:
    """Write the report of a run as one HTML file.

    Reads the shown columns of every table twice, and a few hundred pictures; the file stays below about 8 MB
    whatever the tables hold. The same tables give the same bytes, except for the timings.

    Args:
        views: the tables, in the order in which they were made.
        path: path of the file; its folder is created.
        title: name of the run.

    Returns:
        The path.

    Raises:
        InputError: there is no table.
        MissingExtra: jinja2 is not installed.
    """
    if not views:
        raise InputError("a report needs at least one finished table; run the recipe first")
    page = template()
    script = resource("script.js")
    budget = share_budget(len(views), MOST_PICTURES, MOST_PICTURE_BYTES)
    found: dict[str, Distributions] = {}
    chapters = [_chapter(view, f"t{number}", found, budget) for number, view in enumerate(views, start=1)]
    html = page.render(
        title=cut(title, 120),
        chapters=chapters,
        sections=_sections,
        lede=story.lede([chapter.table.record for chapter in chapters]),
        facts=story.run_facts([(chapter.table.record, chapter.table.timings()) for chapter in chapters]),
        mosaic=_mosaic(chapters),
        origins=story.origins([(chapter.table, chapter.anchor) for chapter in chapters]),
        recipes=_recipes(chapters),
        versions=sorted(views[-1].table.record.versions.items()),
        style=Markup(resource("style.css")),
        script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    write_text(path, html)
    return path


def _chapter(view: TableView, anchor: str, found: dict[str, Distributions], budget: Budget) -> Chapter:
    table = view.table
    record, timings = table.record, table.timings()
    source_name = record.source.removeprefix("tables.")
    source = found.get(source_name) if record.parents and not record.sources else None
    given = {name for step in record.steps for name in step.gives}
    own = read_distributions(table, lambda name, bins: _bins(name, bins, None if name in given else source))
    found[record.name] = own
    label = own.chosen.label
    by = label if label and own.values.get(label) else next((name for name in own.values if own.values[name]), None)
    classes = len(own.values.get(label, ())) if label else None
    return Chapter(
        anchor=anchor,
        table=table,
        stale=view.stale,
        facts=story.headline(record, timings, classes),
        circumstances=story.circumstances(record, timings),
        balance=story.reconcile(record),
        funnel=story.funnel(record),
        steps=story.steps_in_words(record),
        bars=figures.bar_charts(own),
        overflowed=own.overflowed,
        heats=figures.heat_maps(own),
        numbers=figures.number_plots(own, source, source_name, table.record.limits()),
        times=times.time_plots(own),
        globe=figures.globe_map(own),
        sets=set_charts(table),
        values=measured.values(view.measured),
        matrices=measured.matrices(view.measured),
        compared=list(compared(table, paced=True)),
        decisions=list(decision_plots(table)),
        mistakes=[sheet for pair in view.compared for sheet in mistake_sheets(view, *pair, budget)],
        attributes=class_maps(view, budget),
        duplicates=duplicate_groups(view, budget),
        label=by,
        kept=kept_sheets(view, by, own.values[by] if by else [], budget),
        dropped=dropped_sheets(view, budget),
        inputs=describe_inputs(record),
    )


def _bins(name: str, own: Bins, source: Distributions | None) -> Bins:
    """Return the bins of the source table, unless the rows cover only a small part of their range."""
    theirs = source.numbers.get(name) if source else None
    if theirs is None or own.high - own.low < (theirs.bins.high - theirs.bins.low) / _WORTH_COMPARING:
        return own
    return theirs.bins


def _recipes(chapters: Sequence[Chapter]) -> list[tuple[str, list[str]]]:
    """Return the distinct recipe texts: (tables made with it, lines)."""
    names: dict[str, list[str]] = {}
    for chapter in chapters:
        names.setdefault(chapter.table.record.recipe_text, []).append(chapter.table.name)
    return [
        (cut(", ".join(tables), 300), [line[:_MOST_LINE] for line in text.splitlines()[:_MOST_LINES]])
        for text, tables in names.items()
    ]


def _mosaic(chapters: Sequence[Chapter]) -> Mosaic:
    """Return the mosaic of the last table that has pictures."""
    for chapter in reversed(chapters):
        firsts = [(sheet.title, card.picture) for sheet in chapter.kept for card in sheet.cards[:1] if card.picture]
        if firsts:
            return Mosaic(chapter.table.name, [(cut(title, 60), picture) for title, picture in firsts])
    return Mosaic("", [])


def _sections(chapter: Chapter) -> list[tuple[str, str, bool]]:
    """Return (suffix of the anchor, title, whether it exists) of the sections of a table."""
    return [
        ("funnel", "Rows kept by each step", True),
        ("steps", "Steps", True),
        ("rows", "Distributions", bool(chapter.bars or chapter.numbers or chapter.times or chapter.globe)),
        ("sets", "Long-tailed sets", chapter.sets is not None),
        ("measured", "Measured figures", bool(chapter.values or chapter.matrices)),
        ("classifier", "Classifier", bool(chapter.compared)),
        ("mistakes", "Worst mistakes", bool(chapter.mistakes)),
        ("attributes", "Clusters inside classes", bool(chapter.attributes)),
        ("duplicates", "Near-duplicates", bool(chapter.duplicates)),
        ("kept", "Kept rows", bool(chapter.kept)),
        ("dropped", "Dropped rows", bool(chapter.dropped)),
        ("lineage", "Lineage", True),
    ]


def resource(name: str) -> str:
    """Return the text of a file next to the templates."""
    return files("poolwright.report").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


def _plain(value: Any) -> Any:
    """Remove control characters from the text that a template writes; markup stays as it is."""
    return clean(value) if type(value) is str else value


def template(name: str = "page.html.j2") -> Any:
    """Return a template of the page, which escapes everything it writes.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise MissingExtra("jinja2", "a report") from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("poolwright.report", _TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = story.short_digest
    environment.globals.update(dots=dots, sides=PER_SIDE)
    return environment.get_template(name)
