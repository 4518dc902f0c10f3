"""Find the country that a text names: an exact match after folding, or none. Nothing is guessed.

A text is folded to its set of words: case, accents, punctuation, order, and the words 'the', 'of', 'and' are
removed; 'Rep.', 'St', 'Is.' become the words they stand for. So 'Korea, Republic of' and 'the republic of Korea' are
the same. That set must be the set of a known name, except for words of a form of government ('Republic of Ireland').
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from poolwright.reference.country_names import ALIASES, AMBIGUOUS, HISTORIC, HISTORIC_CODES, PARTS

Codes = Literal["auto", "none", "iso2", "iso3", "numeric"]
Why = Literal["", "no_country", "unknown_country", "ambiguous_country", "historic_country"]

LONGEST = 200
"""Longest text in characters that is looked up."""

SPELLING_COLUMNS = ("words", "country_code", "why", "about")

_APOSTROPHES = str.maketrans("", "", "'’‘ʼʻ`´")
_WORD = re.compile(r"[^\W_]+")
_PIECES = re.compile(r"[,;/|()\[\]&]|\band\b", re.IGNORECASE)
_SHORT_FOR = {
    "rep": "republic",
    "dem": "democratic",
    "fed": "federal",
    "sts": "states",
    "st": "saint",
    "ste": "saint",
    "is": "islands",
    "isl": "islands",
    "island": "islands",
}
_LINKS = {"the", "of", "and"}
_GOVERNMENTS = frozenset(
    ("republic", "kingdom", "federal", "democratic", "peoples", "islamic", "socialist", "principality", "sultanate")
)
# How tables write 'not available', besides the code of Namibia.
_NULL_LIKE = "NA"


@dataclass(frozen=True)
class CountryMatch:
    """Result of looking up a text.

    Attributes:
        code: ISO 3166-1 alpha-3 of the country, or None.
        why: the reason why there is no code, else ''.
        words: explanation for people; may be empty.
    """

    code: str | None
    why: Why
    words: str = ""


def words_of(text: str) -> frozenset[str]:
    """Fold a text to its set of words; empty if it has none."""
    plain = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES).casefold())
    words = _WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)).casefold())
    return frozenset(_SHORT_FOR.get(word, word) for word in _joined(words)) - _LINKS


def _joined(words: Iterable[str]) -> list[str]:
    """Join runs of single letters to one word: u s a -> usa."""
    joined: list[str] = []
    run = ""
    for word in (*words, ""):
        if len(word) == 1:
            run += word
            continue
        joined += [run] if run else []
        joined += [word] if word else []
        run = ""
    return joined


def spellings_of(countries: pa.Table, historic: Mapping[str, str] = HISTORIC) -> pa.Table:
    """Return every known spelling, folded, with the country it names or the reason why it names none.

    Args:
        countries: columns `country_code` (alpha-3), `country`, `official`.
        historic: names of former states and former names, with an explanation of each.

    Returns:
        Columns `words` (folded, sorted, joined by a space), `country_code` (null if refused), `why`, `about`.
    """
    rows = countries.select(["country_code", "country", "official"]).to_pylist()
    names = {row["country_code"]: row["country"] for row in rows}
    known: dict[frozenset[str], CountryMatch] = {}
    for row in rows:
        for name in (row["country"], row["official"], *ALIASES.get(row["country_code"], ())):
            _add(known, name, row["country_code"])
    known |= {words_of(name): _ambiguous(codes) for name, codes in AMBIGUOUS.items()}
    for name, words in historic.items():
        known.setdefault(words_of(name), CountryMatch(None, "historic_country", f"{name}, {words}"))
    for name, code in PARTS.items():
        found = CountryMatch(
            None, "unknown_country", f"a part of {names.get(code, code)}; `names` can say that this is meant"
        )
        known.setdefault(words_of(name), found)
    return _table(known)


def _add(known: dict[frozenset[str], CountryMatch], name: str, code: str) -> None:
    """Add a name of a country; a name of several countries is ambiguous."""
    before = known.setdefault(words_of(name), CountryMatch(code, ""))
    if before.code not in (code, None):
        known[words_of(name)] = _ambiguous([code, str(before.code)])


def _ambiguous(codes: Iterable[str]) -> CountryMatch:
    return CountryMatch(None, "ambiguous_country", f"may be {' or '.join(sorted(codes))}")


def _table(known: Mapping[frozenset[str], CountryMatch]) -> pa.Table:
    rows = sorted(
        (" ".join(sorted(words)), found.code, found.why, found.words) for words, found in known.items() if words
    )
    columns = {name: [row[index] for row in rows] for index, name in enumerate(SPELLING_COLUMNS)}
    return pa.table(columns, schema=pa.schema([(name, pa.string()) for name in SPELLING_COLUMNS]))


class Countries:
    """Finds the country that a text names.

    Args:
        countries: columns `country_code` (alpha-3), `alpha_2` (spellings joined by a space), `numeric` (three digits).
        spellings: as `spellings_of` makes them.
        names: decisions of the user: text -> alpha-3. They take precedence.
        codes: accepted codes: 'auto' all three kinds of ISO 3166-1 besides names, 'none' names only, else codes of
            that kind only.
    """

    def __init__(
        self, countries: pa.Table, spellings: pa.Table, names: Mapping[str, str] | None = None, codes: Codes = "auto"
    ) -> None:
        names = names or {}
        self._names = dict(names)
        self._folded = {words: code for text, code in names.items() if (words := words_of(text))}
        self._codes = codes
        self._by_code = _by_code(countries, codes)
        self._spellings = {
            frozenset(row["words"].split()): CountryMatch(row["country_code"], row["why"], row["about"])
            for row in spellings.to_pylist()
        }
        self._seen: dict[str, CountryMatch] = {}

    def find(self, text: str | None) -> CountryMatch:
        """Find the country of the text, or the reason why there is none."""
        if text is None:
            return CountryMatch(None, "no_country")
        found = self._seen.get(text)
        if found is None:
            if len(self._seen) >= 65_536:
                self._seen.clear()
            found = self._seen[text] = self._find(text)
        return found

    def _find(self, text: str) -> CountryMatch:
        decided = self._names.get(text)
        if decided:
            return CountryMatch(decided, "", "as `names` says")
        if not text.strip():
            return CountryMatch(None, "no_country")
        if len(text) > LONGEST:
            return CountryMatch(None, "unknown_country", f"longer than {LONGEST} characters")
        decided = self._folded.get(words_of(text))
        if decided:
            return CountryMatch(decided, "", "as `names` says")
        return self._code(text.strip()) or self._name(text)

    def _code(self, text: str) -> CountryMatch | None:
        if self._codes == "none":
            return None
        if self._codes == "auto" and text.upper() == _NULL_LIKE:
            return CountryMatch(
                None, "ambiguous_country", "Namibia or 'not available': say `codes: iso2`, or decide in `names`"
            )
        code = text.zfill(3) if self._codes == "numeric" else text.upper()
        found = self._by_code.get(code) if text.isascii() else None
        if found is None and self._codes != "auto":
            return CountryMatch(None, "unknown_country", f"no {self._codes} code of ISO 3166-1")
        return found

    def _name(self, text: str) -> CountryMatch:
        return self._whole(text) or self._pieces(text) or CountryMatch(None, "unknown_country")

    def _whole(self, text: str) -> CountryMatch | None:
        """Match the text as one name, exactly or with additional words of government."""
        words = words_of(text)
        return self._spellings.get(words) or self._spellings.get(words - _GOVERNMENTS)

    def _pieces(self, text: str) -> CountryMatch | None:
        """Match a text of several names, such as 'Myanmar (Burma)', if all name the same country."""
        found = [self._whole(piece) for piece in _PIECES.split(text) if words_of(piece)]
        named = [one for one in found if one is not None]
        if len(named) < 2 or len(named) < len(found):
            return None
        refused = next((one for one in named if one.code is None), None)
        if refused is not None:
            return None if refused.why == "unknown_country" else refused
        codes = {one.code for one in named if one.code is not None}
        return named[0] if len(codes) == 1 else _ambiguous(codes)


def _by_code(countries: pa.Table, codes: Codes) -> dict[str, CountryMatch]:
    """Return the codes of the accepted kinds, current and withdrawn."""
    known: dict[str, CountryMatch] = {}
    for kind, column, letters in (("iso2", "alpha_2", 2), ("iso3", "country_code", 3), ("numeric", "numeric", 0)):
        if codes not in ("auto", kind):
            continue
        for spelled, code in zip(countries[column].to_pylist(), countries["country_code"].to_pylist(), strict=True):
            known |= {one: CountryMatch(code, "", f"{kind} code") for one in spelled.split()}
        for withdrawn, words in HISTORIC_CODES.items():
            if len(withdrawn) == letters:
                known.setdefault(withdrawn, CountryMatch(None, "historic_country", f"withdrawn code of {words}"))
    return known
