"""Measures the figure `verdicts`: accuracy of a classifier on its pool, from the sheet that `audit` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from poolwright.annotation.exchange.read_answers import read_verdicts
from poolwright.annotation.sample import accuracy, read_sample, sample_beside
from poolwright.core.files import digest_file
from poolwright.core.results.measured import Measured
from poolwright.core.table import RECORD, Table
from poolwright.kernels.statistics.accuracy import MEASURES, Estimate, Estimates
from poolwright.recipe.figures import Figure

_WORDS = {
    "precision": "share of positives among the rows that the classifier keeps",
    "recall": "share of the kept rows among the positives of the pool",
    "prevalence": "share of positives in the pool",
}


def digests(figure: Figure) -> dict[str, str]:
    """Return the digest of each of the figure's files that exists."""
    sheet = Path(figure.sheet or "")
    paths = [sheet, sample_beside(sheet), *map(Path, figure.verdicts)]
    return {path.name: digest_file(path) for path in paths if path.is_file()}


def missing(figure: Figure, table: Table) -> str | None:
    """Return why there is nothing to measure yet and what to do, or None."""
    sheet = Path(figure.sheet or "")
    write = f"poolwright audit {table.folder.parent.parent} {table.name} {sheet}"
    if not sheet.is_file() or not sample_beside(sheet).is_file():
        return f"{figure.name}: no sheet {sheet} yet; write one with: {write}"
    if read_sample(sample_beside(sheet)).record != digest_file(table.folder / RECORD):
        return f"{figure.name}: {sheet} was drawn from another state of '{table.name}'; draw a new one with: {write}"
    if not _estimates(figure).answered:
        return f"{figure.name}: nobody gave a verdict on {sheet} yet"
    return None


def measured(figure: Figure, table: Table) -> Iterator[Measured]:
    """Measure precision, recall and prevalence on the pool, with intervals.

    Raises:
        InputError: a file cannot be read, or verdicts are about other rows.
    """
    found = _estimates(figure)
    for name in MEASURES:
        one: Estimate = getattr(found, name)
        if one.value is not None:
            words = (
                f"On the pool: {_WORDS[name]}. {found.confidence:.0%} interval from {found.answered:,} verdicts on a "
            )
            words += "stratified sample of all rows, kept or not."
            words += _missed(found.missed) if name == "recall" else ""
            yield Measured(
                name=f"{figure.name}: {name}",
                table=table.name,
                measure=figure.measure,
                value=one.value,
                low=one.low,
                high=one.high,
                words=words,
            )


def _missed(missed: Estimate) -> str:
    about = f"{missed.value:,.0f} positives ({missed.low:,.0f} to {missed.high:,.0f})"
    return f" The classifier misses about {about}." if missed.value is not None else ""


def _estimates(figure: Figure) -> Estimates:
    sheet = Path(figure.sheet or "")
    given = [
        verdict
        for path in figure.verdicts or (str(sheet),)
        for verdict in read_verdicts(Path(path), dict(figure.words), field=figure.field)
    ]
    return accuracy(read_sample(sample_beside(sheet)), given)
