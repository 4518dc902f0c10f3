"""A plain statement of the draw of MatchedFrequency, independent of the step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import pyarrow as pa

from poolwright.kernels.selection.ranks import hash_ranks


def expected_uids(
    rows: Iterable[Mapping[str, Any]], like: Iterable[Mapping[str, Any]], edges: Sequence[float], n: int, key: int
) -> list[str]:
    """The uids that are drawn from rows with `uid`, `label` and `share`, class by class, row by row."""

    def by_class(table: Iterable[Mapping[str, Any]]) -> dict[str, list[list[str]]]:
        found: dict[str, list[list[str]]] = {}
        for row in table:
            if row["label"] is None or row["share"] is None:
                continue
            bins = found.setdefault(row["label"], [[] for _ in range(len(edges) + 1)])
            # A share as float32 is compared with the edge as float32; both print alike.
            bins[sum(round(row["share"], 6) >= edge for edge in edges)].append(row["uid"])
        return found

    candidates, reference = by_class(rows), by_class(like)
    uids = []
    for label, bins in candidates.items():
        counts = [len(bin_) for bin_ in reference.get(label, [])]
        if not sum(counts):
            continue
        quotas = [Fraction(n * count, sum(counts)) for count in counts]
        wanted = [int(quota) for quota in quotas]
        # The largest remainder first; of equal ones the later bin.
        order = sorted(range(len(counts)), key=lambda at: (quotas[at] - wanted[at], at), reverse=True)
        for at in order[: n - sum(wanted)]:
            wanted[at] += 1
        ranked = []
        for bin_ in bins:
            ranks = hash_ranks(pa.array(bin_, pa.string()), key).tolist()
            ranked.append([uid for _, uid in sorted(zip(ranks, bin_, strict=True))])
        owed, taken = 0, [0] * len(bins)
        for at, uids_of in enumerate(ranked):
            taken[at] = min(len(uids_of), wanted[at] + owed)
            owed = wanted[at] + owed - taken[at]
        for at in range(len(bins) - 1, -1, -1):
            while owed and taken[at] < len(ranked[at]):
                taken[at] += 1
                owed -= 1
        for uids_of, number in zip(ranked, taken, strict=True):
            uids += uids_of[:number]
    return uids
