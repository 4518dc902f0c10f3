"""DataFrames in pickles: every version of pandas is read, and nothing that a pickle asks for is run."""

from __future__ import annotations

import base64
import builtins
import bz2
import collections
import copyreg
import datetime
import gzip
import io
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import InputError
from poolwright.pools.readers.pandas_frame import plain, read_frame
from poolwright.pools.readers.pandas_pickle import Forbidden, load_inert
from tests.pools.old_pickles import FRAMES

pd = pytest.importorskip("pandas")

WHEN = [datetime.datetime(2020, 1, 1), datetime.datetime(2021, 1, 1), None]
FRAME = {
    "yfcc_row_id": [5, 7, 9],
    "label_ids": [[1, 2], [3], []],
    "country": ["France", "Peru", None],
    "score": [1.5, 2.5, None],
    "is_train": [True, False, True],
    "kind": ["x", "y", "x"],
    "when": WHEN,
    "array": [[1, 2], [3], [4, 5, 6]],
}


def values_of(path: Path) -> dict[str, list[Any]]:
    """The columns of the frame in a file, in plain Python."""
    found = {}
    for name, values in read_frame(str(path)).columns.items():
        array = values if isinstance(values, list) else pa.array(values, from_pandas=True)
        if isinstance(array, pa.Array) and pa.types.is_timestamp(array.type):
            array = array.cast(pa.timestamp("us", array.type.tz))
        found[name] = [plain(value) for value in (array if isinstance(array, list) else array.to_pylist())]
    return found


@pytest.mark.parametrize("made_by", FRAMES, ids=lambda made_by: f"pandas-{made_by[0]}-protocol-{made_by[1]}")
def test_pickles_of_old_pandas_are_read(made_by: tuple[str, int], tmp_path: Path) -> None:
    (tmp_path / "old.pkl").write_bytes(zlib.decompress(base64.b85decode("".join(FRAMES[made_by]))))
    assert values_of(tmp_path / "old.pkl") == FRAME


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_this_pandas_are_read(protocol: int, tmp_path: Path) -> None:
    columns: dict[str, Any] = {
        "int": pd.Series([1, 2, 3], dtype="int32"),
        "text": ["a", "b", None],
        "object": pd.Series(["ü", None, "c"], dtype=object),
        "bool": [True, False, True],
        "time": pd.to_datetime(["2020-01-01", "2021-01-01", None]),
        "zone": pd.to_datetime(["2020-01-01", "2021-01-01", None], utc=True),
        "category": pd.Categorical(["x", None, "x"]),
        "nullable": pd.array([1, None, 3], dtype="Int64"),
        "flag": pd.array([True, None, False], dtype="boolean"),
        "share": pd.array([0.5, None, 2.5], dtype="Float32"),
        "python_text": pd.array(["a", None, "c"], dtype="string[python]"),
        "arrow_text": pd.array(["a", None, "c"], dtype="string[pyarrow]"),
        "list": pd.Series([[1], (2, 3), {4}], dtype=object),
        "mixed": pd.Series([np.int64(3), pd.Timestamp("2020-01-01"), pd.NA], dtype=object),
        "array": pd.Series([np.array([1, 2]), np.array(["a"]), np.array([1.5])], dtype=object),
    }
    pd.DataFrame(columns).to_pickle(tmp_path / "new.pkl", protocol=protocol)
    zoned = [None if time is None else time.replace(tzinfo=datetime.UTC) for time in WHEN]
    assert values_of(tmp_path / "new.pkl") == {
        "int": [1, 2, 3],
        "text": ["a", "b", None],
        "object": ["ü", None, "c"],
        "bool": [True, False, True],
        "time": WHEN,
        "zone": zoned,
        "category": ["x", None, "x"],
        "nullable": [1, None, 3],
        "flag": [True, None, False],
        "share": [0.5, None, 2.5],
        "python_text": ["a", None, "c"],
        "arrow_text": ["a", None, "c"],
        "list": [[1], [2, 3], [4]],
        "mixed": [3, WHEN[0], None],
        "array": [[1, 2], ["a"], [1.5]],
    }


