from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from poolwright.core.columns import vector_model
from poolwright.core.errors import BadPart, InputError, RecipeError
from poolwright.pools import arrays
from poolwright.pools.arrays import Arrays
from tests.pools.reading import column, read_all

RANDOM = np.random.default_rng(0)


def unit(n: int, d: int = 8) -> np.ndarray:
    matrix = RANDOM.standard_normal((n, d))
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float16)


EMB = unit(6)
LABEL = np.array([0, 2, 1, 7, -1, 0], np.int16)


@pytest.fixture(params=[np.savez, np.savez_compressed])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    request.param(
        tmp_path / "x.npz",
        emb=EMB,
        single=(EMB * 2).astype(">f4"),
        fortran=np.asfortranarray(EMB),
        label=LABEL,
        names=np.array(["cat", "dog", "猫"]),
        paths=np.array([f"p{n}" for n in range(6)]),
        bytes=np.array([b"a", b"b", b"c", b"d", b"e", "é".encode()]),
        pairs=np.array([(1, 2**63)] * 6, "u8,u8"),
        flags=np.array([True, False] * 3),
        score=np.linspace(0, 1, 6),
        objects=np.array([None] * 6),
        cube=np.zeros((6, 2, 2)),
        ints=np.zeros((6, 2), int),
        scalar=np.float32(1),
        complex=np.zeros(6, complex),
    )
    return str(tmp_path / "x.npz")


def test_arrays_are_columns(file: str) -> None:
    pool = Arrays(
        path=file,
        columns={
            "clip": {"array": "emb", "model": "OpenAI ViT-B/32", "weights": "sha"},
            "single": "single",
            "fortran": "fortran",
            "label_index": "label",
            "similarity": "score",
            "flag": "flags",
            "b": "bytes",
        },
        lookup={"label": {"values": "names", "by": "label"}, "weight": {"values": "score", "by": "label_index"}},
    )
    table = read_all(pool, batch_rows=4)
    assert table["uid"].to_pylist() == [f"x:{n}" for n in range(6)]
    for name in ("clip", "single", "fortran"):
        assert np.allclose(np.array(table[name].to_pylist(), np.float16), EMB, atol=1e-3)
        assert table[name].type == pa.list_(pa.float16(), 8)
    assert vector_model(table.schema.field("clip")) == ("OpenAI ViT-B/32", "sha")
    assert table["label_index"].to_pylist() == LABEL.tolist()
    assert table["label_index"].type == pa.int32()
    assert table["similarity"].type == pa.float32()
    assert table["label"].to_pylist() == ["cat", "猫", "dog", None, None, "cat"]
    assert table["weight"].to_pylist()[3:5] == [None, None]
    assert table["flag"].to_pylist() == [True, False] * 3
    assert table["b"].to_pylist()[-1] == "é"
    assert pool.parts()[0].files == (file,)


def test_ids(file: str) -> None:
    assert column(Arrays(path=file, columns="label", uid="paths"), "uid")[:2] == ["p0", "p1"]
    assert column(Arrays(path=file, columns="emb", uid="label"), "uid")[:2] == ["0", "2"]
    assert column(Arrays(path=file, columns="emb", uid="pairs"), "uid")[0] == f"{1:016x}{2**63:016x}"
    with pytest.raises(RecipeError, match="'score': has type double, but 'uid' is string"):
        Arrays(path=file, columns="emb", uid="score").arrow_schema()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"columns": "embb"}, "holds no array 'embb'; did you mean 'emb'"),
        ({"columns": {"a": "emb", "n": "names"}}, "arrays differ in length: 'emb' has 6, 'names' has 3"),
        ({"columns": "objects"}, "'objects' holds pickled Python objects, which are never loaded"),
        ({"columns": "cube"}, r"'cube' is float64 of shape \(6, 2, 2\)"),
        ({"columns": "ints"}, r"'ints' is int64 of shape \(6, 2\)"),
        ({"columns": "scalar"}, r"'scalar' is float32 of shape \(\)"),
        ({"columns": "complex"}, "complex128 cannot be columns"),
        ({"columns": {"text": "emb"}}, "for a column with a name of its own"),
        ({"columns": "emb", "lookup": {"l": {"values": "names", "by": "score"}}}, "must be 1-d integers"),
        ({"columns": {"taken_at": "label"}, "uid": "score"}, "'uid' is string"),
        ({"columns": {"width": "paths"}}, "'width' are numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_reported(file: str, parameters: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Arrays(path=file, **parameters).arrow_schema()


def test_wrong_parameters_are_refused(file: str) -> None:
    for parameters in (
        {"columns": {}},
        {"columns": {"a": "emb"}, "lookup": {"a": {"values": "names", "by": "label"}}},
        {"columns": {"uid": "paths"}},
        {"columns": {"a": {"array": "emb", "modle": "x"}}},
    ):
        with pytest.raises(ValidationError):
            Arrays(path=file, **parameters)


def test_one_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "emb.npy", EMB)
    pool = Arrays(path=str(tmp_path / "emb.npy"), columns="clip")
    assert np.array_equal(np.array(column(pool, "clip"), np.float16), EMB)
    assert column(pool, "uid")[5] == "emb:5"
    with pytest.raises(RecipeError, match="holds one array"):
        Arrays(path=str(tmp_path / "emb.npy"), columns={"a": "x", "b": "y"}).arrow_schema()
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(RecipeError, match="pickled"):
        Arrays(path=str(tmp_path / "objects.npy"), columns="clip").arrow_schema()
    with open(tmp_path / "list.pkl", "wb") as out:
        pickle.dump([1], out)
    with pytest.raises(RecipeError, match=r"arrays are read from .npz and .npy files"):
        Arrays(path=str(tmp_path / "list.pkl"), columns="clip").arrow_schema()


