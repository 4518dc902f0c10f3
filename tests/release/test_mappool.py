"""The MapPool layout: the published columns, and how to get the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from poolwright import verify
from poolwright.core.errors import StepError
from poolwright.core.rows import vector_array, vectors_of
from poolwright.core.table import Table
from poolwright.release.layouts.mappool import MapPool
from tests.release.build import write_table
from tests.release.conftest import ABOUT

PUBLISHED = [
    "uid",
    "url",
    "text",
    "original_width",
    "original_height",
    "sha256",
    "l14_img",
    "l14_txt",
    "clip_l14_similarity_score",
]


def rows(count: int, **columns: Any) -> pa.Table:
    draw = np.random.default_rng(4)
    vectors = draw.normal(size=(2, count, 24)).astype(np.float16)
    made: dict[str, Any] = {
        "uid": [f"{at:032x}" for at in range(count)],
        "decision": pa.array(draw.normal(size=count), pa.float32()),
        "l14_txt": vector_array(vectors[1]),
        "l14_img": vector_array(vectors[0]),
        "clip_l14_similarity_score": pa.array(draw.random(count), pa.float32()),
        "sha256": pa.array([f"{at % 7:064x}" for at in range(count)]).dictionary_encode(),
        "height": pa.array(range(count), pa.int32()),
        "width": pa.array(range(count), pa.int32()),
        "text": [None if at % 5 == 0 else f"a map | of {at}" for at in range(count)],
        "url": [f"https://example.org/{at}.jpg" for at in range(count)],
        **columns,
    }
    return pa.table({name: values for name, values in made.items() if values is not None})


def table_of(folder: Path, given: pa.Table, cuts: tuple[int, ...] = ()) -> Table:
    return write_table(folder / "tables" / "maps", given, cuts=cuts)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return table_of(tmp_path_factory.mktemp("maps"), rows(5_000), cuts=(1_700,))


def test_the_published_columns_in_their_order_as_float16(maps: Table, tmp_path: Path) -> None:
    layout = MapPool(more=("decision",))
    written = layout.write(maps, tmp_path / "out", ABOUT)
    files = sorted((tmp_path / "out" / "data").glob("*.parquet"))
    released = pa.concat_tables(pq.read_table(file) for file in files)
    assert written.rows == 5_000
    assert released.schema.names == [*PUBLISHED, "decision"]
    for name in ("l14_img", "l14_txt"):
        assert released.schema.field(name).type == pa.list_(pa.float16(), 24)
        given = np.concatenate([batch.vectors(name) for batch in maps.batches([name])])
        assert np.array_equal(vectors_of(released.column(name).combine_chunks()), given)
    assert released["original_width"].to_pylist() == list(range(5_000))
    assert released["text"].null_count == 1_000
    assert verify(tmp_path / "out").ok


def test_load_dataset_reads_it(maps: Table, tmp_path: Path) -> None:
    from datasets import load_dataset

    MapPool().write(maps, tmp_path / "out", ABOUT)
    dataset = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    row = dataset["train"][6]
    assert row["text"] == "a map | of 6"
    assert len(row["l14_img"]) == 24


def test_the_same_table_gives_the_same_bytes(maps: Table, tmp_path: Path) -> None:
    for name in ("one", "two"):
        MapPool().write(maps, tmp_path / name, ABOUT)
    one, two = ((tmp_path / name / "SHA256SUMS").read_text() for name in ("one", "two"))
    assert one == two


def test_the_card_tells_how_to_get_the_images(maps: Table, tmp_path: Path) -> None:
    MapPool(figures=False).write(maps, tmp_path / "out", ABOUT)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "img2dataset --url_list data --input_format parquet" in card
    assert """--verify_hash '["sha256","sha256"]'""" in card
    assert "--caption_col text" in card
    bare = table_of(tmp_path / "bare", rows(50, sha256=None, text=None))
    MapPool(figures=False, columns={"sha256": None, "text": None}).write(bare, tmp_path / "less", ABOUT)
    card = (tmp_path / "less" / "README.md").read_text()
    assert "--verify_hash" not in card
    assert "--caption_col" not in card


def test_the_arguments_of_the_command_are_img2datasets_own() -> None:
    import re

    from poolwright.fetch.img2dataset.tool import arguments
    from poolwright.fetch.options import FetchOptions
    from poolwright.release.layouts.mappool import _fetching

    class Source:
        schema = pa.schema([("url", pa.string()), ("caption", pa.string()), ("expected_sha256", pa.string())])
        algorithm = "sha256"

    known = set(arguments(Source(), Path("rows"), Path("to"), FetchOptions()))  # type: ignore[arg-type]
    used = set(re.findall(r"--(\w+)", _fetching(PUBLISHED)))
    assert used <= known


def test_columns_of_other_names_and_widths(tmp_path: Path) -> None:
    wide = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(400, dtype=np.float32) / 400), 4)
    given = table_of(tmp_path, rows(100, l14_img=None, clip=wide, sha256=None, l14_txt=None))
    layout = MapPool(columns={"l14_img": "clip", "l14_txt": None, "sha256": None}, figures=False)
    layout.write(given, tmp_path / "out", ABOUT)
    released = pq.read_table(next((tmp_path / "out" / "data").glob("*.parquet")))
    assert released.schema.field("l14_img").type == pa.list_(pa.float16(), 4)
    assert "l14_txt" not in released.schema.names


def test_what_is_missing_is_told_before_anything_is_written(maps: Table, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"published column 'sha256' .*columns: \{sha256: null\}"):
        MapPool().needs(maps.schema.remove(maps.schema.get_field_index("sha256")))
    with pytest.raises(StepError, match="cannot be made from 'text'"):
        MapPool(columns={"l14_img": "text"}).needs(maps.schema)
    with pytest.raises(StepError, match="'more' names 'url'"):
        MapPool(more=("url",)).needs(maps.schema)
    with pytest.raises(ValidationError, match="is not a published column"):
        MapPool(columns={"l14": "text"})
    with pytest.raises(ValidationError, match="'uid' is the uid"):
        MapPool(columns={"uid": "url"})
