"""Compute the sizes of splits from shares or numbers of rows, one of them possibly 'rest'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from poolwright.core.errors import StepError
from poolwright.core.params import exact
from poolwright.kernels.selection.controlled_rounding import controlled_rounding
from poolwright.kernels.selection.ranks import ALL

REST = "rest"


@dataclass(frozen=True)
class Sizes:
    """Sizes that a split step asks for.

    Attributes:
        names: the splits, in order.
        shares: share of each, exactly; None if rows are counted.
        rows: rows of each, None for the rest; () if shares are given.
    """

    names: tuple[str, ...]
    shares: tuple[Fraction, ...] | None
    rows: tuple[int | None, ...]
    rests: int

    @classmethod
    def of(cls, ratios: Mapping[str, float | str] | None, counts: Mapping[str, int | str] | None) -> Sizes:
        """Return the sizes of a step's `ratios` or `counts`.

        Raises:
            ValueError: none or both are given.
        """
        if (ratios is None) == (counts is None):
            raise ValueError("give the sizes of the splits as ratios or as counts")
        # By name: the order in which a recipe lists the splits does not matter.
        if counts is not None:
            names = tuple(sorted(counts))
            rows = tuple(None if counts[name] == REST else int(counts[name]) for name in names)
            return cls(names, None, rows, rows.count(None))
        shares = ratios or {}
        names = tuple(sorted(shares))
        given = [None if shares[name] == REST else exact(float(shares[name])) for name in names]
        left = 1 - sum((share for share in given if share is not None), Fraction(0))
        return cls(names, tuple(left if share is None else share for share in given), (), given.count(None))

    def check(self) -> None:
        """Raise ValueError if the sizes are inconsistent."""
        if not self.names or "" in self.names:
            raise ValueError("name at least one split")
        if self.rests > 1:
            raise ValueError("only one split can be the rest")
        if self.shares is None:
            return
        whole = sum(self.shares, Fraction(0))
        if min(self.shares) < 0 or abs(whole - 1) > Fraction(1, 10**9):
            stated = whole - min(self.shares) if min(self.shares) < 0 else whole
            raise ValueError(f"the ratios sum to {float(stated):g}, not 1; give one of them as 'rest'")

    def in_strata(self, counts: np.ndarray, order: np.ndarray) -> np.ndarray:
        """Return the rows of every split in every stratum, by controlled rounding.

        Args:
            counts: int64 (k,) rows of the strata.
            order: int64 (k,), the strata in the order in which remainders are carried over.

        Returns:
            int64 (m, k). Every size is within a row of its quota, in each stratum and in total; counts are exact in
            total.

        Raises:
            StepError: more rows are asked for than there are.
        """
        return controlled_rounding(counts, self.shares_of(int(counts.sum())), order)[: len(self.names)]

    def shares_of(self, there: int) -> Sequence[Fraction]:
        """Return the shares that so many rows are divided in: of the splits, and of rows in none if there are any.

        Raises:
            StepError: more rows are asked for than there are.
        """
        if self.shares is not None:
            return self.shares
        self._check_enough(there)
        left = max(there - sum(size or 0 for size in self.rows), 0)
        shares = [Fraction(left if size is None else size) for size in self.rows]
        return shares if None in self.rows else [*shares, Fraction(left)]

    def _check_enough(self, there: int) -> None:
        asked = sum(size for size in self.rows if size is not None)
        if there and asked > there:
            raise StepError(
                f"split: the counts ask for {asked:,} rows, but there are {there:,}; ask for fewer, or use ratios"
            )

    def nominal(self) -> np.ndarray:
        """Return the greatest hash ranks of the splits, int64 (m,), for rows of a stratum or group unseen at the fit.

        Shares split the range of ranks; of counts only the rest can take such a row.
        """
        if self.shares is None:
            rest = self.rows.index(None) if None in self.rows else len(self.rows)
            return np.array([ALL if split >= rest else -1 for split in range(len(self.rows))], dtype=np.int64)
        ends = [sum(self.shares[: split + 1], Fraction(0)) for split in range(len(self.shares))]
        return np.array([min(int(end * 2**63), ALL) for end in ends], dtype=np.int64)