def test_several_files_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "PART_ROWS", 4)
    for name in ("b", "a"):
        np.savez(tmp_path / f"{name}.npz", emb=EMB, label=LABEL)
    pool = Arrays(path=str(tmp_path), columns={"clip": "emb", "label_index": "label"})
    assert [(part.name, part.start, part.rows) for part in pool.parts()] == [
        ("a.npz rows 0-3", 0, 4),
        ("a.npz rows 4-5", 4, 2),
        ("b.npz rows 0-3", 0, 4),
        ("b.npz rows 4-5", 4, 2),
    ]
    assert column(pool, "uid") == [f"{name}:{n}" for name in "ab" for n in range(6)]
    there = pickle.loads(pickle.dumps(pool))
    assert read_all(there).equals(read_all(pool))


def test_bad_files_are_bad_parts(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", emb=EMB, label=LABEL)
    np.savez(tmp_path / "b.npz", emb=EMB, label=LABEL[:5])
    np.savez(tmp_path / "c.npz", emb=EMB[:, :4], label=LABEL)
    np.savez(tmp_path / "d.npz", emb=EMB)
    np.savez_compressed(tmp_path / "e.npz", emb=unit(900), label=np.zeros(900, np.int16))
    whole = (tmp_path / "e.npz").read_bytes()
    (tmp_path / "e.npz").write_bytes(whole[:4000] + bytes(2000) + whole[6000:])
    (tmp_path / "f.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    pool = Arrays(path=str(tmp_path), columns={"clip": "emb", "label_index": "label"})
    messages = [
        "",
        "differ in length",
        "does not fit 'clip'",
        "no array 'label'",
        "'emb' cannot be read",
        "is no .npz file",
    ]
    for part, words in zip(pool.parts(), messages, strict=True):
        if words:
            with pytest.raises(BadPart, match=words):
                list(pool.read(part, ["uid", "clip"], 100))
    assert [part.rows for part in pool.parts()] == [6, None, None, None, 900, None]
    with pytest.raises(InputError, match=r"is no .npz file"):
        Arrays(path=str(tmp_path / "f.npz"), columns="emb").arrow_schema()
    np.save(tmp_path / "g.npy", EMB)
    (tmp_path / "g.npy").write_bytes((tmp_path / "g.npy").read_bytes()[:-20])
    with pytest.raises(InputError, match="is cut off: 6 rows announced, 4 there"):
        Arrays(path=str(tmp_path / "g.npy"), columns="emb").arrow_schema()


def test_urls_and_no_rows(tmp_path: Path) -> None:
    import fsspec

    np.savez(tmp_path / "x.npz", emb=EMB[:0], label=LABEL[:0])
    fsspec.filesystem("memory").pipe("/arrays-pool/x.npz", (tmp_path / "x.npz").read_bytes())
    pool = Arrays(path="memory://arrays-pool", columns={"clip": "emb", "label_index": "label"})
    assert read_all(pool).num_rows == 0
    assert [part.rows for part in pool.parts()] == [0]


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(0, 30),
    batch_rows=st.integers(1, 40),
    asked=st.permutations(["uid", "clip", "name", "label"]),
    count=st.integers(0, 4),
    packed=st.booleans(),
)
def test_batches_and_columns_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: int, batch_rows: int, asked: list[str], count: int, packed: bool
) -> None:
    path = tmp_path_factory.mktemp("arrays") / "猫.npz"
    label = np.arange(rows) % 4
    names = np.array([f"é{n}" for n in range(rows)], "U4")
    (np.savez_compressed if packed else np.savez)(
        path, emb=unit(rows), label=label, names=names, classes=["a", "b", "猫"]
    )
    lookup = {"label": {"values": "classes", "by": "label"}}
    pool = Arrays(path=str(path), columns={"clip": "emb", "name": "names"}, lookup=lookup)
    whole = read_all(pool)
    assert whole["name"].to_pylist() == names.tolist()
    assert read_all(pool, asked[:count], batch_rows).equals(whole.select(asked[:count]))


def test_arrays_whose_types_drift_have_the_widest_type(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", n=np.array([1, 2]), name=np.array(["x", "y"]))
    np.savez(tmp_path / "b.npz", n=np.array([0.5]), name=np.array(["z"]))
    np.savez(tmp_path / "c.npz", n=np.array(["text"]), name=np.array(["w"]))
    columns = {"n": "n", "name": "name"}
    pool = Arrays.model_validate({"path": str(tmp_path / "[ab].npz"), "columns": columns})
    assert column(pool, "n") == [1.0, 2.0, 0.5]
    assert pool.remarks() == ["'n' is double: int64 in earlier files"]
    pool = Arrays.model_validate({"path": str(tmp_path), "columns": columns})
    with pytest.raises(BadPart, match=r"'n' is <U4 of shape \(1,\), which does not fit 'n' \(double\)"):
        read_all(pool)
