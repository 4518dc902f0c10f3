"""Reproductions of published datasets: shipped recipes at their published sizes, with the published numbers.

    from poolwright.conformance import conformance

    print(conformance("clip-geoyfcc", "conformance/clip-geoyfcc").numbers)

Where sources cannot be had, they are generated. See docs/conformance.md.
"""

from __future__ import annotations

from poolwright.conformance.known import REPRODUCTIONS, conformance
from poolwright.conformance.reproduction import Reproduction
from poolwright.core.results.conformance import Conformance, PublishedNumber

__all__ = ["REPRODUCTIONS", "Conformance", "PublishedNumber", "Reproduction", "conformance"]
