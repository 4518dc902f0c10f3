"""words: how long a text is, and whether a word of it names one of some WordNet synsets."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from pydantic import Field, model_validator

from poolwright.core.columns import is_text
from poolwright.core.errors import RecipeError, StepError
from poolwright.core.files import sha256_file
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column
from poolwright.core.pool import PathOrUrl
from poolwright.core.remote.listing import is_file
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step
from poolwright.models.texts.wordnet import FILES, WordNet
from poolwright.steps.choose.read_list import KINDS, read_list

SYNSETS = "synsets"
_MOST_KNOWN = 1_000_000
"""Words whose first senses are remembered, at most."""


class TextWords(Step):
    """Count the words and characters of a text, and find one that names one of some WordNet synsets.

    Gives `words`, the parts between white space as Python's `str.split` cuts them, and `characters`, in code points.

    With `synsets`, a list of WordNet ids such as n02084071, and `wordnet`, it also gives `entity`: the first word of
    the text whose first synset is on the list. As in the text-based filter of DataComp (Gadre et al. 2023, arXiv
    2304.14108), that is the first of nltk's `synsets(word)`, nouns first, of the word or its base form, and its offset
    alone is compared, whatever its part of speech. Punctuation belongs to a word: "dog," names nothing.

    A row without a text has null in all.
    """

    verb: ClassVar[str] = "words"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "words: {of: text}"
    shorthand: ClassVar[str | None] = "of"

    of: Column = Field(description="column of texts")
    synsets: PathOrUrl | None = Field(
        default=None, description=f"file with WordNet ids, such as those of ImageNet-21K: {KINDS}"
    )
    wordnet: PathOrUrl | None = Field(
        default=None,
        description="folder of WordNet's database files (index.noun, noun.exc, ...), such as corpora/wordnet of "
        "nltk's data; ImageNet's ids are offsets of WordNet 3.0",
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> TextWords:
        if (self.synsets is None) != (self.wordnet is None):
            raise ValueError("synsets and wordnet go together: the ids to find, and the folder of WordNet")
        return self

    def needs(self) -> tuple[str, ...]:
        return (self.of,)

    def files(self) -> tuple[str, ...]:
        if self.synsets is None:
            return ()
        return (self.synsets, *(str(Path(str(self.wordnet)) / name) for name in FILES))

    def check_files(self, given: pa.Schema) -> None:
        for path in self.files():
            if not is_file(path):
                what = (
                    f"name a {KINDS} file" if path == self.synsets else "`python -m nltk.downloader wordnet` fetches it"
                )
                raise StepError(f"words: there is no file {path}; {what}")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        if not is_text(given.field(self.of).type):
            raise StepError(f"words: '{self.of}' is of {given.field(self.of).type}, not text")
        fields = [pa.field("words", pa.int32()), pa.field("characters", pa.int32())]
        if self.synsets is None:
            return fields
        return [*fields, pa.field("entity", pa.string())]

    def fit(self, frame: Frame, context: Context) -> State:
        if self.synsets is None:
            return State()
        offsets = _offsets(self.synsets)
        digests = {Path(path).name: sha256_file(Path(path)) for path in self.files()[1:]}
        return State({"wordnet": digests}, {SYNSETS: pa.table({"offset": pa.array(offsets)})})

    def apply(self, rows: Rows, state: State) -> Outcome:
        texts = rows.strings(self.of)
        split = [None if text is None else text.split() for text in texts]
        columns = {
            "words": pa.array([None if words is None else len(words) for words in split], pa.int32()),
            "characters": pa.array([None if text is None else len(text) for text in texts], pa.int32()),
        }
        if self.synsets is not None:
            first = once("first", state, self._first)
            wanted = once("wanted", state.tables[SYNSETS], _as_set)
            found = [next((word for word in words or () if first(word) in wanted), None) for words in split]
            columns["entity"] = pa.array(found, pa.string())
        return Outcome(columns)

    def learned(self, state: State) -> str:
        return f"{len(state.tables[SYNSETS]):,} synsets" if state.tables else ""

    def _first(self, state: State) -> Callable[[str], int]:
        """Return `WordNet.first`, which remembers words: those of captions recur.

        Raises:
            RecipeError: a file has changed, or is not WordNet's.
        """
        for path in self.files()[1:]:
            if sha256_file(Path(path)) != state.values["wordnet"][Path(path).name]:
                raise RecipeError(f"words: {path} is not the file that the table was begun with")
        return lru_cache(_MOST_KNOWN)(WordNet(str(self.wordnet)).first)


def _offsets(path: str) -> list[int]:
    """Read the offsets of a list of WordNet ids, sorted, each once.

    Raises:
        RecipeError: an entry is no WordNet id.
    """
    found = set()
    for entry in read_list(path, "wnid").entries.to_pylist():
        text = str(entry).strip()
        if not (text[:1] in tuple("nvars") and text[1:].isascii() and text[1:].isdigit()):
            raise RecipeError(f"words: {path} has '{text}', which is no WordNet id such as n02084071")
        found.add(int(text[1:]))
    return sorted(found)


def _as_set(table: pa.Table) -> frozenset[int]:
    return frozenset(table.column("offset").to_pylist())
