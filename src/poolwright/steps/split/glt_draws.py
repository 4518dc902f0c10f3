"""Compute how many rows of every class and attribute go into each set of the two GLT protocols, in drawing order.

After the generation script of ImageNet-GLT (Tang et al., "Invariant Feature Learning for Generalized Long-Tailed
Classification", arXiv 2207.09504; _ImageNetGeneration/imagenet_glt_generation.py). In both protocols Test-GBL is drawn
first and Test-CBL second, from the same rows in the same order, so they are the same sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import StepError
from poolwright.core.wording import counted
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.apportion import apportion

LARGEST_IMAGENET_CLASS = 1_300
_SIGMAS = 4.0

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SetSizes:
    """Sizes that a step asks for.

    Attributes:
        ratio: of the attributes within a class, such as 7, 2, 1.
        sizes: of the classes in the long-tailed rest, the largest first.
        balanced: of each class in the class-balanced rest.
        test_bbl: rows of each class and attribute; smallest: most share of the class's smallest attribute.
        test_bl, test_lt, val: rows per class; on average for test_lt and the long-tailed val.
        hint: further advice for errors.
    """

    ratio: tuple[int, ...]
    sizes: Counts
    balanced: int
    test_bbl: int
    smallest: Fraction
    test_bl: int
    test_lt: int
    val: int
    hint: str = ""

    def scaled(self, factor: Fraction) -> SetSizes:
        """Return every number of rows times the factor, rounded half up, but so that no set and no class vanishes."""

        def times(number: int) -> int:
            scaled = factor * number + Fraction(1, 2)
            return max(scaled.numerator // scaled.denominator, min(number, 1))

        # This many rows are needed for the ratio to give the largest attribute one.
        least = -(-sum(self.ratio) // max(self.ratio))
        sizes = [max(times(int(size)), min(int(size), least)) for size in self.sizes]
        return replace(
            self,
            sizes=np.array(sizes, np.int64),
            balanced=max(times(self.balanced), min(self.balanced, least)),
            test_bbl=times(self.test_bbl),
            test_bl=times(self.test_bl),
            test_lt=times(self.test_lt),
            val=times(self.val),
        )

    def by_attribute(self, number: int) -> Counts:
        """Return this many rows in the ratio, by largest remainders: 60 as 42, 12, 6."""
        return np.array(apportion(number, [Fraction(part) for part in self.ratio]), np.int64)

    def rounded_down(self, numbers: Counts) -> Counts:
        """Return rows of classes (c,) in the ratio, each attribute rounded down, as the script does: (c, a)."""
        return numbers[:, None] * np.array(self.ratio, np.int64) // sum(self.ratio)


@dataclass(frozen=True)
class Draws:
    """Rows of every class and attribute in the sets that are drawn within each, int64 (c, a) all.

    Attributes:
        names: of the classes, in order of their numbers, the largest first.
        wanted: the sizes asked for.
        there: all rows.
        test_bbl, test_bl: of Test-GBL and Test-CBL.
        rest: of the long-tailed rest, from which Test-GLT, the val and the train of GLT come.
    """

    names: Sequence[str]
    wanted: SetSizes
    there: Counts
    test_bbl: Counts
    test_bl: Counts
    rest: Counts

    @property
    def tests(self) -> Counts:
        return self.test_bbl + self.test_bl


def draw(there: Counts, names: Sequence[str], wanted: SetSizes) -> Draws:
    """Make the first draws: the two balanced tests, and the long-tailed rest.

    Args:
        there: rows of every class and attribute, (c, a), the largest class first.
        names: of the classes, for errors.

    Raises:
        StepError: a class has fewer rows than asked for, or the rest is too small.
    """
    _check_attributes(there, names)
    most = there.min(axis=1) * wanted.smallest.numerator // wanted.smallest.denominator
    each = np.minimum(wanted.test_bbl, most)
    if wanted.test_bbl and (each == 0).any():
        number = int(np.argmax(each == 0))
        attribute = int(there[number].argmin())
        raise StepError(
            f"glt: Test-GBL takes of every attribute of a class at most {float(wanted.smallest):.0%} of the smallest; "
            f"that is less than one row in class '{names[number]}', whose attribute {attribute} has "
            f"{there[number, attribute]} rows; {_advice(each == 0, 'smallest', wanted)}"
        )
    test_bbl = np.repeat(each[:, None], there.shape[1], axis=1)
    test_bl = np.broadcast_to(wanted.by_attribute(wanted.test_bl), there.shape)
    _check("Test-CBL", test_bl, there - test_bbl, names, "test_bl", wanted)
    left = there - test_bbl - test_bl
    asked = wanted.rounded_down(wanted.sizes)
    rest = np.minimum(asked, left)
    _check_rest(rest, asked, names, wanted)
    return Draws(names, wanted, there, test_bbl, test_bl.copy(), rest)


def draw_balanced(draws: Draws, taken: Counts) -> tuple[Counts, Counts]:
    """Return the class-balanced rest and its val, (c, a) each; the rest includes the rows of the val.

    Args:
        taken: rows of Test-GLT, which are in neither.

    Raises:
        StepError: a class has too few rows for the val and a row to train on.
    """
    rest = np.minimum(_balanced(draws), draws.there - draws.tests - taken)
    val = np.broadcast_to(draws.wanted.by_attribute(draws.wanted.val), rest.shape)
    _check("the val of CBL", val, rest, draws.names, "val", draws.wanted)
    if len(rest) and (rest.sum(axis=1) == val.sum(axis=1)).any():
        number = int(np.argmax(rest.sum(axis=1) == val.sum(axis=1)))
        raise StepError(
            f"glt: class '{draws.names[number]}' has {in_rows(int(rest[number].sum()))} in the class-balanced rest, "
            "all for its val, and none to train on; ask for a smaller 'val' or a larger 'balanced'"
        )
    return rest, val.copy()


def find_scale(there: Counts, names: Sequence[str], wanted: SetSizes) -> Fraction:
    """Return the factor of `scale: auto`.

    The largest class over ImageNet's, at most 1; times the largest whole percentage at which nothing is refused and
    the class-balanced rest is, all but surely, cut in no class.

    Raises:
        StepError: no scale fits.
    """
    largest = int(there.sum(axis=1).max(initial=0))
    whole = min(Fraction(largest, LARGEST_IMAGENET_CLASS), Fraction(1))
    wrong = ""
    for percent in range(100, 0, -1):
        factor = whole * percent / 100
        try:
            if _is_whole(there, names, wanted.scaled(factor)):
                return factor
            wrong = "not every class has the rows of a class-balanced rest; drop the smallest classes"
        except StepError as error:
            wrong = str(error).removeprefix("glt: ")
    raise StepError(f"glt: `scale: auto` finds no scale that fits; at the smallest, {wrong}")


def _is_whole(there: Counts, names: Sequence[str], wanted: SetSizes) -> bool:
    draws = draw(there, names, wanted)
    share = wanted.test_lt * len(there) / max(int(draws.rest.sum()), 1)
    likely = draws.rest * share + _SIGMAS * np.sqrt(draws.rest * share * (1 - share)) + (draws.rest > 0)
    taken = np.minimum(np.ceil(likely).astype(np.int64), draws.rest)
    rest, _ = draw_balanced(draws, taken)
    return bool((rest == _balanced(draws)).all())


def _balanced(draws: Draws) -> Counts:
    """Return the rows that the class-balanced rest asks for."""
    return draws.wanted.rounded_down(np.minimum(draws.wanted.balanced, (draws.there - draws.tests).sum(axis=1)))


def _check_attributes(there: Counts, names: Sequence[str]) -> None:
    lacking = (there == 0).any(axis=1)
    if not lacking.any():
        return
    number = int(np.argmax(lacking))
    attribute = int(np.argmax(there[number] == 0))
    raise StepError(
        f"glt: class '{names[number]}' has no row of attribute {attribute}, and the ratio has {there.shape[1]} parts; "
        f"{_more(lacking)}give a ratio with fewer parts, cluster again, or drop such classes before"
    )


def _check(what: str, asked: Counts, left: Counts, names: Sequence[str], parameter: str, wanted: SetSizes) -> None:
    short = asked > left
    if not short.any():
        return
    number, attribute = (int(index) for index in np.argwhere(short)[0])
    raise StepError(
        f"glt: {what} asks for {in_rows(int(asked[number, attribute]))} of attribute {attribute} in class "
        f"'{names[number]}', and {left[number, attribute]:,} are left; "
        f"{_advice(np.asarray(short.any(axis=1)), parameter, wanted)}"
    )


def _check_rest(rest: Counts, asked: Counts, names: Sequence[str], wanted: SetSizes) -> None:
    empty = rest.sum(axis=1) == 0
    if empty.any():
        number = int(np.argmax(empty))
        why = f"a size of {wanted.sizes[number]}" if not asked[number].any() else "what the tests leave"
        raise StepError(
            f"glt: the long-tailed rest has no row of class '{names[number]}', number {number}, by {why}; "
            f"{_advice(empty, 'sizes', wanted)}"
        )
    drawn, there = (wanted.test_lt + wanted.val) * len(rest), int(rest.sum())
    if len(rest) and drawn >= there:
        raise StepError(
            f"glt: Test-GLT and the val of GLT take {wanted.test_lt} + {wanted.val} rows x {len(rest):,} classes = "
            f"{drawn:,}, and the long-tailed rest has {there:,}, so none is left to train on; ask for smaller "
            f"'test_lt' and 'val' or larger 'sizes'{wanted.hint}"
        )


def _advice(short: npt.NDArray[np.bool_], parameter: str, wanted: SetSizes) -> str:
    changed = "a larger" if parameter in ("smallest", "sizes") else "a smaller"
    return f"{_more(short)}ask for {changed} '{parameter}'{wanted.hint}, merge clusters, or drop such classes before"


def _more(short: npt.NDArray[np.bool_]) -> str:
    others = int(short.sum()) - 1
    return f"so it is in {counted(others, 'more class', 'more classes')}; " if others else ""
