"""Find keywords in captions: whole words of a language, regardless of case."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def keyword_columns(captions: pa.Array, keywords: Mapping[str, Sequence[str]]) -> npt.NDArray[np.float32]:
    """Mark captions that have a keyword of a language.

    A keyword matches whole words: 'map' is in 'An old MAP.' and not in 'mapping'. In scripts without spaces between
    words, such as Chinese, it may be anywhere.

    Args:
        captions: (n,) strings, null for none.
        keywords: words by language, in the order of the columns.

    Returns:
        float32 (n, languages), 1 if the caption has one of the words.
    """
    patterns = [_pattern(words) for words in keywords.values()]
    coded = captions if pa.types.is_dictionary(captions.type) else captions.dictionary_encode()
    texts = [_folded(text or "") for text in coded.dictionary.to_pylist()]
    found = np.array([[bool(pattern.search(text)) for pattern in patterns] for text in texts], np.float32)
    found = np.vstack([found.reshape(len(texts), len(patterns)), np.zeros((1, len(patterns)), np.float32)])
    positions = coded.indices.fill_null(len(texts)) if coded.indices.null_count else coded.indices
    return np.asarray(found[np.asarray(positions)])


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(_whole(_folded(word)) for word in words))


def _whole(word: str) -> str:
    spaced = all(unicodedata.name(letter, "").startswith(_SPACED) for letter in word if letter.isalpha())
    return rf"(?<!\w){re.escape(word)}(?!\w)" if spaced else re.escape(word)


_SPACED = ("LATIN", "GREEK", "CYRILLIC", "ARABIC", "HEBREW", "ARMENIAN", "GEORGIAN", "DEVANAGARI", "HANGUL")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
