"""Check that the header of a dataset card parses and that the card gives the numbers of the release."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from poolwright.core.wording import counted
from poolwright.release.card.card import CARD
from poolwright.release.card.header import size_category
from poolwright.release.card.sections.leaks import leaks_section
from poolwright.release.checks.result import Findings
from poolwright.release.record import ReleaseRecord

_KEYS = ("license", "pretty_name", "size_categories", "task_categories", "tags", "configs", "dataset_info")
_FIGURE = re.compile(r"""(?:]\(|\bsrc="|\bsrcset=")(figures/[^)"]+)""")
_PARTS = ("How to load it", "Columns", "How it was made", "Statistics", "Licences and attribution", "Known limits")


def check_card(folder: Path, release: ReleaseRecord) -> Findings:
    """Check that README.md has its sections and figures, and gives the numbers of the release."""
    path = folder / CARD
    if not path.exists():
        return [f"'{CARD}' is missing"], ""
    header, body = _parts(path.read_text(encoding="utf-8"))
    if header is None:
        return [f"'{CARD}' has no YAML header that can be read"], ""
    wrong = [f"the header has no '{key}'" for key in _KEYS if not header.get(key)]
    wrong += [f"the section '{part}' is missing" for part in _PARTS if f"## {part}" not in body]
    if f"**{counted(release.rows, 'row')}**" not in body:
        wrong.append(f"the text does not mention the {counted(release.rows, 'row')} of the release")
    if leaks_section(release) not in body:
        wrong.append("the section 'Leakage' does not state the counts of release.json")
    wrong += _header_counts(header, release)
    wrong += [f"the figure '{name}' is missing" for name in _linked(body) if not (folder / name).is_file()]
    return wrong, f"the header parses and says {release.rows:,} rows, as the release does"


def _parts(text: str) -> tuple[dict[str, Any] | None, str]:
    if not text.startswith("---\n") or "\n---\n" not in text[3:]:
        return None, text
    head, _, body = text[4:].partition("\n---\n")
    try:
        header = yaml.safe_load(head)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return None, body
    return (header if isinstance(header, dict) else None), body


def _header_counts(header: dict[str, Any], release: ReleaseRecord) -> list[str]:
    if not header.get("dataset_info") or not header.get("configs"):
        return []
    counts = _counts(header["dataset_info"])
    listed = {part["split"] for config in header["configs"] for part in config["data_files"]}
    wrong = []
    if counts != release.splits:
        wrong.append(f"the header counts {sum(counts.values()):,} rows in {counts}, the release {release.splits}")
    if listed != set(release.splits):
        wrong.append(f"the header lists the splits {sorted(listed)}, the release has {sorted(release.splits)}")
    if header.get("size_categories") != [size_category(release.rows)]:
        wrong.append(f"the header says {header.get('size_categories')}, the release has {release.rows:,} rows")
    return wrong


def _counts(info: dict[str, Any] | list[dict[str, Any]]) -> dict[str, int]:
    """Sum the rows by split over all configs."""
    counts: Counter[str] = Counter()
    for config in info if isinstance(info, list) else [info]:
        counts.update({part["name"]: part["num_examples"] for part in config["splits"]})
    return dict(counts)


def _linked(body: str) -> list[str]:
    return _FIGURE.findall(body)
