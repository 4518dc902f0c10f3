"""Write the pages of comparisons: of two versions of a dataset, and of datasets with each other."""

from __future__ import annotations

from pathlib import Path

from poolwright.core.files import write_text
from poolwright.core.results.changes import MEANINGS, Changes
from poolwright.core.results.leaks import LeakReport
from poolwright.report.charts.charts import Markup
from poolwright.report.charts.words import cut
from poolwright.report.page import resource, template

_MOST_GROUPS = 300


def write_diff(changes: Changes, path: Path) -> Path:
    """Write the differences between two versions as one self-contained HTML file.

    Args:
        path: path of the file; its folder is created.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    groups = {"split": changes.by_split, "class": changes.by_class, "source": changes.by_source}
    html = template("diff.html.j2").render(
        title=f"{cut(changes.before.name, 60)} → {cut(changes.after.name, 60)}",
        changes=changes,
        meanings=MEANINGS,
        groups={name: found[:_MOST_GROUPS] for name, found in groups.items() if found},
        left_out={name: max(len(found) - _MOST_GROUPS, 0) for name, found in groups.items()},
        style=Markup(resource("style.css")),
    )
    write_text(path, html)
    return path


def write_leaks(report: LeakReport, path: Path) -> Path:
    """Write what datasets have in common as one self-contained HTML file.

    Args:
        path: path of the file; its folder is created.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    html = template("leaks.html.j2").render(
        title=cut(", ".join(one.name for one in report.sets), 80),
        report=report,
        pictures=report.pictures,
        style=Markup(resource("style.css")),
    )
    write_text(path, html)
    return path
