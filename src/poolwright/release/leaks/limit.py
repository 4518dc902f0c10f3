"""Hold the rows that several parts of a release have in common against the limit of its recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from poolwright.core.errors import MissingExtra, ReleaseError
from poolwright.core.params import exact, parse_share, percent
from poolwright.core.results.leaks import HASHES, Leak
from poolwright.core.wording import rows as in_rows
from poolwright.release.record import ReleasedLeaks

if TYPE_CHECKING:
    from poolwright.release.layouts.layout import Layout

NOT_INSTALLED = "imagehash is not installed"
AVOID = "keep copies together with `split: {group: ...}`, or drop them with `near_duplicates: {keep: first}`"


def _rows_or_share(value: Any) -> int | float:
    if type(value) is int:
        if value < 0:
            raise ValueError(f"a number of rows is not negative, as {value} is")
        return value
    return parse_share(value)


LeakLimit = Annotated[
    int | float,
    BeforeValidator(_rows_or_share),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "%$"}]}),
]
"""A number of rows, or a share of them: 0, 12, 0.001 or '0.1%'."""


def check_limit(table: str, leaks: ReleasedLeaks | None, layout: Layout) -> None:
    """Check the counts of a release before it is put in place.

    Raises:
        MissingExtra: perceptual hashes could not be computed.
        ReleaseError: more rows than the limit are in several parts, which the message names with some rows; or nothing
            could be compared.
    """
    limit = layout.max_leak
    if limit is None or leaks is None:
        return
    if NOT_INSTALLED in leaks.left_out.values():
        raise MissingExtra("imagehash", "max_leak, which compares perceptual hashes")
    if not set(leaks.sources) & {*HASHES, layout.leak_vectors}:
        why = "; ".join(f"{how}: {reason}" for how, reason in leaks.left_out.items())
        raise ReleaseError(
            f"table '{table}' is not released: max_leak limits the rows in several parts, and there is nothing to "
            f"compare them by ({why}); compute it with `hash`, or leave out max_leak"
        )
    over = over_limit(leaks, layout)
    if over:
        allowed = percent(limit) if isinstance(limit, float) else in_rows(limit)
        raise ReleaseError(
            f"table '{table}' is not released: rows of one part are in another, and max_leak allows {allowed}. "
            f"{'; '.join(leak.words for leak in over)}. To avoid it, {AVOID}"
        )


def over_limit(leaks: ReleasedLeaks | None, layout: Layout) -> list[Leak]:
    """Return the counts that exceed the limit of a release: those by hashes, and by vectors that the recipe names."""
    limit = layout.max_leak
    if leaks is None or limit is None:
        return []
    counted = [leak for leak in leaks.some if leak.how in (*HASHES, layout.leak_vectors)]
    return [leak for leak in counted if leak.rows > (limit if isinstance(limit, int) else exact(limit) * leak.later)]


def leak_notes(leaks: ReleasedLeaks | None) -> list[str]:
    """Return what a user should know of the counts, in sentences."""
    if leaks is None or not leaks.some:
        return []
    return [f"rows of one part are in another: {'; '.join(leak.words for leak in leaks.some)}. To avoid it, {AVOID}"]
