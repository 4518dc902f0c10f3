"""Count the leaks of a release again, and compare them with those that it states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from poolwright.core.errors import is_installed
from poolwright.core.wording import rows as in_rows
from poolwright.core.wording import some
from poolwright.release.checks.result import Check, Findings, Skip, run_check
from poolwright.release.layouts.layout import Layout
from poolwright.release.leaks.count import IMAGES, RELEASED, count_leaks, leak_sources
from poolwright.release.leaks.limit import over_limit
from poolwright.release.record import ReleasedLeaks, ReleaseRecord

NAME = "leaks"
MOST_IMAGES = 10_000
"""Images that are hashed again unless every image is to be read."""


def check_leaks(folder: Path, release: ReleaseRecord, layout: Layout, full: bool) -> Check:
    """Count the rows that several parts of a release have in common.

    A leak that the release states is a warning, and an error if it exceeds `max_leak`. One that it does not state is an
    error; but a warning if the release was made before leaks were counted.

    Args:
        full: hash all images if the release has no perceptual hashes, however many they are.
    """
    again: list[ReleasedLeaks | None] = []

    def look() -> Findings:
        again.append(_count(folder, release, layout, full))
        if again[0] is None:
            raise Skip("the release has one part, or its rows have no uid")
        stated = release.leaks
        wrong = _differences(stated, again[0]) if stated else []
        wrong += [f"more than max_leak: {leak.words}" for leak in over_limit(stated or again[0], layout)]
        return wrong, _words(stated, again[0])

    check = run_check(NAME, look)
    leaks = release.leaks or (again and again[0])
    return replace(check, warning=True) if check.ok and leaks and leaks.some else check


def _count(folder: Path, release: ReleaseRecord, layout: Layout, full: bool) -> ReleasedLeaks | None:
    """Count by what the release states, as far as it has that itself; by what it has if it states nothing."""
    sources = release.leaks.sources if release.leaks else leak_sources(release, layout, None)[0]
    few = full or (release.images is not None and release.images.count <= MOST_IMAGES)
    images = few and is_installed("imagehash")
    here = {how: source for how, source in sources.items() if source == RELEASED or (source == IMAGES and images)}
    return count_leaks(folder, release, layout, sources=here)


def _differences(stated: ReleasedLeaks, again: ReleasedLeaks) -> list[str]:
    """Return the counts that are not as stated."""
    known = {(leak.by, leak.how): leak for leak in stated.found if leak.how in again.sources}
    found = {(leak.by, leak.how): leak for leak in again.found}
    gone = [leak for key, leak in known.items() if key not in found]
    wrong = [f"not found again, though stated: {leak.words}" for leak in gone if leak.rows]
    for key, leak in found.items():
        count = known[key].rows if key in known else 0
        if leak.rows != count:
            wrong.append(f"{leak.words}; the card states {in_rows(count)}")
    return wrong


def _words(stated: ReleasedLeaks | None, again: ReleasedLeaks) -> str:
    """Return what was counted, on one line: the leaks, or else what was compared."""
    by = list(dict.fromkeys(leak.by for leak in again.found))
    words = "; ".join(leak.words for leak in again.some)
    if not words:
        words = (
            f"no row of a part ({some(by)}) is in another, by {some([leak.kind for leak in again.found]) or 'nothing'}"
        )
    if stated is None:
        return words + ("; not stated, as the release was made before they were counted" if again.some else "")
    others = [leak for leak in stated.found if leak.how not in again.sources]
    words += ", as the card states" if again.some else ""
    return words + "".join(f"; stated, and not counted again: {leak.words}" for leak in others)
