"""Parse the number of clusters: fixed, or between two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

MOST_CLUSTERS = 1_000_000

FEW_CLUSTERS = 1_000
"""Up to this many clusters, K-means runs with restarts, and their number can be chosen."""


def _numbers(value: Any) -> Any:
    """6 -> (6, 6); {choose: [2, 8]} -> (2, 8).

    Raises:
        ValueError: neither of the two, or not within 1 .. 1,000,000, if it is chosen 1,000.
    """
    most = MOST_CLUSTERS
    if isinstance(value, Mapping) and set(value) == {"choose"}:
        value, most = value["choose"], FEW_CLUSTERS
    numbers = tuple(value) if isinstance(value, list | tuple) else (value, value)
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    if len(numbers) != 2 or not whole or not 1 <= min(numbers) <= max(numbers) <= most:
        raise ValueError(
            f"k is a number of clusters from 1 to {MOST_CLUSTERS:,}, or {{choose: [2, 8]}}, the fewest and most "
            f"to choose from, up to {FEW_CLUSTERS:,}, not {value!r}"
        )
    return numbers


Numbers = Annotated[
    tuple[int, int],
    BeforeValidator(_numbers),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_CLUSTERS},
                {
                    "type": "object",
                    "properties": {
                        "choose": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
                    },
                    "required": ["choose"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
