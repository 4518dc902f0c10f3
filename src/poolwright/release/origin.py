"""Compute a digest of everything that a release depends on, so that an unchanged one is not written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poolwright.core.results.measured import Measured
from poolwright.core.table import Table
from poolwright.release.card.about import About
from poolwright.release.lineage import Lineage, without_paths
from poolwright.release.record import RELEASE_FORMAT, ParentRelease, digest_of


def origin_of(
    layout: tuple[str, Mapping[str, Any]],
    family: Lineage,
    about: About,
    others: Sequence[Table],
    measured: Sequence[Measured],
    versions: Mapping[str, str],
    parent: ParentRelease | None = None,
) -> str:
    """Return the SHA-256, hex, of everything that a release is made from.

    Args:
        layout: name and parameters of the layout.
        others: further tables that the layout reads.
        versions: version of the installed package that provides the layout, by package name.
        parent: the release that it comes after.
    """
    records = [record.model_dump(mode="json") for record in family.records]
    said = about.model_dump(mode="json", exclude=None if about.datasheet else {"datasheet"})
    parts = [RELEASE_FORMAT, *layout, said, records]
    if others:
        parts.append([without_paths(other.record).model_dump(mode="json") for other in others])
    if measured:
        parts.append({"measured": [found.model_dump(mode="json") for found in measured]})
    if versions:
        parts.append({"versions": dict(versions)})
    if parent:
        parts.append({"parent": parent.model_dump(mode="json")})
    return digest_of(*parts)
