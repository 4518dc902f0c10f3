"""Read pickles of pandas DataFrames without building any object that a pickle asks for.

A pickle is a program: it names functions and calls them. Here a name of pandas, NumPy or PyArrow that a DataFrame
needs stands for an `Inert`, which only keeps what it is given; `pandas_frame` makes columns from these, with checks.
A few immutable types of the standard library are allowed as well. Any other name stops the reading before
anything is called. So pandas is not needed, its version does not matter, and no function of a library is ever called
with values from a file.
"""

from __future__ import annotations

import collections
import copyreg
import datetime
import pickle
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from poolwright.core.errors import InputError
from poolwright.pools.readers.paths import Unreadable, first_line, raise_if_unreachable


class Inert:
    """Stand-in for an object of a library in a pickle. Each pickle has its own subclasses.

    Attributes:
        kind: what the global stands for, a value of `_KINDS`.
        name: the global, for errors.
        arguments: what it was called with.
        state: the state that the object was to restore.
    """

    __slots__ = ("arguments", "state")
    kind = ""
    name = ""
    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> Any:
        self = object.__new__(cls)
        self.arguments, self.state = arguments, None
        return self

    # Also keeps a pickle from setting attributes of the class: called on a class, this lacks an argument.
    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Latin1(Inert):
    """`codecs.encode`, as pickles of protocols 0 to 2 spell bytes."""

    __slots__ = ()

    def __new__(cls, text: str, encoding: str) -> Any:
        if type(text) is not str or encoding != "latin1":
            raise ValueError("text in another encoding than latin1")
        return text.encode("latin1")


class _Bytes(Inert):
    """`bytes` and `bytearray`, from bytes only: with a number they would allocate that much memory."""

    __slots__ = ()

    def __new__(cls, *arguments: Any) -> Any:
        if len(arguments) > 1 or not all(type(data) is bytes for data in arguments):
            raise ValueError("bytes of something else than bytes")
        return b"".join(arguments)


class _Partial(Inert):
    """`functools.partial`, in which pandas 1.3 wraps what makes a block; it wraps nothing else here."""

    __slots__ = ()

    def __call__(self, *arguments: Any) -> Any:
        function = self.arguments[0]
        if not (isinstance(function, type) and issubclass(function, Inert) and function.kind == "block"):
            raise ValueError("functools.partial of something else than a block")
        return function(*arguments)


def _globals() -> Iterator[tuple[str, str, str]]:
    """Yield module, name and kind of every global that becomes an `Inert`."""
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        yield module, "_reconstruct", "array"
        yield module, "scalar", "scalar"
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        yield module, "_frombuffer", "buffer_array"
    yield "numpy", "ndarray", "class"
    yield "numpy", "dtype", "dtype"
    for module in ("copyreg", "copy_reg"):
        yield module, "_reconstructor", "reconstructor"
    for module in ("builtins", "__builtin__"):
        yield module, "object", "class"
    yield "pyarrow.lib", "_restore_array", "arrow"
    yield "pyarrow.lib", "chunked_array", "arrow_chunks"
    yield "pyarrow.lib", "type_for_alias", "arrow_type"
    yield "pyarrow.lib", "py_buffer", "arrow_buffer"
    yield "pytz", "_UTC", "utc"
    yield "functools", "partial", "partial"
    yield from _pandas_globals()


def _pandas_globals() -> Iterator[tuple[str, str, str]]:
    for module in ("pandas", "pandas.core.frame"):
        yield module, "DataFrame", "frame"
    yield "pandas.core.internals.managers", "BlockManager", "manager"
    yield "pandas.core.internals", "BlockManager", "manager"
    yield "pandas._libs.internals", "_unpickle_block", "block"
    yield "pandas.core.internals.blocks", "new_block", "block"
    yield "pandas.core.indexes.base", "_new_Index", "index"
    yield "pandas.core.indexes.datetimes", "_new_DatetimeIndex", "index"
    for module, names in _INDEXES.items():
        for name in names:
            yield module, name, "class"
    for kind, names in _ARRAYS.items():
        for name in names:
            yield "pandas.arrays", name, kind
    yield "pandas", "Categorical", "categorical"
    for module, name in _OLD_ARRAYS.items():
        yield module, name, next(kind for kind, names in _ARRAYS.items() if name in names)
    for name in ("IntegerArray", "FloatingArray", "BooleanArray"):
        for module in ("integer", "floating", "boolean"):
            yield f"pandas.core.arrays.{module}", name, "masked"
    yield "pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked", "backed"
    for module in ("pandas", *_DTYPE_MODULES):
        for name in _DTYPES:
            yield module, name, "categories" if name == "CategoricalDtype" else "pandas_dtype"
    yield "pandas", "NA", "missing"
    yield "pandas._libs.missing", "NA", "missing"
    yield "pandas._libs.missing", "C_NAType", "missing"
    yield "pandas._libs.tslibs.nattype", "_nat_unpickle", "missing"
    yield "pandas._libs.tslibs.nattype", "__nat_unpickle", "missing"
    yield "pandas._libs.tslibs.timestamps", "_unpickle_timestamp", "timestamp"


