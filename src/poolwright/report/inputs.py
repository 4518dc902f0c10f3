"""Describe the inputs of a table: parts and files with sizes and digests, the quarantined ones first."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.core.files import human_bytes
from poolwright.core.table import InputFile, InputPart, TableRecord
from poolwright.core.wording import counted
from poolwright.report.charts.words import cut

_MOST_PARTS, _MOST_FILES = 12, 4


@dataclass(frozen=True)
class PartWords:
    """One part of the input."""

    name: str
    rows: str
    files: tuple[tuple[str, str, str], ...]
    more: str
    quarantined: str


@dataclass(frozen=True)
class InputSummary:
    """Parts of the input: the quarantined ones, and the first of the others."""

    facts: str
    quarantined: tuple[PartWords, ...]
    parts: tuple[PartWords, ...]
    more: str


def describe_inputs(record: TableRecord) -> InputSummary:
    """Describe the inputs of a table, with sizes and digests."""
    bad = [part for part in record.inputs if part.quarantined]
    good = [part for part in record.inputs if not part.quarantined]
    size = sum(file.size for file in record.files)
    facts = f"{counted(len(record.inputs), 'part')}, {counted(len(record.files), 'file')}, {human_bytes(size)}"
    hidden = max(0, len(good) - _MOST_PARTS) + max(0, len(bad) - _MOST_PARTS)
    return InputSummary(
        f"{facts}; {counted(len(bad), 'part')} quarantined" if bad else facts,
        tuple(_part(part, record.files) for part in bad[:_MOST_PARTS]),
        tuple(_part(part, record.files) for part in good[:_MOST_PARTS]),
        f"and {counted(hidden, 'more part')}; all are in table.json" if hidden else "",
    )


def _part(part: InputPart, files: tuple[InputFile, ...]) -> PartWords:
    shown = tuple(
        (cut(files[index].path, 160), human_bytes(files[index].size), files[index].digest)
        for index in part.files[:_MOST_FILES]
        if index < len(files)
    )
    hidden = len(part.files) - _MOST_FILES
    return PartWords(
        name=cut(part.name, 160),
        rows=f"{part.rows:,}" if part.rows is not None else "?",
        files=shown,
        more=f"and {counted(hidden, 'more file')}" if hidden > 0 else "",
        quarantined=cut(part.quarantined or "", 400),
    )
