"""glt: the draws of both protocols, scales and sizes of classes, and what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from poolwright.core.errors import StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.steps.split.class_sizes import Profile, shipped_sizes
from poolwright.steps.split.glt import Glt
from tests.steps.split.glt_rows import check_apart, check_published, counts, glt, rows_of, sets_of

# Four classes as large as ImageNet's; of the third the smallest attribute, of the last the largest is cut short.
LARGE = {"b": (700, 400, 200), "a": (800, 300, 200), "c": (900, 330, 62), "d": (160, 150, 140)}
SIZES = [900, 400, 300, 250]


@pytest.fixture(scope="module")
def large() -> pa.Table:
    return rows_of(LARGE)


def totals(table: pa.Table, column: str) -> dict[str, int]:
    return {name: sum(cells.values()) for name, cells in counts(table, column).items()}


def test_the_draws_are_those_of_the_published_script(large: pa.Table) -> None:
    table, _, _ = glt(large, sizes=SIZES)
    check_published(table, SIZES)
    assert counts(table, "split_glt")["test_bbl"]["c", 2] == 15
    assert sum(count for (label, rank), count in counts(table, "split_cbl")["train"].items() if label == "b") == 114


def test_equal_classes_are_numbered_by_their_name(large: pa.Table) -> None:
    table, _, _ = glt(large, sizes=SIZES, frequency=[1, 3])
    found = {row["label"]: (row["class_index"], row["frequency"]) for row in table.to_pylist()}
    assert found == {"a": (0, 0), "b": (1, 1), "c": (2, 1), "d": (3, 2)}


def test_order_cut_and_workers_change_nothing(large: pa.Table) -> None:
    table, state, step = glt(large, sizes=SIZES)
    shuffled = large.take(pa.array(np.random.default_rng(1).permutation(len(large))))
    other, again, _ = glt(shuffled, cuts=(7, 2_000), batch_rows=99, sizes=SIZES)
    assert state == again
    names = ["uid", "split_glt", "split_cbl", "class_index", "frequency"]
    assert table.select(names).sort_by("uid") == other.select(names).sort_by("uid")
    assert step.learned(state) == step.learned(again)


def test_another_seed_draws_other_rows_of_the_same_numbers(large: pa.Table) -> None:
    one, other = (glt(large, key=key, sizes=SIZES)[0] for key in (5, 6))
    assert sets_of(one) != sets_of(other)
    for column in ("split_glt", "split_cbl"):
        assert totals(one, column) == totals(other, column)


def test_what_is_drawn_at_random_is_drawn_from_all_classes_alike(large: pa.Table) -> None:
    drawn: Counter[str] = Counter()
    rest: Counter[str] = Counter()
    for key in range(40):
        for name, cells in counts(glt(large, key=key, sizes=SIZES)[0], "split_glt").items():
            for (label, _), count in cells.items():
                drawn[label] += count * (name == "test_lt")
                rest[label] += count * (name in ("train", "val", "test_lt"))
    share = 40 * 240 / sum(rest.values())
    for label in LARGE:
        deviation = np.sqrt(rest[label] * share * (1 - share))
        assert abs(drawn[label] - rest[label] * share) < 4 * deviation


def test_a_smaller_class_is_cut_to_what_is_there_and_said() -> None:
    table, state, step = glt(rows_of({**LARGE, "e": (120, 40, 26)}), sizes=[*SIZES, 100])
    check_published(table, [*SIZES, 100])
    told = step.learned(state)
    assert "5 classes; GLT: train " in told
    assert "val 150, test_lt 300; CBL:" in told
    assert (
        f"the rest of GLT is cut from {sum(size * part // 10 for size in (*SIZES, 100) for part in (7, 2, 1)):,}"
        in told
    )
    assert "the rest of CBL is cut from 720 rows to " in told


def test_the_scale_multiplies_every_number() -> None:
    cells = {label: tuple(size // 10 for size in sizes) for label, sizes in LARGE.items()}
    table, state, step = glt(rows_of(cells), scale="10%", sizes=SIZES)
    glt_counts, cbl_counts = totals(table, "split_glt"), totals(table, "split_cbl")
    assert glt_counts["test_bl"] == cbl_counts["test_bl"] == 4 * 6
    assert glt_counts["test_lt"] == 4 * 6
    assert glt_counts["val"] == cbl_counts["val"] == 4 * 3
    # Two of each attribute, but of the third class one, a quarter of the six of its smallest.
    assert glt_counts["test_bbl"] == 3 * (2 + 2 + 1 + 2)
    assert counts(table, "split_glt")["test_bl"]["a", 0] == 4
    check_apart(table)
    assert "all numbers of rows times 0.1" in step.learned(state)


def test_a_card_says_that_the_shipped_sizes_are_not_the_published_ones(tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("900\n")
    for parameters, shipped in (({}, True), ({"sizes": [900]}, False), ({"sizes_file": str(own)}, False)):
        _, state, step = glt(rows_of({"a": (900, 300, 100)}), scale="auto", **parameters)
        assert ("class sizes near those of the published list" in step.learned(state)) == shipped


@pytest.mark.parametrize("size", [40, 130, 600])
def test_the_automatic_scale_fits_small_classes(size: int) -> None:
    draw = np.random.default_rng(size)
    shares = np.sort(draw.dirichlet([6, 4, 3], 12), axis=1)[:, ::-1]
    cells = {f"class-{at}": tuple(map(int, np.maximum(share * size, 4))) for at, share in enumerate(shares)}
    table, state, step = glt(rows_of(cells), scale="auto")
    check_apart(table)
    found = counts(table, "split_cbl")
    for name in ("train", "val", "test_bl"):
        by_class: Counter[str] = Counter()
        for (label, _), count in found[name].items():
            by_class[label] += count
        assert len(by_class) == 12
        assert len(set(by_class.values())) == 1, f"{name} is not balanced"
    assert "all numbers of rows times 0." in step.learned(state)
    assert set(totals(table, "split_glt")) == {"train", "val", "test_lt", "test_bl", "test_bbl"}


def test_the_automatic_scale_of_large_classes_is_one() -> None:
    _, state, _ = glt(rows_of({"a": (900, 300, 100), "b": (400, 300, 200)}), sizes=[900, 400], scale="auto")
    assert state.values["scale"] == "1"


def test_classes_without_a_row_to_train_on_are_told() -> None:
    cells = {f"class-{at:02d}": (9, 4, 4) for at in range(30)}
    numbers = {"test_bbl": 1, "test_bl": 2, "test_lt": 1, "val": 1, "balanced": 6}
    _, state, step = glt(rows_of(cells), **numbers, sizes={"shape": "exponential", "largest": 20, "imbalance": 10})
    cells_of = state.tables["cells"].select(["class", "rows.glt.train"]).to_pylist()
    without = 30 - len({cell["class"] for cell in cells_of if cell["rows.glt.train"]})
    assert without
    assert f"{without} classes have no row in train of GLT" in step.learned(state)


def test_rows_without_class_or_attribute_are_dropped_and_new_classes_too(large: pa.Table) -> None:
    lacking = pa.table({"uid": ["x", "y"], "label": ["a", None], "attribute": pa.array([None, 0], pa.int32())})
    table, state, step = glt(pa.concat_tables([large, lacking]), sizes=SIZES)
    drop = step.apply(Rows(table.select(["uid", "label", "attribute"])), state).drop
    assert drop is not None
    assert drop[-2:].tolist() == [1, 1]
    new = step.apply(Rows.of({"uid": ["z"], "label": ["new"], "attribute": [0]}), state)
    assert new.drop is not None
    assert new.drop.tolist() == [2]
    row = {**table.slice(0, 1).to_pylist()[0]}
    assert f"label = {row['label']}, attribute = {row['attribute']}" in step.explain(row, state)
    assert step.explain({"label": "a", "attribute": None}, state) == "label = a, attribute = None"


def test_no_rows(large: pa.Table) -> None:
    table, state, step = glt(large.slice(0, 0), sizes=SIZES)
    assert table.num_rows == 0
    assert step.learned(state) == "no classes"
    assert step.apply(Rows(large.slice(0, 2)), state).drop.tolist() == [2, 2]  # type: ignore[union-attr]


def test_profiles_fall_from_the_largest_to_the_smallest() -> None:
    sizes = shipped_sizes(1_000)
    assert (len(sizes), sizes[0], sizes[-1], sum(sizes)) == (1_000, 1_500, 18, 214_005)
    assert sizes == sorted(sizes, reverse=True)
    assert shipped_sizes(3) == [1_500, sizes[500], 18]
    assert shipped_sizes(1) == [1_500]
    exponential = Profile(shape="exponential", largest=1_800, imbalance=20).sizes(1_000)
    plain = [1_800 * 0.05 ** (number / 999) for number in range(1_000)]
    assert np.abs(np.array(exponential) - np.floor(plain)).max() <= 1  # the plain one may be just below a whole number
    assert (exponential[0], exponential[-1]) == (1_800, 90)
    assert Profile(shape="step", largest=1_800, imbalance=20).sizes(10) == [1_800] * 2 + [900] * 2 + [90] * 6
    assert Profile(shape="step", largest=9, imbalance=1).sizes(5) == [9] * 5
    assert Profile(shape="exponential", largest=9, imbalance=3).sizes(1) == [9]


def test_the_sizes_come_from_files(large: pa.Table, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "sizes.txt").write_text("# the largest first\n900\n400 # second\n\n300\n250\n")
    (tmp_path / "sizes.json").write_text(json.dumps(SIZES))
    torch.save(SIZES, tmp_path / "long-tail-distribution.pytorch")
    torch.save(torch.tensor(SIZES), tmp_path / "tensor.pt")
    expected = sets_of(glt(large, sizes=SIZES)[0])
    for name in ("sizes.txt", "sizes.json", "long-tail-distribution.pytorch", "tensor.pt"):
        step = Glt.model_validate({"sizes_file": str(tmp_path / name)})
        assert step.files() == (str(tmp_path / name),)
        step.check_files(large.schema)
        assert sets_of(glt(large, sizes_file=str(tmp_path / name))[0]) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1\n2\n", "class 1 with 2 rows is larger than the one before with 1"),
        ("3\n0\n", "class 1 of the class sizes has 0 rows"),
        ("3\nx\n", "cannot be read"),
        ("3\n2\n", "there are 4 classes, and the list has the sizes of 2"),
    ],
)
def test_files_of_sizes_that_cannot_be_used(large: pa.Table, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "sizes.txt").write_text(content)
    with pytest.raises(StepError, match=message):
        glt(large, sizes_file=str(tmp_path / "sizes.txt"))
    with pytest.raises(StepError, match="there is no file"):
        Glt(sizes_file=str(tmp_path / "nothing.txt")).check_files(large.schema)


@pytest.mark.parametrize(
    ("cells", "parameters", "message"),
    [
        (
            {"small": (90, 30, 3)},
            {},
            "at most 25% of the smallest; that is less than one row in class 'small', whose attribute 2 has 3 rows; "
            "ask for a larger 'smallest' or for `scale: auto`",
        ),
        (
            {"small": (90, 30), "large": (800, 300, 200)},
            {},
            "class 'small' has no row of attribute 2, and the ratio has 3 parts; give a ratio with fewer parts",
        ),
        (
            {"small": (50, 30, 10)},
            {},
            "take 60 [+] 30 rows x 1 classes = 90, and the long-tailed rest has 24, so none is left to train on",
        ),
        ({"small": (40, 30, 10)}, {}, "Test-CBL asks for 42 rows of attribute 0 in class 'small', and 38 are left"),
        (
            {"small": (62, 30, 10)},
            {"test_lt": 0},
            "the val of CBL asks for 21 rows of attribute 0 in class 'small', and 18 are left; ask for a smaller 'val'",
        ),
        (
            {"large": (800, 300, 200)},
            {"test_lt": 900, "val": 400},
            "take 900 [+] 400 rows x 1 classes = 1,300, and the long-tailed rest has 1,",
        ),
        ({"large": (800, 300, 200)}, {"sizes": [1]}, "no row of class 'large', number 0, by a size of 1"),
        (
            {"large": (800, 300, 200)},
            {"val": 3, "balanced": 3, "test_lt": 5},
            "the val of CBL asks for 1 row of attribute 1 in class 'large', and 0 are left",
        ),
        (
            {"large": (800, 300, 200)},
            {"val": 1, "balanced": 2, "test_lt": 5},
            "class 'large' has 1 row in the class-balanced rest, all for its val, and none to train on",
        ),
        (
            {"large": (800, 300, 200, 100)},
            {},
            "100 rows of class 'large' have 'attribute' 3, and the ratio has 3 parts",
        ),
        (
            {"small": (3, 2, 1)},
            {"scale": "auto"},
            "auto` finds no scale that fits; at the smallest, .* less than one row in class",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_numbers(
    cells: dict[str, tuple[int, ...]], parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(StepError, match=message):
        glt(rows_of(cells), **parameters)


def test_one_refusal_tells_how_many_more_there_are() -> None:
    cells = dict.fromkeys("abc", (90, 30, 3))
    with pytest.raises(StepError, match="so it is in 2 more classes"):
        glt(rows_of(cells))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ratio": [1, 2]}, "the ratio must not increase"),
        ({"ratio": []}, "at least 1 item"),
        ({"sizes": [1, 2]}, "class 1 with 2 rows is larger"),
        ({"sizes": "cifar"}, "imagenet-glt"),
        ({"sizes": {"shape": "step", "largest": 5, "imbalance": 10}}, "the smallest class would have 0.5 rows"),
        ({"sizes": [1], "sizes_file": "x.txt"}, "sizes or sizes_file, not both"),
        ({"scale": 0}, "scale must be above 0"),
        ({"frequency": ["60%", "40%"]}, "the few classes begin after the medium ones"),
        ({"label": "attribute"}, "are one column"),
    ],
)
def test_parameters_that_make_no_sense(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Glt.model_validate(parameters)


def test_columns_of_other_types_are_refused() -> None:
    rows = pa.table({"uid": ["a"], "label": ["x"], "attribute": [0.5]})
    with pytest.raises(StepError, match="'attribute' has type double; attributes are integers from 0"):
        Glt().gives(rows.schema)
    with pytest.raises(StepError, match="too fine to group by"):
        Glt(label="attribute", attribute="label").gives(rows.schema)


def test_the_state_survives_saving(large: pa.Table, tmp_path: Path) -> None:
    table, state, step = glt(large, sizes=SIZES)
    state.save(tmp_path, "glt")
    loaded = type(state).load(tmp_path, "glt")
    outcome = step.apply(Rows(large), loaded)
    assert outcome.columns["split_glt"].to_pylist() == table.column("split_glt").to_pylist()
    assert step.fit(MemoryFrame(large), Context(5)).values  # the published sizes for four classes fit too
