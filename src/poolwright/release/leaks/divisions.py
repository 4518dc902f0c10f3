"""Find what divides the rows of a release into parts that should have no row in common."""

from __future__ import annotations

import re

from poolwright.core.columns import BUCKET
from poolwright.release.record import ReleaseRecord

_SPLITS = re.compile(r"split(_\d+)?")


def usual_divisions(release: ReleaseRecord) -> list[str]:
    """Return the columns of splits, `split` or `split_0`, `split_1` and so on, and of time buckets."""
    return [known.name for known in release.columns if _SPLITS.fullmatch(known.name) or known.name == BUCKET]
