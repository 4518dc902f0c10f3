"""Write the page of a comparison of datasets: what they have in common, with pairs of pictures side by side."""

from __future__ import annotations

from pathlib import Path

from poolwright.core.files import write_text
from poolwright.core.results.leaks import LeakReport
from poolwright.report.charts.charts import Markup
from poolwright.report.charts.words import cut
from poolwright.report.page import resource, template


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
