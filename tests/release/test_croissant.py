"""The Croissant document: version 1.1, with lineage in terms of PROV, and the RAI fields that the record answers."""

from __future__ import annotations

import json
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import mlcroissant
import pyarrow as pa

from poolwright.core.state import State
from poolwright.core.table import RECORD, StepRecord, Table
from poolwright.release.card.about import About
from poolwright.release.card.facts.facts import missing_values
from poolwright.release.layouts.huggingface import HuggingFace
from tests.release.build import WEIGHTS, toy_rows, write_table


def document(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    return found


def with_step(table: Table, state: State, **given: Any) -> Table:
    """Give a finished table a second step, with its state."""
    digest = state.save(table.folder / "states", "02-more")
    step = {"index": 1, "kind": "choose", "parameters": {}, "gives": (), "learned": "", **given}
    step |= {"state_name": "02-more", "state": digest}
    record = table.record.model_copy(update={"steps": (*table.record.steps, StepRecord(**step))})
    (table.folder / RECORD).write_text(record.model_dump_json(), encoding="utf-8")
    return Table(table.folder)


def test_version_and_lineage(released: Path) -> None:
    found = document(released)
    assert "http://mlcommons.org/croissant/1.1" in found["conformsTo"]
    assert found["prov:wasDerivedFrom"] == [
        {"@type": "prov:Entity", "prov:label": "pool pictures", "description": "135 rows read"}
    ]
    (made,) = found["prov:wasGeneratedBy"]
    assert made["prov:label"] == "table toy of the recipe toy"
    assert made["description"] == "135 rows read, 130 kept, seed 7; steps: top"
    used = made["prov:used"]
    assert used[0] == {"@id": "recipe.yaml"}
    assert [(file["prov:label"], file["identifier"]) for file in used[1:]] == [
        ("first.parquet", f"XXH3-128: {'1' * 32}"),
        ("second.parquet", f"XXH3-128: {'2' * 32}"),
    ]
    agents = [agent["prov:label"] for agent in made["prov:wasAssociatedWith"]]
    assert agents == ["poolwright 0.1.0", f"open_clip:ViT-B-32/openai, weights {WEIGHTS}"]
    files = {node["@id"]: node["sha256"] for node in found["distribution"] if node["@type"] == "cr:FileObject"}
    sums = (released / "SHA256SUMS").read_text(encoding="utf-8")
    assert {"recipe.yaml", "table.json"} <= set(files)
    assert all(f"{digest}  {path}\n" in sums for path, digest in files.items())


def test_it_is_read_without_warnings_and_split_by_split(released: Path) -> None:
    dataset = mlcroissant.Dataset(jsonld=released / "croissant.json")
    assert not dataset.metadata.ctx.issues.warnings
    rows = list(dataset.records("rows", {"rows/in_split": "test"}))
    assert len(rows) == 43
    assert {row["rows/in_split"] for row in rows} == {b"test"}
    assert rows[0]["rows/image"].size == (32, 24)
    whole = mlcroissant.Dataset(jsonld=released / "croissant.json")  # a filter narrows a dataset for good
    assert len(list(whole.records("rows"))) == 130


def test_the_work_of_people_and_models_is_part_of_the_lineage(tmp_path: Path) -> None:
    table = write_table(tmp_path / "toy", toy_rows(6))
    values = {"verdicts": 12, "annotators": 2, "candidates": 6}
    learned = "6 of 6 rows kept, by 12 verdicts of 2 people (agree); they agree in 91.7% of pairs"
    table = with_step(
        table,
        State(values),
        verb="asked",
        labelled_by="people",
        gives=("label",),
        learned=learned,
        parameters={"question": "Is it a cat?"},
    )
    HuggingFace(images="none", figures=False).write(table, tmp_path / "out", About())
    found = document(tmp_path / "out")
    (made,) = found["prov:wasGeneratedBy"]
    assert made["prov:wasAssociatedWith"][-1] == {
        "@type": "prov:Agent",
        "prov:label": "2 people, 12 verdicts on 6 rows",
    }
    assert found["rai:annotationsPerItem"] == "2 per row in asked, step 2 of table toy"
    assert "Is it a cat?" in found["rai:dataAnnotationProtocol"]
    assert found["rai:dataAnnotationAnalysis"] == [f"asked, step 2 of table toy: {learned}"]
    fields = {field["name"]: field for known in found["recordSet"] for field in known["field"]}
    assert fields["label"]["dataType"] == ["sc:Text", "cr:Label"]
    assert fields["label"]["prov:wasGeneratedBy"]["prov:label"] == "asked, step 2 of table toy"
    assert "prov:wasGeneratedBy" not in fields["url"]


def test_fields_of_many_types_are_read(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "uid": ["a", "b"],
            "price": pa.array([Decimal("1.25"), None], pa.decimal128(9, 2)),
            "noon": pa.array([time(12), None], pa.time32("s")),
            "day": [date(2012, 3, 4), None],
            "box": pa.array([{"x": 1, "name": "left"}, None], pa.struct([("x", pa.int32()), ("name", pa.string())])),
            "span": pa.array([5, None], pa.duration("us")),
            "weights": pa.array([[0.5, 1.0], None], pa.list_(pa.float32())),
        }
    )
    table = write_table(tmp_path / "toy", rows)
    HuggingFace(images="none", figures=False).write(table, tmp_path / "out", About())
    known = next(known for known in document(tmp_path / "out")["recordSet"] if known["@id"] == "rows")
    assert known["description"] == "One record per row; without span, as Croissant does not have their types"
    first, second = mlcroissant.Dataset(jsonld=tmp_path / "out" / "croissant.json").records("rows")
    assert (first["rows/price"], first["rows/noon"], first["rows/weights"]) == (1.25, time(12), [0.5, 1.0])
    assert first["rows/box"] == {"rows/box/x": 1, "rows/box/name": b"left"}
    assert second["rows/price"] is second["rows/noon"] is None
    assert "price in 1 row" in document(tmp_path / "out")["rai:dataCollectionMissingData"]


def test_missing_values_are_counted_over_all_files(tmp_path: Path) -> None:
    rows = pa.table({"uid": list("abcd"), "text": ["x", None, None, None], "tags": [["a"], None, [], ["b"]]})
    table = write_table(tmp_path / "toy", rows, cuts=(2,))
    assert missing_values(table) == {"uid": 0, "text": 3}
