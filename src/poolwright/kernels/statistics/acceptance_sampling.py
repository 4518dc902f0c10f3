"""Exact sequential acceptance sampling: verify rows of a group until 'at least 99 % are right, with 95 % confidence'.

Rows of a group are verified in random order, without replacement. The group misses the target when it has `too_many`
errors or more; of all groups that miss it, the one with exactly that many is accepted most easily, so the chance of a
false acceptance is computed for that one.

Verifying may stop at certain numbers of verdicts only: after `stops[0]` without an error, else after `stops[1]` with
one, and so on. Half of the chance of error is spent at the first of them, a quarter at the second, and so on (alpha
spending after Lan and DeMets, Biometrika 70, 1983, over the stops rather than over time), and each stop is the smallest
number of verdicts that the share allows, computed with hypergeometric probabilities of all ways to get there. So
looking after every verdict does not increase the error. Without an error this asks for what a single look at level
0.025 asks for, by the limits of Clopper and Pearson for a finite population; a group that is never accepted is verified
in full, and then nothing is left to estimate.

The limit that goes with a stop is the largest number of errors at which stopping there or earlier has a chance of more
than 1 - confidence: the exact limit by stagewise ordering (Jennison and Turnbull, Group Sequential Methods, 2000, 8.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError

_MOST_STOPS = 40
"""Maximum number of stops. The chance of error left for later ones is below 1e-12."""
_LATER = 0.5  # share of the chance of error that is kept for the later stops
_ROUNDING = 1e-9  # error of the logarithms below; subtracted from the error that may be spent

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """Stopping rule for verifying a group.

    Attributes:
        rows: of the group.
        target: share of right rows, such as 0.99.
        confidence: such as 0.95.
        too_many: errors with which the group misses the target.
        stops: verdicts after which it may stop with 0, 1, 2, ... errors; ascending, perhaps none.
    """

    rows: int
    target: float
    confidence: float
    too_many: int
    stops: tuple[int, ...]


@dataclass(frozen=True)
class Judgement:
    """Conclusion from the verdicts on a group.

    Attributes:
        conclusion: 'met' if the target is met with the confidence, 'complete' if all rows were verified, 'open' if
            neither; 'enough' if as many right rows were found as are wanted.
        verified: verdicts it rests on: up to the stop, or all so far.
        errors: among these.
        bound: least share of right rows in the group, with the confidence. While it is open, the bound of a single
            look, which is valid only without earlier looks.
        left: verdicts until the next stop, if no more errors occur; 0 if it is not open.
    """

    conclusion: str
    verified: int
    errors: int
    bound: float
    left: int


@lru_cache(maxsize=4096)
def plan(rows: int, target: float, confidence: float = 0.95) -> Plan:
    """Compute the stops for a group.

    Args:
        rows: of the group.
        target: share of right rows wanted, above 0, below 1.
        confidence: above 0.5, below 1.

    Raises:
        InputError: a share is not within these limits.
    """
    if not 0 < target < 1 or not 0.5 < confidence < 1:
        raise InputError(
            f"a target must be between 0 and 1 and a confidence between 0.5 and 1, such as 0.99 and 0.95; "
            f"got {target} and {confidence}"
        )
    # The errors that are still allowed are rounded down, but 1 % of 300 is 3 whatever floating point says.
    too_many = math.floor(rows * (1.0 - target) + 1e-9) + 1
    stops = _stops(rows, too_many, 1.0 - confidence - _ROUNDING) if rows else ()
    return Plan(rows, target, confidence, too_many, stops)


def judge(plan: Plan, wrong: Sequence[bool] | npt.NDArray[np.bool_]) -> Judgement:
    """Judge a group by its verdicts, given in the order in which the rows were drawn.

    Args:
        plan: of the group.
        wrong: whether each verified row is wrong or could not be confirmed as right.

    Raises:
        InputError: there are more verdicts than rows.
    """
    flags = np.asarray(wrong, bool)
    if len(flags) > plan.rows:
        raise InputError(f"{len(flags)} verdicts on a group of {plan.rows} rows; count each row once")
    totals = np.concatenate([[0], np.cumsum(flags)])
    for errors, verified in enumerate(plan.stops):
        if verified < len(totals) and totals[verified] == errors:
            return Judgement("met", verified, errors, _bound_at(plan, errors), 0)
    verified, errors = len(flags), int(totals[-1])
    if verified == plan.rows:
        return Judgement("complete", verified, errors, 1.0 - errors / max(plan.rows, 1), 0)
    next_stop = plan.stops[errors] if errors < len(plan.stops) else plan.rows
    return Judgement(
        "open", verified, errors, single_bound(plan.rows, verified, errors, plan.confidence), next_stop - verified
    )


@lru_cache(maxsize=4096)
def single_bound(rows: int, verified: int, errors: int, confidence: float = 0.95) -> float:
    """Return the lower limit of the share of right rows from a single look (Clopper and Pearson, finite)."""
    low, high = errors, rows - verified + errors  # possible numbers of errors in all
    while low < high:
        middle = (low + high + 1) // 2
        few = sum(_hypergeometric(rows, middle, verified, np.arange(errors + 1)))
        low, high = (middle, high) if few > 1.0 - confidence else (low, middle - 1)
    return 1.0 - low / max(rows, 1)


def chances(plan: Plan, errors: int) -> tuple[float, float]:
    """Return the chance that a group with `errors` errors is accepted, and the mean number of verdicts."""
    stopped = _stopping(plan.rows, errors, plan.stops)
    accepted = float(sum(stopped))
    early = sum(share * stop for share, stop in zip(stopped, plan.stops, strict=True))
    return accepted, float(early + (1.0 - accepted) * plan.rows)


@lru_cache(maxsize=4096)
def _bound_at(plan: Plan, errors: int) -> float:
    low, high = errors, plan.too_many
    while low < high:
        middle = (low + high + 1) // 2
        likely = sum(_stopping(plan.rows, middle, plan.stops[: errors + 1])) > 1.0 - plan.confidence
        low, high = (middle, high) if likely else (low, middle - 1)
    return 1.0 - low / max(plan.rows, 1)


def _stops(rows: int, wrong: int, alpha: float) -> tuple[int, ...]:
    """Numbers of verdicts at which a group of `rows` with `wrong` errors is accepted with chance `alpha` at most."""
    chance, at, spent = _start(), 0, 0.0
    stops: list[int] = []
    for errors in range(min(_MOST_STOPS, wrong)):
        allowed = alpha * (1.0 - _LATER ** (errors + 1)) - spent
        draws = _draws_until(chance[errors], rows - at, wrong - errors, allowed)
        if at + draws >= rows:
            break
        chance = _drawn(chance, rows - at, wrong, draws)
        at += draws
        spent += float(chance[errors])
        chance[errors] = 0.0
        stops.append(at)
    return tuple(stops)


def _stopping(rows: int, wrong: int, stops: Sequence[int]) -> list[float]:
    """Chance to stop at each of the stops, in a group of `rows` with `wrong` errors."""
    chance, at, found = _start(), 0, []
    for errors, stop in enumerate(stops):
        chance = _drawn(chance, rows - at, wrong, stop - at)
        at = stop
        found.append(float(chance[errors]))
        chance[errors] = 0.0
    return found


def _start() -> Floats:
    """Chance of each number of errors found, before the first verdict."""
    return np.asarray(np.eye(1, _MOST_STOPS + 1)[0])


def _draws_until(chance: float, left: int, wrong: int, allowed: float) -> int:
    """Draws, one at least, until a draw of no further error is unlikely enough; `left` if it never is."""
    low, high = 1, left
    while low < high:
        middle = (low + high) // 2
        none = chance * float(_hypergeometric(left, wrong, middle, np.zeros(1, np.int64))[0])
        low, high = (low, middle) if none <= allowed else (middle + 1, high)
    return low


def _drawn(chance: Floats, left: int, wrong: int, draws: int) -> Floats:
    """Chance of each number of errors found after further draws from the rest. Higher numbers are discarded."""
    after = np.zeros_like(chance)
    for found in np.flatnonzero(chance):
        if found <= wrong:
            more = _hypergeometric(left, wrong - int(found), draws, np.arange(len(chance) - found))
            after[found:] += chance[found] * more
    return after


def _hypergeometric(rows: int, wrong: int, draws: int, found: npt.NDArray[np.int64]) -> Floats:
    """Chance of finding each number of errors among draws without replacement."""
    from scipy.special import gammaln

    possible = (found <= wrong) & (found <= draws) & (draws - found <= rows - wrong)
    x = np.where(possible, found, max(0, draws - rows + wrong))

    def choose(n: int, k: npt.NDArray[np.int64] | int) -> Floats:
        return np.asarray(gammaln(n + 1.0) - gammaln(np.asarray(k) + 1.0) - gammaln(n - np.asarray(k) + 1.0))

    logarithm = choose(wrong, x) + choose(rows - wrong, draws - x) - choose(rows, draws)
    return np.where(possible, np.exp(logarithm), 0.0)
