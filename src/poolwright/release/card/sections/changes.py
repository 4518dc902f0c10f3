"""Write what changed since the release before: the section of a card, the file of all counts, and Croissant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from poolwright.core.results.changes import Changes, GroupChange
from poolwright.release.card.markdown import code, grid, plain
from poolwright.release.record import ParentRelease

CHANGES = "changes.json"
_MOST = 50
_NUMBERS = ("before", "after", "added", "removed", "moved", "relabelled", "changed")


def changes_text(changes: Changes) -> str:
    """Return the text of `changes.json`."""
    return json.dumps(asdict(changes), indent=1, ensure_ascii=False) + "\n"


def changes_section(parent: ParentRelease, changes: Changes) -> str:
    """Return the section of a card on what changed since the release before."""
    named = plain(f"{parent.name} {parent.version}".strip())
    link = f"[{named}]({parent.url})" if parent.url else named
    counts = ", ".join(f"{rows:,} {what}" for what, rows in changes.counts.items())
    lead = f"The first version is that release, the second is this one. Rows, by uid: {counts}."
    parts = [f"## Changes since {link}", f"{lead} `{CHANGES}` has all counts, and a few examples."]
    for what, here, found in (
        ("removed", "this release", changes.removed_because),
        ("added", "that release", changes.added_because),
    ):
        if found:
            rows = [(f"{one.rows:,}", _step(one.step, one.verb, one.table), plain(one.because)) for one in found]
            parts.append(grid((what, f"dropped in {here} by", "because"), rows, (0,)))
    parts += [part for part in map(_groups, ("split", "class"), (changes.by_split, changes.by_class)) if part]
    if changes.columns:
        rows = [(code(one.column), f"{one.rows:,}", plain(one.by)) for one in changes.columns]
        parts.append(grid(("column", "rows that differ", "where it comes from"), rows, (1,)))
    lines = [f"- {plain(line)}" for line in (*changes.recipe, *changes.notes)]
    parts.append("\n".join(lines))
    parts.append(f"SHA-256 of the checksums of that release: `{parent.digest}`.")
    return "\n\n".join(part for part in parts if part)


def _step(number: int, verb: str, table: str) -> str:
    return f"{plain(table)}: {number}. `{verb}`" if verb else ""


def _groups(name: str, groups: Sequence[GroupChange]) -> str:
    rows = [
        (plain("none" if one.value is None else one.value), *(f"{getattr(one, number):,}" for number in _NUMBERS))
        for one in groups
        if one.added or one.removed or one.moved or one.relabelled or one.changed
    ]
    more = f"\n\nand {len(rows) - _MOST:,} more" if len(rows) > _MOST else ""
    return grid((name, *_NUMBERS), rows[:_MOST], range(1, 8)) + more if rows else ""


def based_on(parent: ParentRelease | None) -> list[dict[str, str]]:
    """Return the release before as schema.org's `isBasedOn` has it; nothing if there is none."""
    if parent is None:
        return []
    found = {"@type": "sc:Dataset", "name": parent.name, "version": parent.version, "url": parent.url}
    found["identifier"] = f"sha256:{parent.digest}"
    return [{name: value for name, value in found.items() if value}]
