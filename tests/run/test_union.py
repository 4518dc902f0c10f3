"""Unions: tables whose rows come from several pools and tables."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.columns import vector_field
from poolwright.core.errors import ChangedError, RecipeError, TooManyBad
from poolwright.core.pool import Part, Pool
from poolwright.core.table import Table
from poolwright.recipe.tables import UnionBody
from poolwright.run.run import open_run
from poolwright.run.sources.source import Source, pool_source
from poolwright.run.sources.union import UnionSource, union_source
from poolwright.studio.opened import SourceRows
from tests.calling import call


class HeldRows(Pool):
    """Rows in memory, whose files nobody reads."""

    kind: ClassVar[str] = "held"
    data: Any = None

    def arrow_schema(self) -> pa.Schema:
        return self.data.schema

    def parts(self) -> list[Part]:
        half = len(self.data) // 2
        cuts = [(0, half), (half, len(self.data))]
        return [
            Part(index=at, name=f"{a}-{b}", files=(), start=a, rows=b - a, detail={}) for at, (a, b) in enumerate(cuts)
        ]

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        rows = self.data.slice(part.start, part.rows)
        for at in range(0, len(rows), batch_rows):
            yield rows.slice(at, batch_rows).select(list(columns))


def held(**tables: pa.Table) -> dict[str, Source]:
    return {name: pool_source(name, HeldRows(data=table)) for name, table in tables.items()}


def united(sources: dict[str, Source], **options: Any) -> UnionSource:
    return union_source(UnionBody(union=tuple(sources), **options), sources)


def rows_of(source: Source, columns: Sequence[str] | None = None) -> pa.Table:
    names = list(columns or source.schema.names)
    found = [table for part in source.parts for table in source.read(part, names, 3)]
    return pa.concat_tables([pa.schema([source.schema.field(name) for name in names]).empty_table(), *found])


TYPES = st.sampled_from(
    [
        pa.null(),
        pa.int8(),
        pa.int32(),
        pa.int64(),
        pa.uint16(),
        pa.float32(),
        pa.float64(),
        pa.string(),
        pa.large_string(),
        pa.bool_(),
        pa.date32(),
        pa.timestamp("s"),
        pa.timestamp("us"),
        pa.list_(pa.int32()),
        pa.list_(pa.float64()),
        pa.struct([("a", pa.int32())]),
        pa.struct([("b", pa.string()), ("a", pa.float64())]),
        pa.list_(pa.float16(), 4),
        pa.list_(pa.float32(), 4),
    ]
)


def values_of(dtype: pa.DataType, rows: int) -> pa.Array:
    """Values of any of `TYPES`; every third is null."""

    def value(row: int, dtype: pa.DataType) -> Any:
        if pa.types.is_struct(dtype):
            return {field.name: value(row, field.type) for field in dtype}
        if pa.types.is_fixed_size_list(dtype):
            return [float(row)] * dtype.list_size
        if pa.types.is_list(dtype):
            return [value(row, dtype.value_type)] * (row % 3)
        return row % 2 == 0 if pa.types.is_boolean(dtype) else str(row) if pa.types.is_large_string(dtype) else row

    if pa.types.is_null(dtype):
        return pa.nulls(rows)
    if pa.types.is_string(dtype):
        return pa.array([f"text {row}" if row % 3 else None for row in range(rows)])
    if pa.types.is_struct(dtype):
        found = [{field.name: "b" if field.name == "b" else row for field in dtype} for row in range(rows)]
        return pa.array([one if row % 3 else None for row, one in enumerate(found)], dtype)
    return pa.array([value(row, dtype) if row % 3 else None for row in range(rows)], dtype)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.dictionaries(st.sampled_from("wxyz"), TYPES, max_size=3), st.integers(0, 7)),
        min_size=1,
        max_size=3,
    )
)
def test_a_union_is_what_concat_tables_promotes_to(drawn: list[tuple[dict[str, pa.DataType], int]]) -> None:
    tables = {}
    for index, (columns, rows) in enumerate(drawn):
        uids = pa.array([f"{index}-{row}" for row in range(rows)], pa.string())
        tables[f"s{index}"] = pa.table({"uid": uids, **{name: values_of(of, rows) for name, of in columns.items()}})
    sources = held(**tables)
    try:
        expected = pa.concat_tables(tables.values(), promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        with pytest.raises(RecipeError, match=r"no type holds them all; declare its type"):
            united(sources)
        return
    source = united(sources, source="origin")
    found = rows_of(source)
    assert found.select(expected.column_names).to_pylist() == expected.to_pylist()
    assert [found.schema.field(name).type for name in expected.column_names] == expected.schema.types
    names = [name for name, table in tables.items() for _ in range(len(table))]
    assert found.column("origin").to_pylist() == names
    assert rows_of(pickle.loads(pickle.dumps(source))) == found
    if "row_error" in found.column_names:
        assert found.column("row_error").null_count == len(found)


def test_dictionaries_become_their_values_and_declared_types_win() -> None:
    coded = pa.array(["1", "2", None]).dictionary_encode()
    sources = held(a=pa.table({"uid": ["1", "2", "3"], "x": coded}), b=pa.table({"uid": ["4"], "x": pa.array(["3"])}))
    assert united(sources).schema.field("x").type == pa.string()
    declared = united(sources, columns={"x": "double"})
    assert rows_of(declared, ["x"]).column("x").to_pylist() == [1.0, 2.0, None, 3.0]
    assert "'x' is double: dictionary<values=string, indices=int32, ordered=0> in a, string in b" in declared.words
    with pytest.raises(RecipeError, match=r"no source has the column 'y' of 'columns'"):
        united(sources, columns={"y": "double"})
    nested = held(a=pa.table({"uid": ["1"], "x": [[1]]}))
    with pytest.raises(RecipeError, match=r"'x' is list<item: int64> in a, which cannot become double"):
        united(nested, columns={"x": "double"})


def test_values_that_do_not_fit_make_bad_rows() -> None:
    sources = held(a=pa.table({"uid": ["1", "2"], "x": [2**53 + 1, 5]}), b=pa.table({"uid": ["3"], "x": [0.5]}))
    source = united(sources)
    assert not source.unique
    assert rows_of(source, ["row_error"]).column(0).to_pylist() == ["x: 9007199254740993 is no double", None, None]
    assert rows_of(source, ["x"]).column(0).to_pylist() == [None, 5.0, 0.5]


@pytest.mark.parametrize(
    ("one", "other", "error"),
    [
        (("clip", 4, "ViT-B", "aa"), ("clip", 4, "ViT-L", "bb"), r"4 values by ViT-B \(aa\).*4 values by ViT-L \(bb\)"),
        (("clip", 4, "ViT-B", "aa"), ("clip", 8, "ViT-B", "aa"), r"of a \(4 values.*of b \(8 values"),
    ],
)
def test_vectors_of_two_encoders_are_refused(one: tuple[Any, ...], other: tuple[Any, ...], error: str) -> None:
    tables = {}
    for name, (column, width, model, weights) in (("a", one), ("b", other)):
        field = vector_field(column, width, model, weights)
        schema = pa.schema([pa.field("uid", pa.string()), field])
        tables[name] = pa.table([pa.array([name]), pa.array([[1.0] * width], field.type)], schema=schema)
    with pytest.raises(RecipeError, match=f"{error}.*leave it out of all but one"):
        united(held(**tables))


def test_vectors_keep_the_encoder_that_is_known() -> None:
    field = vector_field("clip", 4, "ViT-B", "aa")
    known = pa.table(
        [pa.array(["1"]), pa.array([[1.0] * 4], field.type)], schema=pa.schema([("uid", pa.string()), field])
    )
    wide = pa.table({"uid": ["2"], "clip": pa.array([[0.5] * 4], pa.list_(pa.float32(), 4))})
    found = united(held(a=wide, b=known)).schema.field("clip")
    assert found.type == pa.list_(pa.float32(), 4)
    assert found.metadata == field.metadata


def test_class_numbers_of_two_sources_are_left_out_unless_declared() -> None:
    numbers = pa.array([0], pa.int32())
    sources = held(
        a=pa.table({"uid": ["1"], "label_index": numbers}), b=pa.table({"uid": ["2"], "label_index": numbers})
    )
    source = united(sources)
    assert "label_index" not in source.schema.names
    assert any(words.startswith("'label_index' is left out") for words in source.words)
    assert "label_index" in united(sources, columns={"label_index": "int32"}).schema.names


def test_a_source_with_a_column_of_that_name_is_refused() -> None:
    sources = held(a=pa.table({"uid": ["1"], "source": ["web"]}))
    with pytest.raises(RecipeError, match=r"'a' has a column 'source' itself; .*source: origin"):
        united(sources)
    assert rows_of(united(sources, source=None), ["source"]).column(0).to_pylist() == ["web"]


def labelled(path: Path, names: list[str], label: list[int], uids: list[str]) -> None:
    features = {"info": {"features": {"label": {"_type": "ClassLabel", "names": names}}}}
    table = pa.table({"uid": uids, "label": label, "score": label})
    import json

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), path)


def parquet_recipe(folder: Path, **tables: Any) -> Recipe:
    pools = {name: {"read": "table", "path": f"{name}"} for name in ("a", "b")}
    return Recipe.from_data({"recipe": 1, "name": "u", "max_bad": 0.5, "pools": pools, "tables": tables}, folder)


def test_class_labels_go_by_name_and_repeated_uids_are_dropped(tmp_path: Path) -> None:
    labelled(tmp_path / "a" / "0.parquet", ["cat", "dog"], [0, 1], ["1", "2"])
    labelled(tmp_path / "b" / "0.parquet", ["dog", "cat"], [0, 1], ["2", "3"])
    recipe = parquet_recipe(tmp_path, all={"from": ["a", "b"]}, some={"from": "all", "steps": [{"where": "true"}]})
    tables = recipe.run(tmp_path / "run").tables
    assert tables["all"].read(["uid", "label", "source"]).to_pylist() == [
        {"uid": "1", "label": "cat", "source": "a"},
        {"uid": "2", "label": "dog", "source": "a"},
        {"uid": "3", "label": "cat", "source": "b"},
    ]
    record = tables["all"].record
    assert (record.source, record.sources) == ("pools.a, pools.b", {"pools.a": 2, "pools.b": 2})
    assert record.funnel[0].dropped == {"duplicate_uid": 1}
    assert [part.name for part in record.inputs] == ["a: 0.parquet", "b: 0.parquet"]
    strict = Recipe.from_data({**recipe.source.data, "max_bad": 0.0}, tmp_path)
    with pytest.raises(TooManyBad, match=r"\{union: \[a, b\], uid_prefix: true\}"):
        strict.run(tmp_path / "other")


def test_prefixed_uids_are_unique_and_why_finds_them(tmp_path: Path) -> None:
    labelled(tmp_path / "a" / "0.parquet", ["cat", "dog"], [0, 1], ["1", "2"])
    labelled(tmp_path / "b" / "0.parquet", ["dog", "cat"], [0, 1], ["2", "3"])
    recipe = parquet_recipe(
        tmp_path,
        mine={"from": "a", "steps": [{"where": "score > 0"}]},
        all={"from": {"union": ["mine", "b"], "uid_prefix": True, "source": None}},
        last={"from": "all", "steps": [{"where": "label = 'dog'"}]},
    )
    run = recipe.run(tmp_path / "run")
    assert run.tables["all"].read(["uid"]).column(0).to_pylist() == ["mine/2", "b/2", "b/3"]
    assert run.tables["all"].record.sources == {"tables.mine": 1, "pools.b": 2}
    stories = api.why(tmp_path / "run", "mine/2")
    assert [(story.table, story.uid, story.kept) for story in stories] == [
        ("mine", "2", True),
        ("all", "mine/2", True),
        ("last", "mine/2", True),
    ]
    assert [(story.table, story.kept) for story in api.why(tmp_path / "run", "b/3")] == [("all", True), ("last", False)]
    assert [story.table for story in api.why(tmp_path / "run", "1")] == ["mine"]


def test_a_changed_union_is_named_and_a_bad_part_says_its_source(tmp_path: Path) -> None:
    labelled(tmp_path / "a" / "0.parquet", ["cat", "dog"], [0, 1], ["1", "2"])
    labelled(tmp_path / "b" / "0.parquet", ["dog", "cat"], [0, 1], ["3", "4"])
    whole = (tmp_path / "b" / "0.parquet").read_bytes()
    (tmp_path / "b" / "1.parquet").write_bytes(whole[: len(whole) // 2])
    recipe = parquet_recipe(tmp_path, all={"from": ["a", "b"]})
    record = recipe.run(tmp_path / "run").tables["all"].record
    assert [part.name for part in record.quarantined] == ["b: 1.parquet"]
    assert record.sources == {"pools.a": 2, "pools.b": 2}
    with pytest.raises(ChangedError, match=r"source.uid_prefix: false -> true"):
        parquet_recipe(tmp_path, all={"from": {"union": ["a", "b"], "uid_prefix": True}}).run(tmp_path / "run")


def picture(path: Path, color: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), color).save(path)


RELEASED = """\
recipe: 1
name: two
max_bad: 60%
pools:
  photos: {read: image_folder, path: one/photos, pattern: "{class}/{name}"}
  sketches: {read: image_folder, path: other/sketches, pattern: "{class}/{name}"}
