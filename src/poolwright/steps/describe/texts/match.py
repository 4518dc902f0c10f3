"""match: the entries of a long list that the words of a text contain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from poolwright.core.columns import is_text
from poolwright.core.errors import StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column
from poolwright.core.pool import PathOrUrl
from poolwright.core.remote.listing import is_file
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step
from poolwright.core.wording import some
from poolwright.kernels.selection.lookup.phrase_index import PhraseIndex
from poolwright.steps.choose.read_list import KINDS, read_list

ENTRIES = "entries"
MATCHES = "matches"
_TYPE = pa.list_(pa.int32())


class Match(Step):
    """Find the entries of a list in a text, as MetaCLIP matches captions with its metadata.

    Gives a list of the numbers of the entries, counted from 0 in the order of the file, in ascending order and each
    once. An entry matches if its words follow each other in the text, with a space between any two. The marks
    , . ; : ? ! and the grave accent are words of their own, and upper and lower case differ. So "dog" is in "A dog,
    asleep.", and not in "Dogs" or "hot-dog" (H. Xu et al., Demystifying CLIP Data, arXiv 2309.16671, algorithm 1). A
    row without a text has null.

    Of equal entries the first counts. Repeated entries and those that no text can have, such as "St. Ives" with a mark
    inside a word, are counted in reports. `balance_matches` draws rows by the numbers.
    """

    verb: ClassVar[str] = "match"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "match: {of: text, entries: entries.txt}"
    costly: ClassVar[bool] = True

    of: Column = Field(description="column of texts")
    entries: PathOrUrl = Field(description=f"file with the entries: {KINDS}, also packed (.gz, .bz2, .xz, .zst)")
    into: Column = Field(default=MATCHES, description="column to give, lists of numbers of entries")

    def needs(self) -> tuple[str, ...]:
        return (self.of,)

    def files(self) -> tuple[str, ...]:
        return (self.entries,)

    def check_files(self, given: pa.Schema) -> None:
        if not is_file(self.entries):
            raise StepError(f"match: there is no file {self.entries}; name a {KINDS} file")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        if not is_text(given.field(self.of).type):
            raise StepError(f"match: '{self.of}' is of {given.field(self.of).type}, not text")
        return [pa.field(self.into, _TYPE)]

    def fit(self, frame: Frame, context: Context) -> State:
        entries = read_list(self.entries, "entry").entries
        if not is_text(entries.type):
            raise StepError(f"match: {self.entries} has entries of {entries.type}, not text")
        table = pa.table({"entry": entries.cast(pa.string())})
        index = once("phrases", table, _index_of)
        texts = table.column("entry").to_pylist()
        odd = {
            name: {"count": len(places), "first": [texts[place] for place in places[:3]]}
            for name, places in (("repeated", index.repeated), ("impossible", index.impossible))
        }
        return State({"entries": len(table), **odd}, {ENTRIES: table})

    def apply(self, rows: Rows, state: State) -> Outcome:
        texts = rows.column(self.of)
        found, entries = once("phrases", state.tables[ENTRIES], _index_of).find(texts)
        ends = np.searchsorted(found, np.arange(len(texts) + 1)).astype(np.int32)
        mask = pc.is_null(texts) if texts.null_count else None
        lists = pa.ListArray.from_arrays(pa.array(ends), pa.array(entries.astype(np.int32)), mask=mask)
        return Outcome({self.into: lists})

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        entries = state.tables[ENTRIES].column("entry")
        names = [f"'{entries[number].as_py()}'" for number in row.get(self.into) or ()]
        return f"{len(names):,} of {len(entries):,} entries: {some(names, 5) or 'none'}"

    def learned(self, state: State) -> str:
        text = f"{state.values['entries']:,} entries"
        for name, words in (("repeated", "repeat an earlier one"), ("impossible", "no text can have")):
            odd = state.values[name]
            if odd["count"]:
                first = ", ".join("nothing" if entry is None else f"'{entry}'" for entry in odd["first"])
                text += f"; {odd['count']:,} {words}: {first}{', ...' if odd['count'] > len(odd['first']) else ''}"
        return text


def _index_of(table: pa.Table) -> PhraseIndex:
    return PhraseIndex(table.column("entry").to_pylist())
