"""Define the names of the sets and columns of the generalized long tail (GLT), as in its files and its paper.

Tang et al., "Invariant Feature Learning for Generalized Long-Tailed Classification", arXiv 2207.09504, section 4.
"""

from __future__ import annotations

from poolwright.core.columns import ATTRIBUTE, CLASS_INDEX

FREQUENCY = "frequency"
SPLIT_GLT = "split_glt"
SPLIT_CBL = "split_cbl"
COLUMNS = (SPLIT_GLT, SPLIT_CBL, CLASS_INDEX, FREQUENCY, ATTRIBUTE)
"""Columns that define the sets of a table."""

TRAIN, VAL, TEST_LT, TEST_BL, TEST_BBL = SETS = ("train", "val", "test_lt", "test_bl", "test_bbl")
"""Names of the sets in the columns `split_glt` and `split_cbl`, and in the published files."""

TITLES = {
    "Train-GLT": (SPLIT_GLT, TRAIN),
    "Val-GLT": (SPLIT_GLT, VAL),
    "Test-GLT": (SPLIT_GLT, TEST_LT),
    "Train-CBL": (SPLIT_CBL, TRAIN),
    "Val-CBL": (SPLIT_CBL, VAL),
    "Test-CBL": (SPLIT_GLT, TEST_BL),
    "Test-GBL": (SPLIT_GLT, TEST_BBL),
}
"""Name of each set in the paper, with its column and value. The last two sets are the same in both columns."""

GROUPS = ("many", "medium", "few")
"""Values of the column `frequency`."""
