"""Write the section of a dataset card on licences, with a warning if the stated one allows more than the images'."""

from __future__ import annotations

from poolwright.core.columns import LICENSE
from poolwright.core.wording import some
from poolwright.reference.license_codes import allows_more
from poolwright.release.card.about import About
from poolwright.release.card.markdown import grid, plain, share
from poolwright.release.statistics import Statistics

_MOST_LICENCES = 50


def rights_section(about: About, statistics: Statistics, attribution: str | None) -> str:
    """Return the licence of the dataset and those of its images as Markdown.

    Args:
        attribution: name of the attribution file, if there is one.
    """
    words = ["## Licences and attribution", _stated(about)]
    words += [f"> **Warning:** {plain(note)}" for note in license_notes(about, statistics)]
    counts = statistics.counts(LICENSE)
    if counts:
        rows = [
            (plain(value) if value is not None else "not stated", f"{n:,}", share(n, statistics.rows))
            for value, n in counts[:_MOST_LICENCES]
        ]
        more = len(counts) - len(rows)
        rest = f"\n\nand {more:,} more, in `statistics.json`." if more > 0 else ""
        table = grid(("licence", "images", "share"), rows, (1, 2))
        words.append(f"The images keep their own licences:\n\n{table}{rest}")
    else:
        words.append("The table has no licence per image; the rights to the images remain with their owners.")
    if attribution:
        words.append(f"`{attribution}` lists the author, licence and source of every image.")
    return "\n\n".join(words)


def license_notes(about: About, statistics: Statistics) -> list[str]:
    """Return a sentence if the stated licence allows more than those of some images; else nothing."""
    if about.license is None:
        return []
    wider = [
        (str(value), rows)
        for value, rows in statistics.counts(LICENSE)
        if value is not None and allows_more(about.license, str(value))
    ]
    if not wider:
        return []
    rows = sum(rows for _, rows in wider)
    listed = some([f"{value} ({count:,})" for value, count in wider], 6)
    return [
        f"The licence of the dataset, {about.license}, allows more than those of {rows:,} of its {statistics.rows:,} "
        f"images: {listed}. It can hold for what its authors made, such as labels and splits, but not for these images."
    ]


def _stated(about: About) -> str:
    if not about.license:
        return "The licence of the dataset is not stated."
    stated = plain(about.license)
    return f"Dataset: {f'[{stated}]({about.license_url})' if about.license_url else stated}."