@pytest.mark.parametrize("change", ["rows", "columns", "transposed", "consolidated", "empty"])
def test_frames_of_any_history(change: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({name: FRAME[name] for name in ("yfcc_row_id", "label_ids", "country", "score")})
    frame["late"] = ["p", "q", "r"]
    changed = {
        "rows": frame.iloc[[2, 0]],
        "columns": frame[["late", "yfcc_row_id"]],
        "transposed": pd.DataFrame({"a": [1, 2], "b": [3, 4]}).T.rename(columns=str),
        "consolidated": frame.copy(),
        "empty": frame.iloc[:0],
    }[change]
    changed.to_pickle(tmp_path / "f.pkl")
    expected = {name: [plain(value) for value in changed[name].tolist()] for name in changed.columns}
    assert values_of(tmp_path / "f.pkl") == expected


def test_a_named_index_is_found(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 7], name="yfcc_row_id")).to_pickle(tmp_path / "f.pkl")
    frame = read_frame(str(tmp_path / "f.pkl"))
    assert (frame.rows, list(frame.index), list(frame.index["yfcc_row_id"])) == (2, ["yfcc_row_id"], [5, 7])


def _tar(data: bytes, mode: str, *names: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _zip(data: bytes, *names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return out.getvalue()


PACKED = {
    "f.pkl.gz": gzip.compress,
    "f.pkl.bz2": bz2.compress,
    "f.pkl.xz": lzma.compress,
    "f.zip": lambda data: _zip(data, "GeoYFCC/GeoYFCC.pkl", "GeoYFCC/readme.txt"),
    "f.tar": lambda data: _tar(data, "w", "../../GeoYFCC.pkl"),
    "f.tar.gz": lambda data: _tar(data, "w:gz", "readme.txt", "GeoYFCC/GeoYFCC.pickle", "GeoYFCC/._GeoYFCC.pickle"),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_pickles_are_read_where_they_lie(name: str, tmp_path: Path) -> None:
    data = pickle.dumps(pd.DataFrame({"a": [1, 2]}))
    (tmp_path / name).write_bytes(PACKED[name](data))
    assert values_of(tmp_path / name) == {"a": [1, 2]}
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_zip(b"", "a.txt"), "holds no pickle"),
        (_tar(b"", "w:gz", "a.pkl", "b.pkl"), r"holds 2 pickles \(a.pkl, b.pkl\)"),
        (gzip.compress(bytes(9))[:12], "cannot be unpacked|is no pickle"),
        (b"", "is no pickle, or damaged"),
        (b"yfcc_row_id,country\n1,France\n", "is no pickle, or damaged"),
        (pickle.dumps(pd.DataFrame({"a": ["x" * 1000]}))[:-200], "is no pickle, or damaged"),
        (pickle.dumps([1, 2]), "holds list, not a pandas DataFrame"),
        (pickle.dumps(pd.Index([1])), "not a pandas DataFrame"),
        (pickle.dumps(pd.DataFrame([[1, 2]], columns=["a", "a"])), "two columns have one name"),
        (pickle.dumps(pd.DataFrame({("a", "b"): [1]})), "names of columns in several levels|asks for"),
    ],
    ids=["zip", "two", "gzip", "empty", "csv", "cut", "list", "index", "twice", "levels"],
)
def test_what_is_no_frame_is_reported(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "f.pkl").write_bytes(data)
    with pytest.raises(InputError, match=words) as error:
        read_frame(str(tmp_path / "f.pkl"))
    assert "f.pkl: " in str(error.value)


