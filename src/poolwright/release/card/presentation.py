"""Define what a layout contributes to the card and to the Croissant document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Presentation:
    """The parts of the documents that depend on the layout.

    Attributes:
        figures: whether the card has figures.
        load_snippet: how to load the release, Markdown.
        sections: further sections of the card, Markdown.
        task_categories: task categories of the Hugging Face Hub.
        data_files: (split, glob) pairs of the data files, by config; under None if there is only one.
        features: features of the data files for `datasets`; none if it finds them itself.
        file_sets: file sets of the Croissant document.
        record_sets: its record sets, except splits, classes and rows.
    """

    figures: bool
    load_snippet: str
    sections: tuple[str, ...]
    task_categories: tuple[str, ...]
    data_files: Mapping[str | None, Sequence[tuple[str, str]]]
    features: Sequence[Mapping[str, Any]]
    file_sets: Sequence[Mapping[str, Any]]
    record_sets: Sequence[Mapping[str, Any]]
