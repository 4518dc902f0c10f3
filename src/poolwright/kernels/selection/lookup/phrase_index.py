"""Find the phrases of a long list in texts, as MetaCLIP matches its metadata: whole words, all of them in NumPy.

MetaCLIP (H. Xu et al., Demystifying CLIP Data, arXiv 2309.16671) puts spaces around a text, an entry and the marks
, . ; : ? ! ` of the text, and looks for the entry as a substring. Such a substring begins and ends at a space, so it is
a run of words of the text with one space between any two. Words are looked up in a hash table, runs in a trie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.kernels.selection.lookup.exact_table import ExactTable, word_keys

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

MARKS = ",.;:?!`"
BLANKS = " \t\n\r"

_WORD, _BLANK, _MARK = range(3)
_KINDS = np.full(256, _WORD, np.uint8)
_KINDS[list(BLANKS.encode())] = _BLANK
_KINDS[list(MARKS.encode())] = _MARK

_TEXTS_AT_ONCE = 16_384
_ROW = np.int64(32)
"""Bits that the row of a pair is shifted by, so that pairs are sorted as one number."""


@dataclass(frozen=True)
class _Words:
    """The words of some texts, in order.

    Attributes:
        data: uint8, UTF-8 of all texts and 8 bytes more.
        starts, lengths: (w,) in bytes.
        rows: (w,) text of each word.
        joined: (w,) whether the next word is of the same text and one space away.
    """

    data: npt.NDArray[np.uint8]
    starts: Integers
    lengths: Integers
    rows: Integers
    joined: Flags

    @classmethod
    def of(cls, texts: pa.Array) -> _Words:
        texts = pc.fill_null(texts.cast(pa.large_string()), "")
        edges = np.frombuffer(texts.buffers()[1], np.int64, len(texts) + 1, texts.offset * 8)
        used = edges[-1] - edges[0]
        data = np.zeros(used + 8, np.uint8)
        if used:
            data[:used] = np.frombuffer(texts.buffers()[2], np.uint8)[edges[0] : edges[-1]]
        edges = edges - edges[0]
        kinds = _KINDS[data[:used]]
        word, mark = kinds == _WORD, kinds == _MARK
        edge = np.zeros(used + 1, bool)
        edge[edges] = True
        first, last = edge[:-1].copy(), edge[1:].copy()
        first[1:] |= ~word[:-1]
        last[:-1] |= ~word[1:]
        starts = np.flatnonzero((first & word) | mark)
        ends = np.flatnonzero((last & word) | mark) + 1
        rows = np.repeat(np.arange(len(texts)), np.diff(np.searchsorted(starts, edges)))
        # A mark has a space on either side, besides the blanks of the text.
        spaces = starts[1:] - ends[:-1] + mark[starts[1:]] + mark[starts[:-1]]
        joined = np.zeros(len(starts), bool)
        joined[:-1] = (spaces == 1) & (rows[1:] == rows[:-1])
        return cls(data, starts, ends - starts, rows, joined)


class PhraseIndex:
    """Finds phrases in texts. Can be shared by any number of threads.

    Args:
        phrases: (p,) texts, None for one that is not looked for. Of equal ones the first counts.

    Attributes:
        repeated: phrases that are equal to an earlier one, in order.
        impossible: phrases that no text has: they are empty, or have a mark that is no word of its own, a blank other
            than a space, or a space too many.
    """

    def __init__(self, phrases: Sequence[str | None]) -> None:
        self.repeated: list[int] = []
        self.impossible: list[int] = []
        words: dict[str, int] = {}
        nodes: dict[tuple[int, int], int] = {}
        ends: dict[int, int] = {}
        for place, phrase in enumerate(phrases):
            parts = (phrase or "").split(" ")
            if not all(map(_is_word, parts)):
                self.impossible.append(place)
                continue
            node = -1
            for part in parts:
                node = nodes.setdefault((node, words.setdefault(part, len(words))), len(nodes))
            if ends.setdefault(node, place) != place:
                self.repeated.append(place)
        self._words = _word_table(list(words))
        above, word = np.array(list(nodes), np.int64).reshape(-1, 2).T
        self._phrase = np.full(len(nodes), -1, np.int64)
        self._phrase[list(ends)] = list(ends.values())
        self._first = np.full(len(words) + 1, -1, np.int64)  # the last is that of -1, a word of no phrase
        roots = np.flatnonzero(above < 0)
        self._first[word[roots]] = roots
        self._longer = np.flatnonzero(above >= 0)
        self._goes_on = np.zeros(len(nodes), bool)
        self._goes_on[above[self._longer]] = True
        pairs = _pairs(above[self._longer], word[self._longer])
        self._pairs = ExactTable(pairs, np.zeros_like(pairs))

    def find(self, texts: pa.Array) -> tuple[Integers, Integers]:
        """Return which texts have which phrases.

        Args:
            texts: (n,) of a string type; a null has none.

        Returns:
            (m,) texts and (m,) phrases: distinct pairs, sorted.
        """
        found = [np.empty(0, np.int64)]
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            words = _Words.of(texts.slice(start, _TEXTS_AT_ONCE))
            pairs = np.sort(np.concatenate([np.empty(0, np.int64), *self._found(words)]))
            fresh = np.ones(len(pairs), bool)
            fresh[1:] = pairs[1:] != pairs[:-1]
            found.append(pairs[fresh] + (np.int64(start) << _ROW))
        pairs = np.concatenate(found)
        return pairs >> _ROW, pairs & np.int64(0xFFFFFFFF)

    def _found(self, words: _Words) -> Iterator[Integers]:
        """Yield the pairs of text and phrase, by the number of words of the phrase."""
        word = self._words.find(*word_keys(words.data, words.starts, words.lengths))
        node = self._first[word]
        at = np.flatnonzero(node >= 0)
        node = node[at]
        while len(at):
            phrase = self._phrase[node]
            there = np.flatnonzero(phrase >= 0)
            yield (words.rows[at[there]] << _ROW) | phrase[there]
            longer = np.flatnonzero(self._goes_on[node] & words.joined[at])
            at, node = at[longer] + 1, node[longer]
            known = np.flatnonzero(word[at] >= 0)
            at, node = at[known], node[known]
            pairs = _pairs(node, word[at])
            found = self._pairs.find(pairs, np.zeros_like(pairs))
            there = np.flatnonzero(found >= 0)
            at, node = at[there], self._longer[found[there]]


def _is_word(part: str) -> bool:
    return part in MARKS if len(part) == 1 and part in MARKS else bool(part) and not set(part) & set(MARKS + BLANKS)


def _pairs(nodes: Integers, words: Integers) -> npt.NDArray[np.uint64]:
    return ((nodes << np.int64(32)) | words).view(np.uint64)


def _word_table(words: list[str]) -> ExactTable:
    encoded = [word.encode() for word in words]
    lengths = np.array([len(word) for word in encoded], np.int64)
    data = np.frombuffer(b"".join(encoded) + bytes(8), np.uint8)
    return ExactTable(*word_keys(data, np.cumsum(lengths) - lengths, lengths))
