"""ImageNet-GLT at full size: the published numbers, and every class and attribute by a plain statement of its draws."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from poolwright.conformance.imagenet_glt import CLASSES, IMAGES, class_sizes, imagenet
from poolwright.steps.split.class_sizes import shipped_sizes
from tests.steps.split.glt_rows import SETS, glt

NONE = len(SETS)


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return imagenet(0)


@pytest.fixture(scope="module")
def drawn(rows: pa.Table) -> pa.Table:
    return glt(rows, cuts=range(250_000, IMAGES, 250_000))[0]


def places(table: pa.Table, column: str) -> np.ndarray:
    """The set of each row as place in SETS."""
    found = pc.index_in(table.column(column), value_set=pa.array(SETS))
    return np.asarray(pc.fill_null(found, NONE).to_numpy())


def by_cell(table: pa.Table, column: str) -> dict[str, np.ndarray]:
    """Rows of every set by class number and attribute: (1000, 3) each."""
    cells = table.column("class_index").to_numpy().astype(np.int64) * 3 + table.column("attribute").to_numpy()
    flat = np.bincount(places(table, column) * 3 * CLASSES + cells, minlength=(NONE + 1) * 3 * CLASSES)
    counts = flat.reshape(NONE + 1, CLASSES, 3)
    return dict(zip((*SETS, "none"), counts, strict=True))


def test_the_rows_are_those_of_imagenet() -> None:
    sizes = class_sizes()
    assert (sizes.sum(), sizes.max(), sizes.min(), len(sizes)) == (1_281_167, 1_300, 732, 1_000)


def test_the_published_numbers(drawn: pa.Table) -> None:
    glt_sets, cbl_sets = by_cell(drawn, "split_glt"), by_cell(drawn, "split_cbl")
    assert glt_sets["test_bbl"].sum() == cbl_sets["test_bbl"].sum() == 60_000
    assert glt_sets["test_bl"].sum() == cbl_sets["test_bl"].sum() == 60_000
    assert cbl_sets["train"].sum() + cbl_sets["val"].sum() == 144_000
    assert (cbl_sets["val"].sum(), cbl_sets["train"].sum(), cbl_sets["test_lt"].sum()) == (30_000, 114_000, 0)
    assert (glt_sets["test_lt"].sum(), glt_sets["val"].sum()) == (60_000, 30_000)


def test_every_class_and_attribute(rows: pa.Table, drawn: pa.Table) -> None:
    found, balanced = by_cell(drawn, "split_glt"), by_cell(drawn, "split_cbl")
    there = sum(found.values())
    sizes = np.array(shipped_sizes(CLASSES))
    ratio = np.array([7, 2, 1])
    assert np.array_equal(np.sort(there.sum(axis=1))[::-1], there.sum(axis=1)), "classes are numbered by size"
    assert (found["test_bbl"] == np.minimum(20, there.min(axis=1) // 4)[:, None]).all()
    assert (found["test_bl"] == [42, 12, 6]).all()
    left = there - found["test_bbl"] - found["test_bl"]
    rest = np.minimum(sizes[:, None] * ratio // 10, left)
    assert (found["train"] + found["val"] + found["test_lt"] == rest).all()
    assert (balanced["train"] + balanced["val"] == [101, 29, 14]).all()
    assert (balanced["val"] == [21, 6, 3]).all()
    # At random from the rest: the mean number a class is what its size gives, within chance.
    share = 60_000 / rest.sum()
    deviations = (found["test_lt"].sum(axis=1) - rest.sum(axis=1) * share) / np.sqrt(
        rest.sum(axis=1) * share * (1 - share)
    )
    assert 0.9 < deviations.std() < 1.1
    assert abs(deviations).max() < 5


def test_all_sets_are_apart(drawn: pa.Table) -> None:
    glt_place, cbl_place = places(drawn, "split_glt"), places(drawn, "split_cbl")
    for name in ("test_bl", "test_bbl"):
        assert np.array_equal(glt_place == SETS.index(name), cbl_place == SETS.index(name))
    assert (cbl_place[glt_place == SETS.index("test_lt")] == NONE).all()
    assert len(pc.unique(drawn.column("uid"))) == IMAGES


def test_classes_are_many_medium_and_few(drawn: pa.Table) -> None:
    number, group = (drawn.column(name).to_numpy() for name in ("class_index", "frequency"))
    assert np.array_equal(group, np.select([number < 400, number < 850], [0, 1], 2))


def test_another_order_and_cut_of_the_rows_draws_the_same(rows: pa.Table, drawn: pa.Table) -> None:
    order = np.random.default_rng(9).permutation(IMAGES)
    again = glt(rows.take(pa.array(order)), batch_rows=1_000_000)[0]
    for column in ("split_glt", "split_cbl"):
        assert np.array_equal(places(drawn, column)[order], places(again, column))
