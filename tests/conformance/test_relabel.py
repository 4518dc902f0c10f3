"""Relabelling: 6,000 vectors of ViT-bigG-14's width against ImageNet-21K's 21,843 classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from poolwright import api
from poolwright.core.rows import vector_array
from poolwright.core.runtime.progress import Silent, TableProgress
from poolwright.kernels.similarity.nearest import nearest
from poolwright.models.texts.vocabulary import read_vocabulary
from poolwright.run.sources import source
from poolwright.steps.describe import label

ROWS, WIDTH, CLASSES, FILES = 6_000, 1_280, 21_843, 3
BATCH = 1_000


class Stops(Silent):
    """Interrupts the run when so many units are labelled, as Ctrl-C does."""

    def __init__(self, units: int) -> None:
        self.units = units

    def progress(self, progress: TableProgress) -> None:
        if progress.phase == "describe" and progress.units_done >= self.units:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors around the text features of their classes, and the recipe."""
    folder = tmp_path_factory.mktemp("relabel")
    generator = np.random.default_rng(11)
    texts = generator.standard_normal((CLASSES, WIDTH), dtype=np.float32)
    np.save(folder / "texts.npy", texts)
    (folder / "rows").mkdir()
    for file in range(FILES):
        count = ROWS // FILES
        truth = generator.integers(0, CLASSES, count)
        # So much noise that a good part of the labels is another class.
        vectors = texts[truth] + 7 * generator.standard_normal((count, WIDTH), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        columns = {"uid": [f"{file}-{row}" for row in range(count)], "clip": vector_array(vectors.astype(np.float16))}
        table = pa.table({**columns, "truth": truth})
        pq.write_table(table, folder / "rows" / f"{file}.parquet", use_dictionary=False, row_group_size=500)
    labels = {"with": "clip", "vocabulary": "imagenet21k", "features": "texts.npy", "about": {"wnid": "id"}}
    steps: list[dict[str, Any]] = [{"label": labels}, {"renumber": {"column": "label_index", "into": "class_index"}}]
    steps.append({"keep_columns": ["label", "label_index", "similarity", "wnid", "class_index", "truth"]})
    data = {
        "recipe": 1,
        "name": "relabel",
        "pools": {"rows": {"read": "table", "path": "rows"}},
        "tables": {"relabelled": {"from": "rows", "steps": steps}},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return folder


@pytest.mark.slow
def test_relabelling_streams_stops_and_goes_on(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled: list[int] = []

    def counted(vectors: np.ndarray, *arguments: Any, **named: Any) -> Any:
        labelled.append(len(vectors))
        return nearest(vectors, *arguments, **named)

    monkeypatch.setattr(label, "nearest", counted)
    monkeypatch.setattr(source, "UNIT_ROWS", 200_000)  # so that each file is a unit
    with pytest.raises(KeyboardInterrupt):
        api.run(pool / "recipe.yaml", pool / "run", listener=Stops(1), batch_rows=BATCH)
    first = sum(labelled)
    table = api.run(pool / "recipe.yaml", pool / "run", batch_rows=BATCH).tables["relabelled"]
    assert max(labelled) <= BATCH < ROWS / FILES, "in batches, not whole files"
    assert 0 < sum(labelled) - first <= ROWS * (FILES - 1) / FILES, "what was labelled is not labelled again"
    assert table.record.rows_kept == ROWS
    rows = table.read()
    _check_numbers(rows)
    _check_against_float64(rows, pool)


def _check_numbers(rows: pa.Table) -> None:
    """Both indices and the WordNet ids belong together, and the new numbers have no gap."""
    index, number = (np.asarray(rows[name]) for name in ("label_index", "class_index"))
    there, inverse = np.unique(index, return_inverse=True)
    assert (number == inverse).all()
    assert number.max() + 1 == len(there) < CLASSES
    ids = [one.about["id"] for one in read_vocabulary("imagenet21k").classes]
    assert rows["wnid"].to_pylist() == [ids[place] for place in index]


def _check_against_float64(rows: pa.Table, pool: Path) -> None:
    """Labels of some rows of every file are the exactly nearest ones; right labels are as many as the noise allows."""
    texts = np.load(pool / "texts.npy").astype(np.float64)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    for file in range(FILES):
        some = slice(file * ROWS // FILES, file * ROWS // FILES + 64)
        column = pq.read_table(pool / "rows" / f"{file}.parquet", columns=["clip"])["clip"].slice(0, 64)
        vectors = np.asarray(column.combine_chunks().values).reshape(64, WIDTH).astype(np.float64)
        assert (np.asarray(rows["label_index"])[some] == (vectors @ texts.T).argmax(axis=1)).all()
    right = (np.asarray(rows["label_index"]) == np.asarray(rows["truth"])).mean()
    assert 0.5 < right < 0.99
