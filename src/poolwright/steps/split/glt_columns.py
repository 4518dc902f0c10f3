"""The columns that the step `glt` gives, with what cards and reports show of the sets in them."""

from __future__ import annotations

import pyarrow as pa

from poolwright.core.columns import ATTRIBUTE, CLASS_INDEX, described
from poolwright.kernels.selection.row_sets import RowSets
from poolwright.reference.glt_sets import FREQUENCY, GROUPS, SPLIT_CBL, SPLIT_GLT, TITLES

_SETS = RowSets(
    TITLES,
    classes=CLASS_INDEX,
    attributes=ATTRIBUTE,
    groups=FREQUENCY,
    group_names=GROUPS,
    remarks="An attribute is a cluster of a class, 0 the largest; clusters of the same number in two classes "
    "have nothing else in common. The sets Test-CBL and Test-GBL are the same in both columns. No image of a test set "
    "is in another set; Train-GLT and Train-CBL, and their vals, share images.",
)


GIVEN = (
    described(pa.field(SPLIT_GLT, pa.string()), "Split where classes and attributes are long-tailed; null in none"),
    described(
        pa.field(SPLIT_CBL, pa.string()), "Split where classes are balanced, attributes long-tailed; null in none"
    ),
    _SETS.mark(pa.field(CLASS_INDEX, pa.int32())),
    described(pa.field(FREQUENCY, pa.int32()), "How frequent the class is: 0 many, 1 medium, 2 few rows (group)"),
    pa.field(ATTRIBUTE, pa.int32()),
)


def columns_of_lists(split: str) -> list[pa.Field]:
    """Return the columns that are given with lists of attributes: the sets of one protocol, class and frequency."""
    given = [one for one in GIVEN if one.name in (split, CLASS_INDEX, FREQUENCY)]
    return [pa.field(one.name, one.type) if one.name == CLASS_INDEX else one for one in given]
