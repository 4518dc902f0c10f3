"""What the card says of domains and of what was measured."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from poolwright import verify
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.results.measured import Matrix, Measured
from poolwright.core.table import Table
from poolwright.release.domain_counts import count_domains
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.release.layouts.layout import About
from tests.release.build import write_table

MATRIX = Measured(
    name="Domain gap: 3 | €",
    table="toy",
    measure="domain_gap",
    words="Accuracy of a linear probe.",
    value=Matrix(
        down="trained on",
        across="tested on",
        rows=("Africa", "a|b <i>"),
        columns=("Africa", "a|b <i>"),
        values=((0.9123, 0.5), (0.4, 0.8)),
        row_counts=(20000, 30),
        column_counts=(40, 50),
        summary={"in-domain mean": 0.8562, "cross-domain mean": 0.45, "gap": 0.4062},
    ),
)
NUMBER = Measured(name="probe", table="toy", measure="probe", value=0.6554, words="Accuracy of a probe.")


def rows_of(count: int, classes: int, **more: Any) -> pa.Table:
    """Rows whose classes 2 and 3 have one name, in continents of uneven size."""
    rng = np.random.default_rng(8)
    kinds = np.minimum(rng.zipf(1.6, count) - 1, classes - 1)
    kinds[:classes] = range(classes)
    columns: dict[str, Any] = {
        "uid": [f"row-{number:05d}" for number in range(count)],
        "label": ["crane" if kind in (2, 3) else f"class {kind}" for kind in kinds],
        "class_index": pa.array(kinds, pa.int32()),
        "continent": [("Africa", "Asia", "Asia", "Europe", None)[number] for number in rng.integers(0, 5, count)],
        "split": ["train"] * count,
    }
    return pa.table(columns | more)


def table_of(folder: Path, rows: pa.Table) -> Table:
    return write_table(folder / "toy", rows, cuts=(len(rows) // 3,))


def plain_counts(rows: pa.Table) -> dict[tuple[Any, Any], int]:
    counts: dict[tuple[Any, Any], int] = {}
    for row in rows.to_pylist():
        key = row["class_index"], row["continent"]
        counts[key] = counts.get(key, 0) + 1
    return counts


def section(card: str, title: str) -> str:
    """From that title to the next of the same depth or above."""
    depth = title.split()[0]
    body = card.split(f"\n{title}\n", 1)[1]
    ends = [body.find(f"\n{'#' * deep} ") for deep in range(2, len(depth) + 1)]
    return body[: min([end for end in ends if end >= 0], default=len(body))]


@pytest.mark.draws
@pytest.mark.parametrize("classes", [6, 80])
def test_the_card_tells_classes_by_domain(tmp_path: Path, classes: int) -> None:
    rows = rows_of(3_000, classes)
    HuggingFace(images="none", domain="continent").write(table_of(tmp_path, rows), tmp_path / "out", About())
    counts = plain_counts(rows)
    with (tmp_path / "out" / "domain_by_class.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {int(line["class_index"]) for line in lines} == set(range(classes))
    for line in lines:
        for name in ("Africa", "Asia", "Europe"):
            assert int(line[name]) == counts.get((int(line["class_index"]), name), 0)
        assert int(line["no domain"]) == counts.get((int(line["class_index"]), None), 0)
    assert [int(line["rows"]) for line in lines] == sorted((int(line["rows"]) for line in lines), reverse=True)
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text())["classes_by_domain"]
    assert statistics["domains"][0] == "Asia"
    assert sum(sum(item["rows"]) for item in statistics["classes"]) == 3_000
    text = section((tmp_path / "out" / "README.md").read_text(encoding="utf-8"), "### Classes by domain")
    assert "| crane (2) |" in text
    assert "| crane (3) |" in text
    assert "domain_by_class.csv" in text
    assert ("more, " in text) == (classes > 60)
    assert "domain_by_class.csv" in (tmp_path / "out" / "SHA256SUMS").read_text()
    with Image.open(tmp_path / "out" / "figures" / "domains.png") as picture:
        assert picture.width == 1152
    checked = verify(tmp_path / "out", True)
    assert checked.ok, checked.words


def test_rows_without_a_class_are_in_the_sums(tmp_path: Path) -> None:
    rows = rows_of(300, 5)
    kinds: list[int | None] = rows["class_index"].to_pylist()
    labels: list[str | None] = rows["label"].to_pylist()
    kinds[7] = labels[7] = None
    rows = rows.set_column(1, "label", pa.array(labels)).set_column(2, "class_index", pa.array(kinds, pa.int32()))
    found = count_domains(table_of(tmp_path, rows), "continent")
    assert sum(found.domain_rows) == 300
    assert sum(found.unclassed) == 1
    assert (None, None) not in found.classes


def test_an_index_that_is_not_that_of_the_names_is_not_taken(tmp_path: Path) -> None:
    rows = rows_of(300, 5)
    truth = pa.array(np.random.default_rng(0).integers(0, 5, 300), pa.int32())
    rows = rows.append_column("label_index", rows["class_index"]).set_column(2, "class_index", truth)
    assert count_domains(table_of(tmp_path / "a", rows), "continent").index == "label_index"
    nameless = rows.drop_columns(["label"])
    assert count_domains(table_of(tmp_path / "b", nameless), "continent").index == "class_index"


def test_what_cannot_be_counted_is_named_before_anything_runs() -> None:
    schema = rows_of(10, 5).schema
    with pytest.raises(StepError, match=r"'domain' names the column 'continnent'.*did you mean 'continent'"):
        HuggingFace(images="none", domain="continnent").check(schema)
    with pytest.raises(StepError, match="no column of classes: label, class, class_index, label_index"):
        HuggingFace(images="none", domain="continent").check(schema.remove(1).remove(1))


@pytest.mark.draws
def test_the_card_tells_what_was_measured(tmp_path: Path) -> None:
    table = table_of(tmp_path, rows_of(200, 5))
    layout, again = HuggingFace(images="none"), Measured(**{**dict(MATRIX), "name": "domain gap 3"})
    layout.write(table, tmp_path / "out", About(), measured=[NUMBER, MATRIX, again])
    text = section((tmp_path / "out" / "README.md").read_text(encoding="utf-8"), "## Measured")
    assert "| probe | 0.655 | Accuracy of a probe. |" in text
    assert "### Domain gap: 3 \\| €" in text
    assert "Accuracy of a linear probe." in text
    assert "| trained on ↓, tested on → | Africa | a\\|b \\<i\\> | rows |" in text
    assert "| Africa | **0.912** | 0.500 | 20,000 |" in text
    assert "| a\\|b \\<i\\> | 0.400 | **0.800** | 30 |" in text
    assert "In-domain mean **0.856**, cross-domain mean **0.450**, gap **0.406**." in text
    for name in ("domain-gap-3", "domain-gap-3-2"):
        assert f"(figures/{name}.png)" in text
        assert (tmp_path / "out" / "figures" / f"{name}.png").stat().st_size > 5_000
    assert verify(tmp_path / "out").ok
    assert not layout.write(table, tmp_path / "out", About(), measured=[NUMBER, MATRIX, again]).fresh
    with pytest.raises(ReleaseError, match="another table, card or layout"):
        layout.write(table, tmp_path / "out", About(), measured=[NUMBER])


def test_a_card_may_choose_between_light_and_dark_figures(tmp_path: Path) -> None:
    table, layout = table_of(tmp_path, rows_of(200, 5)), HuggingFace(images="none")
    layout.write(table, tmp_path / "out", About(dark_figures=True), measured=[MATRIX])
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    dark = '<source media="(prefers-color-scheme: dark)" srcset="figures/domain-gap-3.dark.png">'
    assert f'<picture>{dark}<img src="figures/domain-gap-3.png" alt="Domain gap: 3 | €"></picture>' in text
    assert verify(tmp_path / "out").ok
    (tmp_path / "out" / "figures" / "domain-gap-3.dark.png").unlink()
    assert "the figure 'figures/domain-gap-3.dark.png' is missing" in verify(tmp_path / "out").words


@pytest.mark.draws
def test_the_same_figures_have_the_same_bytes_and_may_be_left_out(tmp_path: Path) -> None:
    table = table_of(tmp_path, rows_of(900, 40))
    for name in ("a", "b"):
        HuggingFace(images="none", domain="continent").write(table, tmp_path / name, About(), measured=[MATRIX])
    sums = [(tmp_path / name / "SHA256SUMS").read_text() for name in ("a", "b")]
    assert sums[0] == sums[1]
    plain = HuggingFace(images="none", domain="continent", figures=False)
    plain.write(table, tmp_path / "c", About(), measured=[MATRIX])
    assert not (tmp_path / "c" / "figures").exists()
    assert "0.912" in (tmp_path / "c" / "README.md").read_text(encoding="utf-8")
    assert verify(tmp_path / "c").ok