tables:
  hashed:
    from: {union: [photos, sketches], uid_prefix: true}
    steps: [size, hash]
  kept:
    from: hashed
    steps: [{where: width > 0}]
releases:
  - {table: kept, layout: huggingface, images: embed, to: released}
"""


def test_images_are_read_from_their_own_source(tmp_path: Path) -> None:
    picture(tmp_path / "one/photos/cat/1.png", "red")
    picture(tmp_path / "other/sketches/cat/1.png", "blue")
    picture(tmp_path / "other/secret.png", "black")
    (tmp_path / "other/sketches/cat/2.png").symlink_to(tmp_path / "other/secret.png")
    (tmp_path / "recipe.yaml").write_text(RELEASED)
    called = call("run", "recipe.yaml", folder=tmp_path)
    assert called.code == 0, called.err
    table = Table(tmp_path / "runs/two/tables/hashed")
    assert table.read(["uid", "image_path"]).to_pylist() == [
        {"uid": "photos/cat/1.png", "image_path": "photos/cat/1.png"},
        {"uid": "sketches/cat/1.png", "image_path": "sketches/cat/1.png"},
    ]
    assert table.record.funnel[1].dropped == {"outside_root": 1}
    assert table.image_root == {
        "photos": str(tmp_path / "one/photos"),
        "sketches": str(tmp_path / "other/sketches"),
    }
    (released,) = (tmp_path / "released").rglob("*.parquet")
    images = pq.read_table(released).column("image").to_pylist()
    files = [tmp_path / "one/photos/cat/1.png", tmp_path / "other/sketches/cat/1.png"]
    assert [image["bytes"] for image in images] == [file.read_bytes() for file in files]
    card = (tmp_path / "released/README.md").read_text()
    assert "from pool photos" in card
    assert "from pool sketches" in card
    assert str(tmp_path) not in card + (tmp_path / "released/lineage/hashed/table.json").read_text()
    assert call("verify", "released", folder=tmp_path).code == 0


def test_stored_images_and_files_meet_in_one_column(tmp_path: Path) -> None:
    picture(tmp_path / "files/1.png", "red")
    data = (tmp_path / "files/1.png").read_bytes()
    pq.write_table(pa.table({"uid": ["x"], "image": pa.array([data], pa.binary())}), tmp_path / "rows.parquet")
    pools = {"files": {"read": "image_folder", "path": "files"}, "rows": {"read": "table", "path": "rows.parquet"}}
    tables = {"all": {"from": ["files", "rows"], "steps": ["hash"]}}
    recipe = Recipe.from_data({"recipe": 1, "name": "u", "pools": pools, "tables": tables}, tmp_path)
    table = recipe.run(tmp_path / "run").tables["all"]
    assert table.read(["image"]).column(0).to_pylist() == [data, data]
    assert pc.count_distinct(table.read(["sha256"]).column(0)).as_py() == 1
    assert "image files of files are copied into the table, as rows has images in its rows" in table.record.remarks


def test_the_recipe_is_checked(tmp_path: Path) -> None:
    labelled(tmp_path / "a" / "0.parquet", ["cat"], [0], ["1"])
    labelled(tmp_path / "b" / "0.parquet", ["cat"], [0], ["2"])
    for wrong, words in (
        (["a", "c"], "no pool or table 'c'"),
        (["a", "a"], "'a' is named twice"),
        ([], "name the pools and tables that the rows come from"),
        ({"union": ["a", "b"], "colums": {}}, "unknown key; did you mean 'columns'"),
        ({"union": ["a"], "columns": {"x": "number"}}, "'number' of column 'x' is no type"),
        ({"union": ["a"], "columns": {"width": "double"}}, "'width' is int32 in every table"),
        ({"union": ["a"], "source": "uid"}, "'uid' is the id of a row"),
        (["a", "all"], "tables come from each other in a cycle"),
    ):
        with pytest.raises(RecipeError, match=words):
            parquet_recipe(tmp_path, all={"from": wrong})
    with pytest.raises(RecipeError, match="'fetch' takes the rows of a table, and these are those of a union"):
        parquet_recipe(tmp_path, all={"from": ["a", "b"], "steps": ["fetch"]})


def test_a_dry_run_of_all_parts_is_exact(tmp_path: Path) -> None:
    for part in range(4):
        labelled(tmp_path / "a" / f"{part}.parquet", ["cat", "dog"], [0, 1], [f"a{part}", f"b{part}"])
        labelled(tmp_path / "b" / f"{part}.parquet", ["cat", "dog"], [1, 1], [f"c{part}", f"d{part}"])
    recipe = parquet_recipe(
        tmp_path,
        mine={"from": "a", "steps": [{"where": "score > 0"}]},
        all={"from": ["mine", "b"]},
        last={"from": "all", "steps": [{"where": "uid < 'c'"}]},
    )
    found = {one.table: one for one in api.dry_run(recipe, parts=10)}
    assert [(one.low, one.kept, one.high) for one in found.values()] == [(4, 4, 4), (12, 12, 12), (4, 4, 4)]
    few = {one.table: one for one in api.dry_run(recipe, parts=2)}
    assert few["all"].kept == pytest.approx(12)
    assert (few["all"].parts, few["all"].sampled, few["all"].rows) == (8, 4, 16)


def test_unions_of_unions_and_of_tables_of_one_pool_find_their_images(tmp_path: Path) -> None:
    for name, color in (("a/1.png", "red"), ("b/1.png", "green"), ("c/1.png", "blue"), ("c/2.png", "black")):
        picture(tmp_path / name, color)
    tables = {
        "ab": {"from": {"union": ["a", "b"], "uid_prefix": True}},
        "all": {"from": {"union": ["ab", "c"], "uid_prefix": True, "source": "from"}, "steps": ["hash"]},
        "first": {"from": "c", "steps": [{"where": "uid = '1.png'"}]},
        "second": {"from": "c", "steps": [{"where": "uid <> '1.png'"}]},
        "again": {"from": ["second", "first"], "steps": ["hash"]},
        "end": {"from": "all", "steps": ["size"]},
    }
    pools = {name: {"read": "image_folder", "path": name} for name in "abc"}
    recipe = Recipe.from_data({"recipe": 1, "name": "u", "pools": pools, "tables": tables}, tmp_path)
    made = recipe.run(tmp_path / "run").tables
    assert made["end"].read(["uid", "image_path", "source", "from", "width"]).to_pylist() == [
        {"uid": "ab/a/1.png", "image_path": "ab/a/1.png", "source": "a", "from": "ab", "width": 20},
        {"uid": "ab/b/1.png", "image_path": "ab/b/1.png", "source": "b", "from": "ab", "width": 20},
        {"uid": "c/1.png", "image_path": "c/1.png", "source": None, "from": "c", "width": 20},
        {"uid": "c/2.png", "image_path": "c/2.png", "source": None, "from": "c", "width": 20},
    ]
    assert made["again"].read(["uid", "image_path", "source"]).to_pylist() == [
        {"uid": "2.png", "image_path": "2.png", "source": "second"},
        {"uid": "1.png", "image_path": "1.png", "source": "first"},
    ]
    assert made["again"].image_root == str(tmp_path / "c")
    rows = SourceRows(open_run(tmp_path / "run").source("all"), None)
    assert rows.image("ab/b/1.png") == (tmp_path / "b/1.png").read_bytes()
    names = {"a": "ab/a/1.png", "b": "ab/b/1.png", "c": "c/1.png"}
    inputs = [file.path for file in made["all"].record.files]
    assert {f"{name}/1.png" for name in names} <= set(inputs)
    (tmp_path / "b/1.png").write_bytes((tmp_path / "a/1.png").read_bytes())
    with pytest.raises(ChangedError, match=r"input .*b/1.png: content changed"):
        recipe.run(tmp_path / "run")
