"""purity and nmi of clusters, against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from poolwright.api import Recipe
from poolwright.core.errors import RecipeError
from poolwright.measure.clusterings import normalised_mutual_information
from poolwright.measure.measure import measure
from poolwright.recipe.figures import Figure


def rows(seed: int, n: int = 400) -> pa.Table:
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 4, n)
    return pa.table(
        {
            "uid": [f"u{row}" for row in range(n)],
            "class": np.array(["a", "b", "c"])[draw.choice(3, n, p=[0.6, 0.3, 0.1])],
            "cluster": np.where(draw.random(n) < 0.7, truth, draw.integers(0, 5, n)),
            "domain": np.array(["x", "y", "z", "w"])[truth],
            "score": draw.random(n),
        }
    )


def measured(folder: Path, table: pa.Table, **parameters: object) -> float:
    folder.mkdir(exist_ok=True)
    pq.write_table(table, folder / "rows.parquet")
    figure = {"name": "found", "table": "all", "predicted": "cluster", "truth": "domain", **parameters}
    data = {
        "recipe": 1,
        "name": "figures",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"all": {"from": "rows"}},
        "figures": [figure],
    }
    result = Recipe.from_data(data, folder).run(folder / "run")
    (found,) = measure(Figure.model_validate(figure), result.tables["all"])
    assert isinstance(found.value, float)
    return found.value


def test_they_are_those_of_scikit_learn(tmp_path: Path) -> None:
    table = rows(1)
    cluster, domain, classes = (np.array(table[name]) for name in ("cluster", "domain", "class"))
    pairs = contingency_matrix(domain, cluster)
    purity = measured(tmp_path, table, measure="purity")
    assert purity == pytest.approx(pairs.max(axis=0).sum() / len(domain))
    nmi = measured(tmp_path, table, measure="nmi")
    assert nmi == pytest.approx(normalized_mutual_info_score(domain, cluster))
    within = [normalized_mutual_info_score(domain[classes == name], cluster[classes == name]) for name in "abc"]
    wanted = np.average(within, weights=[(classes == name).sum() for name in "abc"])
    assert measured(tmp_path, table, measure="nmi", group=["class"]) == pytest.approx(wanted)
    largest = [contingency_matrix(domain[classes == name], cluster[classes == name]).max(axis=0) for name in "abc"]
    wanted = sum(counts.sum() for counts in largest) / len(domain)
    assert measured(tmp_path, table, measure="purity", group=["class"]) == pytest.approx(wanted)
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(400)))
    assert measured(tmp_path / "shuffled", shuffled, measure="nmi") == nmi


def test_one_cluster_and_one_truth() -> None:
    assert normalised_mutual_information(np.array([[5]])) == 1
    assert normalised_mutual_information(np.array([[5, 3]])) == 0
    assert normalised_mutual_information(np.array([[5, 0], [0, 3]])) == pytest.approx(1)


def test_what_cannot_be_measured_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="measure 'purity' needs predicted and truth"):
        Figure(name="found", table="all", measure="purity")
    with pytest.raises(RecipeError, match="'score' is double, too fine to group by"):
        measured(tmp_path, rows(1), measure="nmi", truth="score")
    nothing = rows(1).set_column(3, "domain", pa.nulls(400, pa.string()))
    with pytest.raises(RecipeError, match="no row has a value in all of cluster, domain"):
        measured(tmp_path / "nothing", nothing, measure="purity")
