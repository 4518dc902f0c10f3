"""retrieve: several prompts, overlap, background, ties, and what it says when there is too little."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from poolwright.core.errors import RecipeError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows, vector_array
from poolwright.core.state import State
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.similarity import candidates as shortlists
from poolwright.steps.describe.retrieve import Retrieve

WIDTH, KEY = 8, 5
CLASSES: list[Any] = ["cat", {"name": "ring", "prompts": ["wedding ring", "engagement ring"]}, "map"]


@pytest.fixture
def features(tmp_path: Path) -> Path:
    np.save(tmp_path / "features.npy", np.random.default_rng(1).normal(size=(4, WIDTH)))
    return tmp_path / "features.npy"


def pool(rows: int = 600, distinct: int | None = None) -> pa.Table:
    draw = np.random.default_rng(2)
    vectors = draw.normal(size=(distinct or rows, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if distinct:
        vectors = vectors[draw.integers(0, distinct, rows)]
    uids = [f"row {row}" for row in range(rows)]
    return pa.table({"uid": uids, "clip": vector_array(vectors.astype(np.float16)), "year": draw.integers(0, 3, rows)})


def retrieved(table: pa.Table, features: Path, **parameters: Any) -> tuple[list[dict[str, Any]], list[str], State]:
    """Every row with what it is given, the reason of each ('' where kept), and the state."""
    given = {"with": "clip", "prompts": CLASSES, "features": str(features), **parameters}
    step = Retrieve.model_validate(given)
    state = step.fit(MemoryFrame(table, cuts=[len(table) // 4], batch_rows=101), Context(KEY))
    outcome = step.apply(Rows(table), state)
    assert outcome.drop is not None
    reasons = ["", *(reason.name for reason in step.reasons)]
    return pa.table(outcome.columns).to_pylist(), [reasons[code] for code in outcome.drop], state


def plain(table: pa.Table, features: Path) -> tuple[np.ndarray, np.ndarray]:
    """Cosines (n, 4) of rows and prompts, and the order of equal ones."""
    texts = np.load(features)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    vectors = table["clip"].combine_chunks().values.to_numpy().reshape(-1, WIDTH).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ texts.T, (hash64(table["uid"], KEY) >> np.uint64(1)).astype(np.int64)


def test_a_class_of_several_prompts_is_as_near_as_its_nearest(features: Path) -> None:
    table = pool()
    rows, reasons, state = retrieved(table, features, query=100, n=20)
    cosines, _ = plain(table, features)
    scores = np.stack([cosines[:, 0], cosines[:, 1:3].max(axis=1), cosines[:, 3]], axis=1)
    found = np.zeros(scores.shape, bool)
    for of_class in range(3):
        found[np.argsort(-scores[:, of_class])[:100], of_class] = True
    masked = np.where(found, scores, -9)
    for of_class, name in enumerate(("cat", "ring", "map")):
        given = np.flatnonzero(found.any(axis=1) & (masked.argmax(axis=1) == of_class))
        best = given[np.argsort(-scores[given, of_class])[:20]]
        kept = [row for row, reason in enumerate(reasons) if not reason and rows[row]["label"] == name]
        assert sorted(kept) == sorted(best.tolist())
        assert state.tables["cuts"]["given"][of_class].as_py() == len(given)
    texts = ["cat", "wedding ring", "engagement ring", "map"]
    for row, reason in zip(rows, reasons, strict=True):
        assert reason in ("", "not_found", "not_best")
        assert row["prompt"] in ([row["label"]] if row["label"] != "ring" else texts[1:3])
    ring = [(at, row) for at, row in enumerate(rows) if row["label"] == "ring"]
    assert all(row["prompt"] == texts[1 + int(cosines[at, 2] > cosines[at, 1])] for at, row in ring)
    assert all(abs(row["similarity"] - cosines[at].max()) < 1e-6 for at, row in ring if not reasons[at])


def test_buckets_are_worlds_of_their_own(features: Path) -> None:
    table = pool()
    rows, reasons, state = retrieved(table, features, query=60, n=10, bucket="year", background="50%")
    for year in range(3):
        alone = table.filter(pa.array(table["year"].to_numpy() == year))
        expected, why, _ = retrieved(alone, features, query=60, n=10, background="50%")
        here = [place for place in range(600) if table["year"][place].as_py() == year]
        assert [rows[place] for place in here] == expected
        assert [reasons[place] for place in here] == why
    assert state.tables["buckets"]["rows"].to_pylist() == np.bincount(table["year"]).tolist()
    assert reasons.count("") == 3 * (3 * 10 + 3 * 5)


def test_background_is_far_from_a_class_and_none_of_the_kept(features: Path) -> None:
    table = pool()
    rows, reasons, _ = retrieved(table, features, query=200, n=60, background="20%", prompts=["a", "b", "c", "d"])
    far = [place for place, row in enumerate(rows) if not reasons[place] and row["label"] == "BACKGROUND"]
    assert len(far) == 4 * 12
    assert {rows[place]["label_index"] for place in far} == {4}
    cosines, _ = plain(table, features)
    lowest = {rows[place]["prompt"]: [] for place in far}
    for place in far:
        lowest[rows[place]["prompt"]].append(rows[place]["similarity"])
        assert rows[place]["similarity"] == pytest.approx(cosines[place, "abcd".index(rows[place]["prompt"])], abs=1e-6)
    assert all(len(one) == 12 and max(one) < 0 for one in lowest.values())


def test_with_overlap_every_class_keeps_what_it_finds(features: Path) -> None:
    table = pool()
    rows, reasons, _ = retrieved(table, features, overlap=True, n=150)
    cosines, _ = plain(table, features)
    scores = np.stack([cosines[:, 0], cosines[:, 1:3].max(axis=1), cosines[:, 3]], axis=1)
    members = [set(np.argsort(-scores[:, of_class])[:150].tolist()) for of_class in range(3)]
    for place, row in enumerate(rows):
        expected = [of_class for of_class in range(3) if place in members[of_class]]
        assert (reasons[place] == "") == bool(expected)
        if expected:
            assert row["label_all_index"] == expected
            assert row["label_index"] == max(expected, key=lambda of_class: scores[place, of_class])


@pytest.mark.parametrize("fewest", [8192, 1])
def test_equal_images_are_cut_by_hash(features: Path, fewest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlists, "_FEWEST", fewest)
    table = pool(900, distinct=6)
    rows, reasons, _ = retrieved(table, features, query=40, n=7, prompts=["a", "b", "c", "d"], short="take")
    cosines, ranks = plain(table, features)
    shown = np.round(cosines, 5)
    kept = [(row["label_index"], place) for place, row in enumerate(rows) if not reasons[place]]
    for of_class in {label for label, _ in kept}:
        mine = [place for label, place in kept if label == of_class]
        last = min(shown[place, of_class] for place in mine)
        level = np.flatnonzero(shown[:, of_class] == last)
        taken = sorted(int(ranks[place]) for place in mine if shown[place, of_class] == last)
        assert taken == sorted(ranks[level].tolist())[: len(taken)]


def test_one_vector_for_all_images(features: Path) -> None:
    table = pool(50, distinct=1)
    _, reasons, state = retrieved(table, features, query=10, n=4, short="take")
    assert reasons.count("") == 4, "all went to the nearest class, the first of equally near ones"
    assert state.tables["cuts"]["given"].to_pylist().count(10) == 1


def test_too_few_images_are_told_with_numbers(features: Path) -> None:
    with pytest.raises(StepError) as error:
        retrieved(pool(60), features, query=15, n=15, bucket="year")
    assert "9 of 9 classes in buckets have too few images: 'cat' in bucket 0 has " in str(error.value)
    assert "of 15" in str(error.value)
    assert "write short: take" in str(error.value)
    _, reasons, state = retrieved(pool(60), features, query=15, n=15, bucket="year", short="take")
    assert 0 < reasons.count("") < 135
    assert sum(state.tables["cuts"]["kept"].to_pylist()) == reasons.count("")


def test_rows_that_come_later_are_held_against_the_same_cuts(features: Path) -> None:
    table = pool()
    step = Retrieve.model_validate(
        {"with": "clip", "prompts": CLASSES, "features": str(features), "query": 60, "n": 9, "bucket": "year"}
    )
    state = step.fit(MemoryFrame(table), Context(KEY))
    later = table.slice(0, 50).append_column("old", table["year"].slice(0, 50)).drop_columns("year")
    later = later.append_column("year", pa.array([0] * 20 + [99] * 20 + [None] * 10))
    outcome = step.apply(Rows(later), state)
    assert outcome.drop is not None
    assert outcome.drop[20:].tolist() == [2] * 30
    same = [place for place in range(20) if table["year"][place].as_py() == 0]
    assert [outcome.drop[place] for place in same] == [step.apply(Rows(table), state).drop[place] for place in same]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"n": 5}, "'query' is missing"),
        ({"n": 5, "query": 4}, r"query \(4\) must be at least n \(5\)"),
        ({"n": 5, "query": 9, "overlap": True}, "'query' has no effect with overlap"),
        ({"n": 5, "query": 9, "prefix": "a "}, "'prefix' has no effect on precomputed 'features'"),
        ({"n": 5, "query": 9, "features": None}, "either 'model' .* or 'features'"),
        ({"n": 0, "query": 9}, "greater than or equal to 1"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Retrieve.model_validate({"with": "clip", "prompts": CLASSES, "features": "f.npy", **parameters})


def test_wrong_columns_files_and_names(features: Path) -> None:
    given: dict[str, Any] = {"with": "clip", "prompts": CLASSES, "features": str(features), "query": 9, "n": 5}
    schema = pool(3).schema
    with pytest.raises(StepError, match="no column 'yaer' to retrieve by; did you mean 'year'"):
        Retrieve.model_validate({**given, "bucket": "yaer"}).gives(schema)
    with pytest.raises(StepError, match="no column 'clpi'; did you mean 'clip'"):
        Retrieve.model_validate({**given, "with": "clpi"}).gives(schema)
    with pytest.raises(RecipeError, match=r"shape \(4, 8\), but 2 classes"):
        Retrieve.model_validate({**given, "prompts": ["a", "b"]}).check_files(schema)
    background = {**given, "prompts": ["a", "b", "BACKGROUND", "d"], "background": 0.1}
    with pytest.raises(RecipeError, match="a class has the name of the background, BACKGROUND"):
        Retrieve.model_validate(background).check_files(schema)
