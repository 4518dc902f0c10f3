"""Count columns batch by batch in bounded memory. Neither the order nor the size of the batches matters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SHIFT = 14
_CELLS = 1 << (32 - _SHIFT)
_COMPACT = 500_000


class ValueTally:
    """Rows of every value of a text or boolean column.

    Args:
        most: largest number of distinct values; with more, `overflowed` is set and the counts are dropped.
    """

    def __init__(self, most: int) -> None:
        self.most, self.rows, self.nulls, self.overflowed = most, 0, 0, False
        self._pending: list[pa.Table] = []
        self._waiting = 0

    def add(self, column: pa.Array) -> None:
        if self.overflowed:
            return
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        self.rows += len(column)
        self.nulls += column.null_count
        counts = pc.value_counts(column.drop_null())
        values = counts.field("values").cast(pa.large_string())
        self._pending.append(pa.table({"value": values, "rows": counts.field("counts")}))
        self._waiting += len(counts)
        if self._waiting > max(_COMPACT, 2 * self.most):
            self._compact()

    def _compact(self) -> pa.Table:
        table = pa.concat_tables(self._pending) if self._pending else pa.table({"value": [], "rows": []})
        if len(self._pending) > 1:
            table = table.group_by("value").aggregate([("rows", "sum")]).rename_columns({"rows_sum": "rows"})
        self._waiting = table.num_rows
        self._pending = [table]
        if table.num_rows > self.most:
            self.overflowed, self._pending = True, []
        return table

    def counts(self) -> list[tuple[str, int]]:
        """Return (value, rows), most rows first, then by value; empty if there were too many values."""
        table = self._compact()
        if self.overflowed:
            return []
        pairs = zip(table.column("value").to_pylist(), table.column("rows").to_pylist(), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


@dataclass(frozen=True)
class Bins:
    """Equal bins from `low`, each `width` wide. `whole` bins hold one integer each."""

    low: float
    width: float
    number: int
    whole: bool = False

    @property
    def high(self) -> float:
        """Upper edge of the last bin."""
        return self.low + self.width * self.number

    def edge(self, index: int) -> float:
        """Return the lower edge of a bin."""
        return self.low + self.width * index


@dataclass
class NumberTally:
    """Range and quantiles of a numeric column, from a histogram over the bits of float32.

    A quantile is within 1/512 of its value; the lowest and highest value are exact.
    """

    rows: int = 0
    missing: int = 0
    infinite: int = 0
    low: float = np.inf
    high: float = -np.inf
    cells: np.ndarray = field(default_factory=lambda: np.zeros(_CELLS, np.int64))

    def add(self, values: np.ndarray) -> None:
        """Count values, float64 (n,), NaN for null."""
        self.rows += len(values)
        missing, infinite = int(np.isnan(values).sum()), int(np.isinf(values).sum())
        self.missing += missing
        self.infinite += infinite
        if missing or infinite:
            values = values[np.isfinite(values)]
        if not len(values):
            return
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        limit = np.finfo(np.float32).max
        bits = (np.clip(values, -limit, limit).astype(np.float32) + np.float32(0)).view(np.uint32)
        order = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
        self.cells += np.bincount(order >> _SHIFT, minlength=_CELLS)

    @property
    def finite(self) -> int:
        """Number of finite values."""
        return self.rows - self.missing - self.infinite

    def quantile(self, share: float) -> float:
        """Return the value that `share` (0 to 1) of the finite values do not exceed; NaN if there are none."""
        if not self.finite:
            return float("nan")
        cell = int(np.searchsorted(np.cumsum(self.cells), max(1, share * self.finite)))
        order = (cell << _SHIFT) + (1 << (_SHIFT - 1))
        bits = order & 0x7FFFFFFF if order >> 31 else ~order & 0xFFFFFFFF
        value = float(np.array([bits], np.uint32).view(np.float32)[0])
        return min(max(value, self.low), self.high)


class BinnedCounts:
    """Rows in each bin, below and above the bins. The last bin includes its upper edge."""

    def __init__(self, bins: Bins) -> None:
        self.bins = bins
        self._counts = np.zeros(bins.number + 2, np.int64)

    def add(self, values: np.ndarray) -> None:
        """Count values, float64 (n,); NaN and infinite values are left out."""
        bins = self.bins
        values = values[np.isfinite(values)]
        indices = np.clip(np.floor((values - bins.low) / bins.width), -1, bins.number)
        indices[values == bins.high] = bins.number - 1
        self._counts += np.bincount(indices.astype(np.int64) + 1, minlength=bins.number + 2)

    @property
    def counts(self) -> list[int]:
        return [int(count) for count in self._counts[1:-1]]

    @property
    def below(self) -> int:
        return int(self._counts[0])

    @property
    def above(self) -> int:
        return int(self._counts[-1])


class MonthTally:
    """Rows of every month of a column of times or dates, in UTC."""

    def __init__(self) -> None:
        self.rows, self.nulls = 0, 0
        self._months: dict[int, int] = {}

    def add(self, column: pa.Array) -> None:
        self.rows += len(column)
        self.nulls += column.null_count
        times = column.drop_null()
        if pa.types.is_date(times.type):
            times = times.cast(pa.timestamp("s"))
        ticks = times.cast(pa.int64()).to_numpy()
        months = ticks.astype(f"datetime64[{times.type.unit}]").astype("datetime64[M]").astype(np.int64)
        for month, count in zip(*np.unique(months, return_counts=True), strict=True):
            self._months[int(month)] = self._months.get(int(month), 0) + int(count)

    def counts(self) -> list[tuple[int, int]]:
        """Return (months since January 1970, rows), in order."""
        return sorted(self._months.items())


class PairTally:
    """Rows of every pair of chosen values of two columns."""

    def __init__(self, down: list[str], across: list[str]) -> None:
        self.down, self.across = down, across
        self._down, self._across = (pa.array(values, pa.large_string()) for values in (down, across))
        self._counts = np.zeros(len(down) * len(across), np.int64)

    def add(self, down: pa.Array, across: pa.Array) -> None:
        one, other = _indices(down, self._down), _indices(across, self._across)
        both = (one >= 0) & (other >= 0)
        cells = one[both] * len(self.across) + other[both]
        self._counts += np.bincount(cells, minlength=len(self._counts))

    @property
    def counts(self) -> list[list[int]]:
        """Rows as [down][across]."""
        return [[int(count) for count in row] for row in self._counts.reshape(len(self.down), len(self.across))]


class CoordinateTally:
    """Rows in cells of latitude and longitude, `degrees` wide; invalid coordinates are left out."""

    def __init__(self, degrees: int) -> None:
        self.degrees, self.rows = degrees, 0
        self.cells = np.zeros((180 // degrees, 360 // degrees), np.int64)

    def add(self, latitude: np.ndarray, longitude: np.ndarray) -> None:
        good = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180)
        height, width = self.cells.shape
        down = np.minimum((90 - latitude[good]) // self.degrees, height - 1).astype(np.int64)
        across = np.minimum((longitude[good] + 180) // self.degrees, width - 1).astype(np.int64)
        self.rows += int(good.sum())
        self.cells += np.bincount(down * width + across, minlength=height * width).reshape(height, width)


def floats(column: pa.Array) -> np.ndarray:
    """Return a numeric column as float64 (n,), NaN for null. Integers beyond 2^53 are rounded."""
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _indices(column: pa.Array, values: pa.Array) -> np.ndarray:
    """Return the index of each value in `values`, int64 (n,); -1 if it is not among them."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    found = pc.index_in(column.cast(pa.large_string()), value_set=values)
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False)).astype(np.int64)
