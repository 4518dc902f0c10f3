"""Make columns of a pickled DataFrame from what `pandas_pickle` read.

pandas keeps columns of one type together in a block: a matrix with a row for each column. The representation of
blocks, indexes and arrays in a pickle changed with pandas 1.3, 1.5, 2.0 and 3.0; all of these are read.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from poolwright.pools.readers.pandas_pickle import Inert, load_inert
from poolwright.pools.readers.paths import Unreadable, first_line
from poolwright.pools.readers.pickle_files import open_pickle

Values: TypeAlias = "list[Any] | np.ndarray | pa.Array"
"""A column: a list if pandas has Python objects, which may hold `Inert` objects (see `plain`)."""

_CODE = re.compile(r"[biufcSUmMO]\d{0,9}")
_UNITS = ("s", "ms", "us", "ns")
_NAT = -(1 << 63)
_ARROW = ("string", "large_string", "utf8", "bool", "int8", "int16", "int32", "int64", "float", "double")


@dataclass
class PandasFrame:
    """The content of a DataFrame.

    Attributes:
        columns: values (n,) by name.
        index: names and values of the row index, if it has a name.
        rows: number of rows.
    """

    columns: dict[str, Values]
    index: dict[str, Values]
    rows: int


def read_frame(path: str) -> PandasFrame:
    """Read the DataFrame in a pickle, which may be packed; see `pickle_files`.

    Raises:
        Forbidden: the pickle names something that a DataFrame does not need.
        Unreadable: it is damaged, holds something else, or has a column of an unknown type.
        InputError: the file cannot be opened.
    """
    with open_pickle(path) as file:
        loaded = load_inert(file, path)
    if _kind(loaded) != "frame":
        held = loaded.name if isinstance(loaded, Inert) else type(loaded).__name__
        raise Unreadable(path, f"the pickle holds {held or 'something else'}, not a pandas DataFrame")
    try:
        return _frame(loaded)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, pa.ArrowException) as error:
        raise Unreadable(
            path, f"the DataFrame in the pickle is damaged, or of a kind not known: {first_line(error)}"
        ) from None


def _kind(value: Any) -> str:
    """Return the kind of an object; '' if it is not an `Inert`."""
    if not isinstance(value, Inert):
        return ""
    if value.kind == "reconstructor":  # protocols 0 and 1
        return str(getattr(value.arguments[0], "kind", ""))
    return value.kind


def _frame(loaded: Inert) -> PandasFrame:
    state = loaded.state
    manager = state["_mgr"] if "_mgr" in state else state["_data"]
    if _kind(manager) != "manager":
        raise ValueError("no block manager")
    axes, blocks = _parts(manager)
    names = [_name(value) for value in _sequence(_index_values(axes[0]))]
    if len(set(names)) < len(names):
        raise ValueError("two columns have one name")
    rows, index = _row_index(axes[1])
    found: dict[int, Values] = {}
    for values, positions in blocks:
        for position, column in zip(_positions(positions, len(names)), _columns(values), strict=True):
            if len(column) != rows or not 0 <= position < len(names):
                raise ValueError(f"a block does not fit {len(names)} columns of {rows} rows")
            found[position] = column
    return PandasFrame({name: found[position] for position, name in enumerate(names)}, index, rows)


def _parts(manager: Inert) -> tuple[Sequence[Any], list[tuple[Any, Any]]]:
    """Return the axes, and the values and positions of each block."""
    if manager.arguments and manager.kind == "manager":
        blocks, axes = manager.arguments[:2]
        return axes, [block.arguments[:2] for block in blocks]
    # Before pandas 1.3.
    state = manager.state[3]["0.14.1"]
    return state["axes"], [(block["values"], block["mgr_locs"]) for block in state["blocks"]]


def _name(value: Any) -> str:
    if not isinstance(value, str | int):
        raise ValueError("a column's name is neither text nor a number")
    return str(value)


def _positions(positions: Any, count: int) -> Sequence[int]:
    if isinstance(positions, slice):
        return range(*positions.indices(count))
    return [int(position) for position in _sequence(_flat(positions))]


def _row_index(index: Any) -> tuple[int, dict[str, Values]]:
    """Return the length of the row index, and its values if it has one level with a name."""
    kind, given = index.arguments[0].__name__, index.arguments[1]
    if kind == "RangeIndex":
        numbers = np.arange(given["start"], given["stop"], given["step"])
        return len(numbers), _named(given, numbers)
    if kind == "MultiIndex":
        return len(_flat(given["codes"][0])), {}
    if _kind(index) != "index":
        raise ValueError("an index of rows that is none")
    values = _index_values(index)
    return len(values), _named(given, values)


def _named(given: dict[str, Any], values: Values) -> dict[str, Values]:
    return {given["name"]: values} if isinstance(given.get("name"), str) else {}


def _index_values(index: Any) -> Values:
    if _kind(index) != "index" or "data" not in index.arguments[1]:
        raise ValueError("names of columns in several levels")
    return _columns(index.arguments[1]["data"])[0]


def _sequence(values: Values) -> list[Any]:
    return values if isinstance(values, list) else list(values.tolist())


def _flat(values: Any) -> Values:
    columns = _columns(values)
    if len(columns) != 1:
        raise ValueError("a matrix where a column is expected")
    return columns[0]


def _columns(values: Any) -> list[Values]:
    """Return the columns in an array: a matrix has one in each row."""
    kind = _kind(values)
    if kind in ("array", "buffer_array"):
        return _rows_of(*_array(values))
    if kind == "index":  # categories, and values of a CategoricalIndex
        return [_index_values(values)]
    if kind in ("arrow", "arrow_chunks"):
        return [_arrow(values)]
    if kind == "backed":
        kind = getattr(values.arguments[0], "kind", "")
        values.state = values.state if values.state is not None else values.arguments[2]
    make = _MAKERS.get(kind)
    if make is None:
        raise ValueError(f"an array of {values.name if isinstance(values, Inert) else type(values).__name__}")
    return make(values.state)


def _array(values: Inert) -> tuple[tuple[int, ...], Values, bool]:
    """Return shape, flat values and whether they are in Fortran order."""
    if values.kind == "buffer_array":
        data, dtype, shape, order = values.arguments
        fortran = order == "F"
    else:
        _, shape, dtype, fortran, data = values.state
    kind = _dtype(dtype)
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("an array of a shape that is none")
    count = math.prod(shape)
    if kind.hasobject:
        flat: Values = data if type(data) is list else list(data)
    else:
        flat = np.frombuffer(data, kind) if count else np.empty(0, kind)
    if len(flat) != count:
        raise ValueError(f"an array of {len(flat)} values where its shape says {count}")
    return tuple(shape), flat, bool(fortran)


def _rows_of(shape: tuple[int, ...], flat: Values, fortran: bool) -> list[Values]:
    if len(shape) == 1:
        return [flat[:]]
    if len(shape) != 2:
        raise ValueError(f"an array of {len(shape)} dimensions")
    height, width = shape
    if fortran:
        return [flat[row::height] if height else flat for row in range(height)]
    return [flat[row * width : (row + 1) * width] for row in range(height)]


def _dtype(given: Any) -> np.dtype[Any]:
    """Return a plain NumPy type; made anew, so that nothing else in the pickle about it counts."""
    if _kind(given) != "dtype" or not _CODE.fullmatch(given.arguments[0]):
        raise ValueError("an array of structured values")
    code, state = given.arguments[0], given.state
    order = "" if state is None or state[1] == "|" else state[1]
    if code[0] in "mM":
        unit, number, *_ = state[8][1]
        code += f"[{int(number)}{unit.decode()}]"
    return np.dtype(str(order + code))


def _backed(state: Any) -> tuple[Any, Any]:
    """Return array and type of an extension array that keeps its values in a NumPy array."""
    if isinstance(state, dict):
        array = next(state[key] for key in ("_ndarray", "_codes", "_data") if key in state)
        return array, state.get("_dtype")
    if len(state) == 1:
        return _backed(state[0])
    first, second = state[:2]
    return (first, second) if _kind(first) in ("array", "buffer_array") else (second, first)


def _categorical(state: Any) -> list[Values]:
    codes, dtype = _backed(state)
    known = _sequence(_columns(dtype.state["categories"])[0])
    return [[known[code] if code >= 0 else None for code in _sequence(_flat(codes))]]


def _times(state: Any) -> list[Values]:
    array, dtype = _backed(state)
    found: list[Values] = []
    for column in _columns(array):
        times = pa.array(column)
        zoned = _kind(dtype) == "pandas_dtype"  # values with a zone are kept in UTC
        found.append(times.cast(pa.timestamp(times.type.unit, "UTC")) if zoned else times)
    return found


def _masked(state: Any) -> list[Values]:
    return [pa.array(_flat(state["_data"]), mask=_flat(state["_mask"]))]


def _arrow_backed(state: Any) -> list[Values]:
    return [_arrow(state["_pa_array"] if "_pa_array" in state else state["_data"])]


_MAKERS = {
    "categorical": _categorical,
    "times": _times,
    "strings": lambda state: _columns(_backed(state)[0]),
    "masked": _masked,
    "arrow_strings": _arrow_backed,
}


def _arrow(given: Any) -> pa.Array:
    if _kind(given) == "arrow_chunks":
        return pa.concat_arrays([_arrow(chunk) for chunk in given.arguments[0]])
    kind, length, nulls, offset, buffers, children = given.arguments[0][:6]
    if _kind(kind) != "arrow_type" or kind.arguments[0] not in _ARROW or children or min(length, offset) < 0:
        raise ValueError("an Arrow array of a type that is not known")
    held = [None if buffer is None else pa.py_buffer(bytes(buffer.arguments[0])) for buffer in buffers]
    array = pa.Array.from_buffers(pa.type_for_alias(kind.arguments[0]), length, held, nulls, offset)
    array.validate(full=True)  # offsets may point anywhere
    return array


def plain(value: Any) -> Any:
    """Convert a value of a list column to plain Python: NumPy arrays and sets become lists, missing values None."""
    if isinstance(value, type) and issubclass(value, Inert):
        return None  # pandas.NA
    if isinstance(value, Inert):
        return _plain_inert(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return [plain(item) for item in sorted(value, key=repr)]
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _plain_inert(value: Inert) -> Any:
    if value.kind in ("array", "buffer_array"):
        shape, flat, _ = _array(value)
        return [plain(item) for item in _sequence(flat)] if len(shape) == 1 else None
    if value.kind == "scalar":
        return plain(_scalar(*value.arguments))
    if value.kind == "timestamp":
        return _timestamp(*value.arguments)
    return None


def _scalar(dtype: Any, data: Any) -> Any:
    kind = _dtype(dtype)
    return data if kind.hasobject else np.frombuffer(data, kind)[0].item()


def _timestamp(value: int, _freq: Any, zone: Any, resolution: int = 10) -> Any:
    if value == _NAT:
        return None
    time = pa.scalar(value, pa.timestamp(_UNITS[resolution - 7])).cast(pa.timestamp("us"), safe=False).as_py()
    return time if zone is None else time.replace(tzinfo=datetime.UTC)


def chunks_of(values: Values, rows: int) -> Iterator[Values]:
    """Yield a column in pieces of `rows`, at least one; values of a list are released piece by piece."""
    for start in range(0, max(len(values), 1), rows):
        chunk = values[start : start + rows]
        if isinstance(values, list):
            values[start : start + rows] = [None] * len(chunk)
        yield chunk
