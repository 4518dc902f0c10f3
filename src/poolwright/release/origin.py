"""Origin of a release: a digest of all that its bytes depend on, so that an unchanged one is not written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poolwright.core.measured import Measured
from poolwright.core.table import Table
from poolwright.release.card.about import About
from poolwright.release.lineage import Lineage, without_paths
from poolwright.release.record import RELEASE_FORMAT, digest_of


def origin_of(
    layout: tuple[str, Mapping[str, Any], str],
    family: Lineage,
    about: About,
    others: Sequence[Table],
    measured: Sequence[Measured],
) -> str:
    """SHA-256 of what a release is made from, hex.

    Args:
        layout: its name, its parameters, and the distribution it comes from ('' for poolwright's own).
        others: further tables that the layout reads.
    """
    name, parameters, provider = layout
    records = [record.model_dump(mode="json") for record in family.records]
    parts = [RELEASE_FORMAT, name, parameters, about.model_dump(mode="json"), records]
    if others:
        parts.append([without_paths(other.record).model_dump(mode="json") for other in others])
    if measured:
        parts.append({"measured": [found.model_dump(mode="json") for found in measured]})
    if provider:
        parts.append({"provider": provider})
    return digest_of(*parts)
