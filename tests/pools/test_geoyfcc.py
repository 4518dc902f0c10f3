"""Pool `geoyfcc`: the pickle and the Parquet made of it give the same rows; nothing is lost silently."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import BadPart, InputError, RecipeError
from poolwright.pools.geoyfcc.geoyfcc import GeoYfccPool
from poolwright.pools.yfcc import lines as yfcc_lines
from tests.pools.reading import column, read_all

pd = pytest.importorskip("pandas")

LINE = "\t".join(
    (
        "6985418911", "4e2f7a26a1dfbf165a7e30bdabf7e72a", "62003290@N00", "Ana+Mar%C3%ADa", "2012-02-16 09:56:37.0",
        "1331840483", "Canon+PowerShot", "Lima+by+night", "", "lima,night+sky", "", "-77.03", "-12.05", "16",
        "http://www.flickr.com/photos/62003290@N00/6985418911/", "http://farm8.staticflickr.com/7205/6985418911_d.jpg",
        "Attribution License", "http://creativecommons.org/licenses/by/2.0/", "7205", "8", "df7747990d", "692d7e0a7f",
        "jpg", "0",
    )
)  # fmt: skip
FIELDS = LINE.split("\t")
RECORD_NAMES = (
    "photoid", "hash", "uid", "unickname", "datetaken", "dateuploaded", "capturedevice", "title", "description",
    "usertags", "machinetags", "longitude", "latitude", "accuracy", "pageurl", "downloadurl", "licensename",
    "licenseurl", "serverid", "farmid", "secret", "secretoriginal", "ext", "marker",
)  # fmt: skip
RECORD = dict(zip(RECORD_NAMES, FIELDS, strict=True))


def frame(**changes: Any) -> Any:
    """Three rows as the public file has them."""
    columns: dict[str, Any] = {
        "yfcc_row_id": [11, 50, 99_999_999],
        "label_ids": [[3, 7], [1260], []],
        "country": ["Peru", "Côte d'Ivoire", "Peru"],
        "country_id": [41, 9, 41],
        "in_5k_label_ids": [[4001], [17, 18], [5]],
        "is_train": [True, False, True],
        "yfcc_metadata": [LINE, LINE.replace("6985418911", "12"), LINE.replace("6985418911", "13")],
    }
    return pd.DataFrame({name: values for name, values in {**columns, **changes}.items() if values is not None})


def pool(path: Path, **parameters: Any) -> GeoYfccPool:
    return GeoYfccPool.model_validate({"path": str(path), **parameters})


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    frame().to_pickle(tmp_path / "GeoYFCC.pkl")
    return tmp_path / "GeoYFCC.pkl"


def test_what_the_public_file_says(pickled: Path) -> None:
    rows = read_all(pool(pickled)).to_pylist()
    expected = {
        "uid": "11",
        "yfcc_row_id": 11,
        "label_ids": [3, 7],
        "in_5k_label_ids": [4001],
        "country": "Peru",
        "country_id": 41,
        "is_train": True,
        "photo_id": 6985418911,
        "hash": "4e2f7a26a1dfbf165a7e30bdabf7e72a",
        "author": "Ana María",
        "taken_at": datetime.datetime(2012, 2, 16, 9, 56, 37, tzinfo=datetime.UTC),
        "title": "Lima by night",
        "description": None,
        "user_tags": ["lima", "night sky"],
        "longitude": -77.03,
        "latitude": -12.05,
        "license": "cc-by-2.0",
        "media": "photo",
        "metadata_error": None,
        "yfcc_metadata": LINE,
        "row_error": None,
    }
    assert {name: rows[0][name] for name in expected} == expected
    assert [row["uid"] for row in rows] == ["11", "50", "99999999"]
    assert [row["label_ids"] for row in rows] == [[3, 7], [1260], []]
    assert [row["photo_id"] for row in rows] == [6985418911, 12, 13]


def test_types(pickled: Path) -> None:
    schema = pool(pickled).arrow_schema()
    assert schema.field("yfcc_row_id").type == pa.int64()
    assert schema.field("label_ids").type == schema.field("in_5k_label_ids").type == pa.list_(pa.int64())
    assert schema.field("country_id").type == pa.int32()
    assert schema.field("is_train").type == pa.bool_()
    fields = {name: field.type for name, field in yfcc_lines.FIELDS.items() if name != "line_number"}
    assert {name: schema.field(name).type for name in fields} == fields
    assert "line_number" not in schema.names
    assert "image_path" not in schema.names


@pytest.mark.parametrize(
    "metadata",
    [
        LINE,
        "\t".join((FIELDS[0], *FIELDS[2:])),
        "5\t" + LINE,
        RECORD,
        {name.upper(): value for name, value in RECORD.items()},
        FIELDS,
        tuple(FIELDS),
    ],
    ids=["24 fields", "23 fields", "25 fields", "record", "record in capitals", "list", "tuple"],
)
def test_metadata_in_any_form(metadata: Any, tmp_path: Path) -> None:
    frame(yfcc_metadata=pd.Series([metadata, None, "no line"], dtype=object)).to_pickle(tmp_path / "f.pkl")
    rows = read_all(pool(tmp_path / "f.pkl")).to_pylist()
    assert (rows[0]["photo_id"], rows[0]["author"], rows[0]["latitude"]) == (6985418911, "Ana María", -12.05)
    assert rows[0]["yfcc_metadata"] == (metadata if isinstance(metadata, str) else None)
    assert [row["photo_id"] for row in rows[1:]] == [None, None]
    assert [row["metadata_error"] for row in rows] == [
        None,
        "no yfcc_metadata",
        "1 field where 23, 24 or 25 are expected",
    ]
    assert [row["yfcc_metadata"] for row in rows[1:]] == [None, "no line"]
    assert {row["row_error"] for row in rows} == {None}  # the labels and the country are there


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ([11, None, 12], "is missing"),
        ([11, "x7", 12], "is 'x7', no whole number"),
        ([11.0, 1.5, 12.0], "is '1.5', no whole number"),
        ([11, -4, 12], "is '-4', no whole number"),
        (["11", "", " 12 "], "is '', no whole number"),
    ],
)
def test_a_row_without_its_id_cannot_be_used(values: list[Any], errors: str, tmp_path: Path) -> None:
    frame(yfcc_row_id=pd.Series(values, dtype=object)).to_pickle(tmp_path / "f.pkl")
    rows = read_all(pool(tmp_path / "f.pkl")).to_pylist()
    assert [row["uid"] for row in rows] == ["11", "row:1", "12"]
    assert [row["row_error"] for row in rows] == [None, f"row 1: yfcc_row_id {errors}", None]


def test_other_columns_are_given_as_they_are(tmp_path: Path) -> None:
    others = {
        "score": [0.5, None, 1.5],
        "note": ["a", None, "ü"],
        "box": [[0.1, 0.2], [], None],
        "mixed": pd.Series([1, "two", [3]], dtype=object),
        "tags": [["a"], ["b", "c"], []],
        "license_name": ["given", "here", None],
    }
    frame(**others).to_pickle(tmp_path / "f.pkl")
    given = pool(tmp_path / "f.pkl")
    assert given.arrow_schema().field("box").type == pa.list_(pa.float64())
    assert column(given, "score") == others["score"]
    assert column(given, "box") == others["box"]
    assert column(given, "tags") == others["tags"]
    assert column(given, "mixed") == ["1", "two", "[3]"]
    assert column(given, "license_name") == ["given", "here", None]  # before what the metadata says


def test_the_index_is_the_row_id_where_it_says_so(tmp_path: Path) -> None:
    frame().set_index("yfcc_row_id").to_pickle(tmp_path / "f.pkl")
    assert column(pool(tmp_path / "f.pkl"), "uid") == ["11", "50", "99999999"]
    frame(yfcc_row_id=None).to_pickle(tmp_path / "g.pkl")
    with pytest.raises(RecipeError, match="no column 'yfcc_row_id', so it is not GeoYFCC"):
        pool(tmp_path / "g.pkl").arrow_schema()


def test_images(pickled: Path, tmp_path: Path) -> None:
    given = pool(pickled, images=str(tmp_path), image_path="{hash[0:3]}/{photo_id}.{extension}")
    assert given.image_root() == str(tmp_path)
    assert column(given, "image_path")[1] == "4e2/12.jpg"
    assert read_all(given, ["image_path", "uid"]).column_names == ["image_path", "uid"]
    with pytest.raises(RecipeError, match="no column 'photoid'; did you mean 'photo_id'"):
        pool(pickled, images=str(tmp_path), image_path="{photoid}.jpg").arrow_schema()
    with pytest.raises(RecipeError, match="'images' needs 'image_path'"):
        pool(pickled, images=str(tmp_path)).arrow_schema()
    with pytest.raises(ValueError, match="'image_path' needs 'images'"):
        pool(pickled, image_path="{photo_id}.jpg")
    with pytest.raises(RecipeError, match="no such folder of images"):
        pool(pickled, images=str(tmp_path / "none"), image_path="{photo_id}.jpg").arrow_schema()


def test_parquet_gives_what_the_pickle_gives(tmp_path: Path) -> None:
    extra = {"score": [0.5, None, 1.5], "tags": [["a"], [], None], "box": [[0.1], [], None]}
    frame(yfcc_row_id=[11, 50, 12], yfcc_metadata=[LINE, None, "broken"], **extra).to_pickle(tmp_path / "f.pkl")
    converted = api.convert("geoyfcc", str(tmp_path / "f.pkl"), tmp_path / "f.parquet")
    assert (converted.rows, converted.rejected) == (3, 0)
    for images in ({}, {"images": str(tmp_path), "image_path": "{photo_id}.jpg"}):
        one, other = pool(tmp_path / "f.pkl", **images), pool(tmp_path / "f.parquet", **images)
        assert other.arrow_schema().equals(one.arrow_schema())
        assert read_all(other).equals(read_all(one))
        assert read_all(other, ["photo_id"]).equals(read_all(one, ["photo_id"]))
    stored = pq.read_schema(tmp_path / "f.parquet").names
    assert stored == [name for name in pool(tmp_path / "f.pkl").arrow_schema().names if name != "row_error"]


def test_parquet_that_pandas_wrote(tmp_path: Path) -> None:
    frame().to_pickle(tmp_path / "f.pkl")
    frame().to_parquet(tmp_path / "f.parquet")
    assert read_all(pool(tmp_path / "f.parquet")).equals(read_all(pool(tmp_path / "f.pkl")))
    frame(yfcc_metadata=[RECORD] * 3).set_index("yfcc_row_id").to_parquet(tmp_path / "g.parquet")
    rows = read_all(pool(tmp_path / "g.parquet")).to_pylist()
    assert [(row["uid"], row["author"]) for row in rows] == [(uid, "Ana María") for uid in ("11", "50", "99999999")]


def test_many_parquet_files_and_a_damaged_one(tmp_path: Path) -> None:
    frame().to_parquet(tmp_path / "a.parquet")
    frame(yfcc_row_id=[1, 2, 3]).to_parquet(tmp_path / "b.parquet")
    assert column(pool(tmp_path), "uid") == ["11", "50", "99999999", "1", "2", "3"]
    (tmp_path / "b.parquet").write_bytes(b"PAR1 broken")
    given = pool(tmp_path)
    parts = given.parts()
    assert [part.rows for part in parts] == [3, None]
    with pytest.raises(BadPart, match=r"b\.parquet: is no Parquet file"):
        next(given.read(parts[1], ["uid"], 10))
    frame(extra=[1, 2, 3]).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(RecipeError, match=r"only the second has the column 'extra'; read the files as two pools"):
        pool(tmp_path).arrow_schema()


def test_types_that_differ_between_files_are_widened_and_said_once(tmp_path: Path) -> None:
    for name, scores, notes in (("a", [1, 2, 3], [None] * 3), ("b", [0.5, None, 2.0], ["x", "y", "z"])):
        columns = {"yfcc_row_id": pa.array(range(3), pa.int32() if name == "a" else pa.int64())}
        table = pa.table({**columns, "score": scores, "note": notes})
        (tmp_path / name).mkdir()
        pq.write_table(table, tmp_path / name / f"{name}.parquet")
    both = {"path": [str(tmp_path / "a"), str(tmp_path / "b")]}
    given = GeoYfccPool.model_validate(both)
    rows = read_all(given)
    assert rows.column("score").to_pylist() == [1.0, 2.0, 3.0, 0.5, None, 2.0]
    assert rows.column("note").to_pylist() == [None, None, None, "x", "y", "z"]
    assert given.remarks() == [
        "'score' is double: int64 in a.parquet",
        "'note' is string: null in a.parquet",
    ]
    pq.write_table(pa.table({"yfcc_row_id": [1], "score": [[1.0]], "note": ["x"]}), tmp_path / "b/b.parquet")
    with pytest.raises(RecipeError, match=r"column 'score' is int64 in the first and list<.*> in the second"):
        GeoYfccPool.model_validate(both).arrow_schema()


def test_one_pickle_at_a_time(tmp_path: Path) -> None:
    frame().to_pickle(tmp_path / "a.pkl")
    frame(yfcc_row_id=[1, 2, 3]).to_pickle(tmp_path / "b.pkl")
    with pytest.raises(RecipeError, match="2 files, but one pickle or only Parquet files are expected"):
        pool(tmp_path).arrow_schema()
    assert column(pool(tmp_path / "b.pkl"), "uid") == ["1", "2", "3"]
    frame(yfcc_row_id=[4, 5, 6]).to_pickle(tmp_path / "b.pkl")
    assert column(pool(tmp_path / "b.pkl"), "uid") == ["4", "5", "6"]  # the file as it is now


def test_batches_and_parts_change_nothing(tmp_path: Path) -> None:
    rows = 70_000
    pd.DataFrame(
        {"yfcc_row_id": range(rows), "label_ids": [[row % 7] for row in range(rows)], "yfcc_metadata": [LINE] * rows}
    ).to_pickle(tmp_path / "f.pkl")
    given = pool(tmp_path / "f.pkl")
    assert [(part.start, part.rows) for part in given.parts()] == [(0, 65_536), (65_536, 4_464)]
    whole = read_all(given, ["label_ids", "uid", "photo_id"], batch_rows=65_536)
    assert whole.column("uid").to_pylist() == [str(row) for row in range(rows)]
    assert read_all(given, ["label_ids", "uid", "photo_id"], batch_rows=9_999).equals(whole)


def test_no_rows(tmp_path: Path) -> None:
    frame().iloc[:0].to_pickle(tmp_path / "f.pkl")
    assert len(read_all(pool(tmp_path / "f.pkl"), ["uid", "country", "label_ids"])) == 0


def test_a_column_of_another_kind(tmp_path: Path) -> None:
    frame(label_ids=pd.Series([3, [4], "x"], dtype=object)).to_pickle(tmp_path / "f.pkl")
    assert column(pool(tmp_path / "f.pkl"), "label_ids") == [[3], [4], None]
    frame(is_train=pd.Series([1, 0, None], dtype=object)).to_pickle(tmp_path / "f.pkl")
    assert column(pool(tmp_path / "f.pkl"), "is_train") == [True, False, None]
    pq.write_table(pa.table({"yfcc_row_id": [1], "label_ids": ["a"]}), tmp_path / "f.parquet")
    with pytest.raises(RecipeError, match="column 'label_ids' is string, but list<item: int64> is expected"):
        pool(tmp_path / "f.parquet").arrow_schema()


def test_a_malicious_pickle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.pkl").write_bytes(b"cos\nsystem\n(Vtouch owned\ntR.")
    with pytest.raises(InputError, match=r"f.pkl: the pickle asks for os\.system"):
        pool(tmp_path / "f.pkl").arrow_schema()


def test_a_recipe_runs_on_the_pickle_as_on_parquet(tmp_path: Path) -> None:
    ids = pd.Series([11, None, 12], dtype=object)
    frame(yfcc_row_id=ids, is_train=[True, True, True]).to_pickle(tmp_path / "f.pkl")
    api.convert("geoyfcc", str(tmp_path / "f.pkl"), tmp_path / "f.parquet")
    kept = []
    for path in ("f.pkl", "f.parquet"):
        pools = {"rows": {"read": "geoyfcc", "path": path}}
        tables = {"train": {"from": "rows", "max_bad": 1, "steps": [{"where": "is_train and latitude < 0"}]}}
        data = {"recipe": 1, "name": path.replace(".", "-"), "pools": pools, "tables": tables}
        table = Recipe.from_data(data, tmp_path).run().tables["train"]
        kept.append(table.read())
        assert table.record.rows_in == (3 if path == "f.pkl" else 2)
    assert kept[0].column("uid").to_pylist() == ["11", "12"]
    assert kept[0].equals(kept[1])
    story = api.why(tmp_path / "runs" / "f-pkl", "row:1")[0]
    assert "yfcc_row_id is missing" in str(story)


@pytest.mark.real
def test_real_lines(real_data: Path, tmp_path: Path) -> None:
    lines = (real_data / "yfcc100m" / "yfcc100m_dataset").read_text(encoding="utf-8").splitlines()
    pd.DataFrame(
        {"yfcc_row_id": range(len(lines)), "yfcc_metadata": [line.split("\t", 1)[1] for line in lines]}
    ).to_pickle(tmp_path / "f.pkl")
    found = read_all(pool(tmp_path / "f.pkl"))
    parsed, _ = yfcc_lines.parse(pa.array(lines), list(yfcc_lines.FIELDS))
    assert found.column("metadata_error").null_count == len(lines)
    for name, values in parsed.items():
        if name != "line_number":
            assert found.column(name).to_pylist() == values.to_pylist(), name
