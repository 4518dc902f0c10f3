"""ImageNetV2 at full size: the three sets of the shipped recipe, row by row, by a plain statement of their rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from poolwright import api
from poolwright.api import Table
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.recipe.shipped import shipped_text
from tests.steps.choose.matching import expected_uids

CLASSES, VALIDATION, CANDIDATES, JUDGES = 1_000, 50, 45, 10
EDGES = [0.2, 0.4, 0.6, 0.8]
SETS = ("matched-frequency", "threshold-0.7", "top-images")


def judged(source: str, each: int, alpha: float, beta: float, seed: int) -> pa.Table:
    """Rows of all classes; the chance that somebody picks one is Beta(alpha, beta), easier in some classes."""
    draw = np.random.default_rng(seed)
    labels = np.repeat([f"n{number:08d}" for number in range(CLASSES)], each)
    ease = np.repeat(draw.uniform(0.7, 1.3, CLASSES), each)
    chance = draw.beta(alpha * ease, beta / ease)
    picked, judges = draw.binomial(JUDGES, chance), np.full(len(labels), JUDGES, np.int32)
    columns = {"uid": [f"{label}/{source}-{at}.jpg" for at, label in enumerate(labels)], "label": labels}
    return pa.table({**columns, "selection_frequency": picked / judges, "judges": judges})


def recipe() -> dict[str, Any]:
    """The shipped recipe without pictures: judged rows are read, and nothing else of the draws is changed."""
    data: dict[str, Any] = yaml.safe_load(shipped_text("imagenet-v2"))
    step = data["tables"]["judged"]["steps"]
    assert [next(iter(one)) for one in step] == ["selection_frequency"]
    names = ("validation", "candidates")
    drawn = ("judged", "judged-validation", "judged-candidates", *SETS)
    data["tables"] = {name: data["tables"][name] for name in drawn}
    data["tables"]["judged"]["steps"] = []
    data["pools"] = {name: {"read": "table", "path": f"{name}.parquet"} for name in names}
    for other in ("figures", "releases", "models"):
        del data[other]
    return data


def run_recipe(folder: Path) -> tuple[pa.Table, pa.Table, Mapping[str, Table]]:
    """The judged rows of the validation set, the candidates, and the tables of the recipe."""
    validation = judged("val", VALIDATION, 2.4, 1.0, 1)
    candidates = judged("flickr", CANDIDATES, 3.2, 1.1, 2)
    pq.write_table(validation, folder / "validation.parquet")
    pq.write_table(candidates, folder / "candidates.parquet")
    tables = api.run(api.Recipe.from_data(recipe(), folder), folder / "run").tables
    return validation, candidates, tables


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, pa.Table, Mapping[str, Table]]:
    return run_recipe(tmp_path_factory.mktemp("imagenet-v2"))


def uids(table: Table) -> list[str]:
    found: list[str] = sorted(table.read(["uid"])["uid"].to_pylist())
    return found


def key_of(table: Table, verb: str) -> int:
    return next(int(table.state(at).values["key"]) for at, step in enumerate(table.record.steps) if step.verb == verb)


def first_of_each(candidates: pa.Table, key: int, least: float, by_frequency: bool) -> list[str]:
    """Ten of each class with at least this frequency: the most frequent ones, or any, both by hash."""
    of_class: dict[str, list[tuple[float, int, str]]] = defaultdict(list)
    ranks = hash_ranks(candidates["uid"].combine_chunks(), key).tolist()
    for rank, row in zip(ranks, candidates.to_pylist(), strict=True):
        if row["selection_frequency"] >= least:
            first = -row["selection_frequency"] if by_frequency else 0.0
            of_class[row["label"]].append((first, rank, row["uid"]))
    return sorted(uid for rows in of_class.values() for _, _, uid in sorted(rows)[:10])


def test_matched_frequency_is_drawn_by_the_histograms_of_the_validation_set(made: Any) -> None:
    validation, candidates, tables = made
    names = ["uid", "label", "share", "judges"]
    rows, like = (table.rename_columns(names).to_pylist() for table in (candidates, validation))
    table = tables["matched-frequency"]
    assert uids(table) == sorted(expected_uids(rows, like, EDGES, 10, key_of(table, "match_histogram")))
    counts = table.read(["label"])["label"].value_counts()
    assert (len(counts), set(counts.field("counts").to_pylist())) == (CLASSES, {10})
    learned = table.record.steps[0].learned
    assert learned.startswith("10,000 rows of 1,000 groups of label, with the histograms of selection_frequency")
    assert " rows from another bin than wanted" in learned


def test_the_other_sets_are_at_random_above_a_threshold_and_the_most_picked(made: Any) -> None:
    _, candidates, tables = made
    threshold, top = tables["threshold-0.7"], tables["top-images"]
    assert uids(threshold) == first_of_each(candidates, key_of(threshold, "sample"), 0.7, by_frequency=False)
    assert uids(top) == first_of_each(candidates, key_of(top, "top"), 0.0, by_frequency=True)
    for table in (threshold, top):
        assert set(table.read(["label"])["label"].value_counts().field("counts").to_pylist()) == {10}


def test_the_sets_differ_as_published(made: Any) -> None:
    """MatchedFrequency has the frequencies of the validation set, and the other sets ever higher ones."""
    validation, _, tables = made
    means = [float(np.mean(tables[name].read(["selection_frequency"])[0].to_numpy())) for name in SETS]
    assert abs(means[0] - float(np.mean(validation["selection_frequency"].to_numpy()))) < 0.03
    assert means[0] + 0.05 < means[1] < means[2] - 0.05