class _Calls:
    """Pickled, asks for a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _global(module: str, name: str) -> bytes:
    return b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)) + b"\x93"


TOUCH = b"cposix\nsystem\n(X" + struct.pack("<I", 11) + b"touch owned" + b"tR."
FORBIDDEN = {
    "posix.system": TOUCH,
    "os.system": b"cos\nsystem\n(Vtouch owned\ntR.",
    "builtins.eval": pickle.dumps(_Calls(eval, "open('owned', 'w')")),
    "__builtin__.eval": pickle.dumps(_Calls(eval, "open('owned', 'w')"), 2),
    "builtins.exec": pickle.dumps(_Calls(exec, "open('owned', 'w')")),
    "builtins.getattr": pickle.dumps(_Calls(getattr, [], "append")),
    "builtins.__import__": pickle.dumps(_Calls(builtins.__import__, "antigravity")),
    "io.open": pickle.dumps(_Calls(open, "owned", "w")),
    "operator.attrgetter": b"coperator\nattrgetter\n(Vsystem\ntR.",
    "importlib.import_module": b"cimportlib\nimport_module\n(Vthis\ntR.",
    "pandas.read_pickle": b"cpandas\nread_pickle\n(Vowned\ntR.",
    "pandas.io.common.os.system": b"cpandas\nio.common.os.system\n(Vtouch owned\ntR.",
    "pandas.DataFrame.to_csv": b"\x80\x04" + _global("pandas", "DataFrame.to_csv") + b".",
    "pandas.eval": b"\x80\x04" + _global("pandas", "eval") + b".",
    "numpy.load": b"cnumpy\nload\n(Vowned\ntR.",
    "numpy.dtype.__class__": b"\x80\x04" + _global("numpy", "dtype.__class__") + b".",
    "numpy.f2py.crackfortran.myeval": b"cnumpy.f2py.crackfortran\nmyeval\n(V1\ntR.",
    "inst": b"(Vtouch owned\nios\nsystem\n.",
    "poolwright.pools.readers.pandas_pickle.Inert": b"cpoolwright.pools.readers.pandas_pickle\nInert\n.",
    "a persistent id": b"Powned\n.",
    "a persistent id of any kind": b"\x80\x04K\x01Q.",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_malicious_pickle_is_refused_and_nothing_runs(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.pkl").write_bytes(FORBIDDEN[what])
    with pytest.raises(Forbidden, match=r"bad\.pkl: the pickle asks for .*nothing of it was run") as error:
        read_frame("bad.pkl")
    if "." in what:
        assert what in str(error.value)
    assert os.listdir() == ["bad.pkl"]


def test_a_frame_that_hides_a_call_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"yfcc_row_id": [1, 2], "label_ids": [[1], [_Calls(os.system, "touch owned")]]})
    frame.to_pickle("bad.pkl.gz")
    with pytest.raises(Forbidden, match="system"):
        read_frame("bad.pkl.gz")
    assert os.listdir() == ["bad.pkl.gz"]


def test_the_extension_registry_is_no_way_around(tmp_path: Path) -> None:
    copyreg.add_extension("os", "getcwd", 250)
    try:
        assert pickle.loads(b"\x80\x02\x82\xfa)R.") == os.getcwd()  # the code is in the cache now
        with pytest.raises(Forbidden, match=r"os\.getcwd"):
            load_inert(io.BytesIO(b"\x80\x02\x82\xfa)R."), "x")
    finally:
        copyreg.remove_extension("os", "getcwd", 250)


REAL = (slice, set, frozenset, complex, collections.OrderedDict, datetime.datetime, datetime.date, datetime.timedelta)


@pytest.mark.parametrize("allowed", REAL)
def test_types_that_are_given_out_cannot_be_changed(allowed: type) -> None:
    for state in (b"}\x8c\x04evilK\x01s", b"N}\x8c\x04evilK\x01s\x86"):  # {evil: 1}, and (None, {evil: 1})
        with pytest.raises(InputError, match="damaged"):
            load_inert(io.BytesIO(b"\x80\x04" + _global(allowed.__module__, allowed.__name__) + state + b"b."), "x")
    assert not hasattr(allowed, "evil")


@pytest.mark.parametrize(
    "inert", [("pandas", "DataFrame"), ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")]
)
def test_no_library_is_touched(inert: tuple[str, str]) -> None:
    for state in (b"}\x8c\x04evilK\x01s", b"N}\x8c\x04evilK\x01s\x86"):
        with pytest.raises(InputError, match="damaged"):
            load_inert(io.BytesIO(b"\x80\x04" + _global(*inert) + state + b"b."), "x")
    assert not hasattr(pd.DataFrame, "evil")
    assert not hasattr(load_inert(io.BytesIO(b"\x80\x04" + _global(*inert) + b"."), "x"), "evil")


def test_arrays_that_lie_about_their_memory_are_damaged(tmp_path: Path) -> None:
    """Of NumPy and PyArrow themselves these would read memory that is not theirs."""
    data = pickle.dumps(pd.DataFrame({"a": pd.Series([1, 2, 3], dtype="int64")}), protocol=4)
    damaged = {
        "more values than bytes": data.replace(b"K\x01K\x03\x86", b"K\x01K\x7f\x86", 1),
        "bytes as objects": data.replace(b"\x8c\x02i8", b"\x8c\x02O8", 1),
        "another placement": data.replace(b"K\x00K\x01K\x01\x87", b"K\x09K\x0aK\x01\x87", 1),
    }
    for what, bytes_ in damaged.items():
        assert bytes_ != data, what
        (tmp_path / "f.pkl").write_bytes(bytes_)
        with pytest.raises(InputError, match=r"f\.pkl: the DataFrame in the pickle is damaged"):
            read_frame(str(tmp_path / "f.pkl"))
    text = pickle.dumps(pd.DataFrame({"a": pd.array(["ab", "cd"], dtype="str")}), protocol=4)
    ends = struct.pack("<3q", 0, 2, 4)
    assert ends in text
    (tmp_path / "f.pkl").write_bytes(text.replace(ends, struct.pack("<3q", 0, 2, 1 << 40)))
    with pytest.raises(InputError, match=r"f\.pkl: the DataFrame in the pickle is damaged"):
        read_frame(str(tmp_path / "f.pkl"))
