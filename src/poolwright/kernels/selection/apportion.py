"""Apportion whole numbers in given proportions by largest remainders, in exact arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def apportion(total: int, weights: Sequence[Fraction]) -> list[int]:
    """Return whole numbers that sum to `total` and are as close to the weights' proportions as they can be.

    Each gets its quota rounded down; what is left goes, one each, to the largest remainders, the first of
    equal ones. (Hamilton's method.)
    """
    whole = sum(weights, Fraction(0))
    if not whole:
        return [0] * len(weights)
    quotas = [total * weight / whole for weight in weights]
    numbers = [quota.numerator // quota.denominator for quota in quotas]
    order = sorted(range(len(weights)), key=lambda index: (numbers[index] - quotas[index], index))
    for index in order[: total - sum(numbers)]:
        numbers[index] += 1
    return numbers


def largest_total(counts: Sequence[int], weights: Sequence[Fraction]) -> int:
    """Return the largest total that `apportion` divides into numbers of at most `counts`."""
    whole = sum(weights, Fraction(0))
    limits = [(count, whole / weight) for count, weight in zip(counts, weights, strict=True) if weight]
    if not limits:
        return 0
    # A quota rounded up stays within the counts up to `safe`; rounded down it exceeds them past `most`.
    safe = min((count * per_row).__floor__() for count, per_row in limits)
    most = min(((count + 1) * per_row).__ceil__() - 1 for count, per_row in limits)
    for total in range(most, safe, -1):
        if all(number <= count for number, count in zip(apportion(total, weights), counts, strict=True)):
            return total
    return safe