_INDEXES = {
    "pandas": ("Index", "RangeIndex", "MultiIndex", "CategoricalIndex", "DatetimeIndex"),
    "pandas.core.indexes.base": ("Index",),
    "pandas.core.indexes.range": ("RangeIndex",),
    "pandas.core.indexes.multi": ("MultiIndex",),
    "pandas.core.indexes.category": ("CategoricalIndex",),
    "pandas.core.indexes.datetimes": ("DatetimeIndex",),
    "pandas.core.indexes.numeric": ("Int64Index", "UInt64Index", "Float64Index"),
}
_ARRAYS = {
    "categorical": ("Categorical",),
    "times": ("DatetimeArray",),
    "strings": ("StringArray", "NumpyExtensionArray", "PandasArray"),
    "arrow_strings": ("ArrowStringArray", "ArrowStringArrayNumpySemantics", "ArrowExtensionArray"),
    "masked": ("IntegerArray", "FloatingArray", "BooleanArray"),
}
_OLD_ARRAYS = {
    "pandas.core.arrays.categorical": "Categorical",
    "pandas.core.arrays.datetimes": "DatetimeArray",
    "pandas.core.arrays.string_": "StringArray",
    "pandas.core.arrays.numpy_": "PandasArray",
    "pandas.core.arrays.string_arrow": "ArrowStringArray",
    "pandas.core.arrays.arrow.array": "ArrowExtensionArray",
}
_DTYPES = (
    "CategoricalDtype", "DatetimeTZDtype", "StringDtype", "BooleanDtype", "ArrowDtype",
    "Int8Dtype", "Int16Dtype", "Int32Dtype", "Int64Dtype", "UInt8Dtype", "UInt16Dtype", "UInt32Dtype", "UInt64Dtype",
    "Float32Dtype", "Float64Dtype", "NumpyEADtype", "PandasDtype",
)  # fmt: skip
_DTYPE_MODULES = (
    "pandas.core.dtypes.dtypes", "pandas.core.arrays.string_", "pandas.core.arrays.boolean",
    "pandas.core.arrays.integer", "pandas.core.arrays.floating", "pandas.core.arrays.arrow.dtype",
)  # fmt: skip

_KINDS = {(module, name): kind for module, name, kind in _globals()}

_REAL: dict[str, dict[str, type]] = {
    "builtins": {"slice": slice, "set": set, "frozenset": frozenset, "complex": complex},
    "collections": {"OrderedDict": collections.OrderedDict},
    "datetime": {
        name: getattr(datetime, name) for name in ("datetime", "date", "time", "timedelta", "timezone")
    },
}  # fmt: skip
_REAL["__builtin__"] = _REAL["builtins"]
"""Types that are used as they are: none can be changed, and none does more than keep values."""

_CALLED: dict[tuple[str, str], type[Inert]] = {
    ("_codecs", "encode"): _Latin1,
    ("functools", "partial"): _Partial,
    **{(module, name): _Bytes for module in ("builtins", "__builtin__") for name in ("bytes", "bytearray")},
}


class Forbidden(InputError):
    """A pickle names something that no DataFrame needs."""


class _Unpickler(pickle.Unpickler):
    """Refuses every global except those that a DataFrame needs, and returns stand-ins for these."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        super().__init__(file)
        self._path = path
        self._made: dict[tuple[str, str], type] = {}

    def find_class(self, module: str, name: str) -> type:
        key = (module, name)
        if key not in self._made:
            self._made[key] = self._make(module, name)
        return self._made[key]

    def _make(self, module: str, name: str) -> type:
        if name in _REAL.get(module, {}):
            return _REAL[module][name]
        key = (module, name)
        if key not in _KINDS and key not in _CALLED:
            self._refuse(f"{module}.{name}")
        base = _CALLED.get(key, Inert)
        return type(name, (base,), {"__slots__": (), "kind": _KINDS.get(key, ""), "name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> NoReturn:
        self._refuse("an object outside the file (a persistent id)")

    def _refuse(self, what: str) -> NoReturn:
        raise Forbidden(
            f"{self._path}: the pickle asks for {what}, which a DataFrame of plain columns does not need. A pickle "
            "can run any program, so nothing of it was run and reading stopped there. If you trust the file, read it "
            "with pandas and write it again as Parquet: pandas.read_pickle(...).to_parquet(...); else delete it"
        )


def load_inert(file: BinaryIO, path: str) -> Any:
    """Load the content of a pickle as `Inert` objects and plain values.

    Args:
        file: the open pickle.
        path: its path, for errors.

    Raises:
        Forbidden: it names something that a DataFrame does not need.
        Unreadable: it is damaged, or not a pickle.
        InputError: the file system fails.
    """
    # A code of the extension registry that this process has already used would bypass `find_class`.
    copyreg.clear_extension_cache()
    try:
        return _Unpickler(file, path).load()
    except Forbidden:
        raise
    except MemoryError:
        raise Unreadable(path, "is no pickle, or damaged: it asks for more memory than is available") from None
    except Exception as error:  # a damaged pickle makes any operation fail, with any error
        raise_if_unreachable(error, path)
        raise Unreadable(path, f"is no pickle, or damaged: {first_line(error)}") from None
