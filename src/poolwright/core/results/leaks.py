"""Defines what a comparison of the parts of a dataset, or of several datasets, found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolwright.core.wording import rows as in_rows

SHA256, PHASH = HASHES = "sha256", "phash"
_WORDS = {SHA256: "equal SHA-256", PHASH: "equal perceptual hash"}
_SHOWN = 3


@dataclass(frozen=True)
class LeakPair:
    """Rows that two parts have in common.

    Attributes:
        one, other: names of the parts, the earlier first.
        values: hashes that both have; if vectors are compared, pairs of rows.
        rows_one: rows of the first part that the other has, too.
        rows_other: rows of the other part that the first has, too.
        examples: names of the first few pairs of rows.
    """

    one: str
    other: str
    values: int
    rows_one: int
    rows_other: int
    examples: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Leak:
    """Rows that are in several parts, by one kind of comparison.

    Attributes:
        by: what makes the parts: 'split', or another column.
        how: 'sha256', 'phash', or the column of vectors.
        rows: rows of a part that an earlier part has, too.
        later: rows of all parts but the first.
        pairs: the pairs of parts that have rows in common, those with most first.
        more_pairs: number of such pairs that are not listed.
        drawn: whether all this is about a random sample of the later rows, each compared with all others, since
            there are too many vectors to compare all.
    """

    by: str
    how: str
    rows: int
    later: int
    pairs: tuple[LeakPair, ...] = ()
    more_pairs: int = 0
    drawn: bool = False

    @property
    def kind(self) -> str:
        """How rows were compared, in words."""
        return _WORDS.get(self.how, f"near vectors of '{self.how}'")

    @property
    def words(self) -> str:
        """The result on one line, with the parts and the first few pairs of rows."""
        if not self.pairs:
            return f"{self.by}: none by {self.kind}"
        parts = [f"{in_rows(pair.rows_other)} of '{pair.other}' in '{pair.one}'" for pair in self.pairs[:_SHOWN]]
        more = len(self.pairs) + self.more_pairs - len(parts)
        parts += [f"{more:,} more pairs of parts"] if more else []
        like = "is" if self.how in HASHES else "is near"
        shown = [f"{other!r} {like} {one!r}" for one, other in self.pairs[0].examples[:_SHOWN]]
        shown += ["..."] if self.rows > len(shown) else []
        sample = f", of {self.later:,} that were drawn," if self.drawn else ""
        return f"{self.by}: {', '.join(parts)}{sample} by {self.kind} ({', '.join(shown)})"


@dataclass(frozen=True)
class LeakSet:
    """One of the sets that are compared.

    Attributes:
        name: as it was given.
        rows: number of rows.
        unreadable: rows that have no hash, as their image cannot be read.
    """

    name: str
    rows: int
    unreadable: int = 0


@dataclass(frozen=True)
class LeakReport:
    """What several datasets have in common.

    Attributes:
        sets: the datasets, in the order in which they were given.
        compared: what was compared: 'sha256', 'phash' and a column of vectors.
        left_out: what was not compared, and why.
        above: least cosine of near vectors; None if there are none.
        found: the counts, one for each kind of comparison; `by` is 'set'.
        pictures: small pictures of the examples as data URIs, by set and row.
    """

    sets: tuple[LeakSet, ...]
    compared: tuple[str, ...]
    left_out: dict[str, str]
    above: float | None
    found: tuple[Leak, ...]
    pictures: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> int:
        """The most rows of later sets that an earlier one has, by any comparison."""
        return max((leak.rows for leak in self.found), default=0)
