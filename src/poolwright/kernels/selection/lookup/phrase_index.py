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
_KINDS = bytes(
    _MARK if letter in MARKS.encode() else _BLANK if letter in BLANKS.encode() else _WORD for letter in range(256)
)
_TEXTS_AT_ONCE = 16_384
_ROW = np.int64(32)
"""Bits that the row of a pair is shifted by, so that pairs are sorted as one number."""


@dataclass(frozen=True)
class _TextWords:
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
    def of(cls, texts: pa.Array) -> _TextWords:
        texts = pc.fill_null(texts.cast(pa.large_string()), "")
        # Blanks after each text: no word is one space away from one of the next. Made here, as a scalar imports pandas.
        blanks, nothing = (pa.scalar(text, pa.large_string()) for text in ("\n\n", ""))
        apart = pc.binary_join_element_wise(texts, blanks, nothing)
        edges = np.frombuffer(apart.buffers()[1], np.int64, len(texts) + 1, apart.offset * 8)
        whole = b"\n" + memoryview(apart.buffers()[2] or b"")[edges[0] : edges[-1]].tobytes() + bytes(8)
        kinds = np.frombuffer(whole.translate(_KINDS), np.uint8)[:-8]
        mark, word = kinds == _MARK, kinds == _WORD
        turns = word[1:] != word[:-1]
        starts = np.flatnonzero((turns & word[1:]) | mark[1:]) + 1
        ends = np.flatnonzero((turns & word[:-1]) | mark[:-1]) + 1
        rows = np.repeat(np.arange(len(texts)), np.diff(np.searchsorted(starts, edges - edges[0] + 1)))
        # A mark has a space on either side, besides the blanks of the text.
        marks = mark[starts]
        joined = np.zeros(len(starts), bool)
        joined[:-1] = starts[1:] - ends[:-1] + marks[1:] + marks[:-1] == 1
        return cls(np.frombuffer(whole, np.uint8), starts, ends - starts, rows, joined)


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
        known: dict[tuple[str, ...], int] = {}
        for place, phrase in enumerate(phrases):
            parts = tuple((phrase or "").split(" "))
            if not all(map(_is_word, parts)):
                self.impossible.append(place)
            elif known.setdefault(parts, place) != place:
                self.repeated.append(place)
        # Nodes of the trie have numbers, the first words their own; then come the nodes below, with the words to them.
        words = {parts[0]: number for number, parts in enumerate({parts[:1]: None for parts in known})}
        self._roots = len(words)
        nodes: dict[tuple[int, int], int] = {}
        ends = np.full(self._roots + sum(len(parts) - 1 for parts in known), -1, np.int64)
        for parts, place in known.items():
            node = words[parts[0]]
            for part in parts[1:]:
                step = (node, words.setdefault(part, len(words)))
                node = nodes.setdefault(step, self._roots + len(nodes))
            ends[node] = place
        self._words = _word_table(list(words))
        above, word = np.array(list(nodes), np.int64).reshape(-1, 2).T
        self._pairs = ExactTable(_pairs(above, word))
        goes_on = np.isin(np.arange(self._roots + len(nodes)), above)
        self._nodes = ((ends[: len(goes_on)] + 1) << 1 | goes_on).astype(np.int32)

    def find(self, texts: pa.Array) -> tuple[Integers, Integers]:
        """Return which texts have which phrases.

        Args:
            texts: (n,) of a string type; a null has none.

        Returns:
            (m,) texts and (m,) phrases: distinct pairs, sorted.
        """
        found = [np.empty(0, np.int64)]
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            words = _TextWords.of(texts.slice(start, _TEXTS_AT_ONCE))
            pairs = np.sort(np.concatenate([np.empty(0, np.int64), *self._found(words)]))
            fresh = np.ones(len(pairs), bool)
            fresh[1:] = pairs[1:] != pairs[:-1]
            found.append(pairs[fresh] + (np.int64(start) << _ROW))
        pairs = np.concatenate(found)
        return pairs >> _ROW, pairs & np.int64(0xFFFFFFFF)

    def _found(self, words: _TextWords) -> Iterator[Integers]:
        """Yield the pairs of text and phrase, by the number of words of the phrase."""
        word = self._words.find(*word_keys(words.data, words.starts, words.lengths))
        at = np.flatnonzero((word >= 0) & (word < self._roots))
        node = word[at]
        while len(at):
            known = self._nodes[node]
            there = np.flatnonzero(known > 1)
            yield (words.rows[at[there]] << _ROW) | ((known[there] >> 1) - 1)
            longer = np.flatnonzero((known & 1).astype(bool) & words.joined[at])
            at, node = at[longer] + 1, node[longer]
            longer = np.flatnonzero(word[at] >= 0)
            at, node = at[longer], node[longer]
            found = self._pairs.find(_pairs(node.astype(np.int64), word[at]))
            longer = np.flatnonzero(found >= 0)
            at, node = at[longer], found[longer] + np.int32(self._roots)


def _is_word(part: str) -> bool:
    return part in MARKS if len(part) == 1 and part in MARKS else bool(part) and not set(part) & set(MARKS + BLANKS)


def _pairs(nodes: Integers, words: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.uint64]:
    return ((nodes << np.int64(32)) | words).view(np.uint64)


def _word_table(words: list[str]) -> ExactTable:
    encoded = [word.encode() for word in words]
    lengths = np.array([len(word) for word in encoded], np.int64)
    data = np.frombuffer(b"".join(encoded) + bytes(8), np.uint8)
    return ExactTable(*word_keys(data, np.cumsum(lengths) - lengths, lengths))
