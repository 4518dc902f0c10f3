"""decontaminate: drop the rows that other sets have too, such as evaluation sets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, WithJsonSchema, model_validator

from poolwright.core.columns import PDQ, PHASH, SHA256, UID, is_text, is_vector, same_space
from poolwright.core.errors import StepError, did_you_mean
from poolwright.core.frame import Context, Frame, OtherRows
from poolwright.core.images.phash import FLAT_HASHES
from poolwright.core.params import Column
from poolwright.core.roles import JoiningStep, OtherSource
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason
from poolwright.core.wording import rows as in_rows
from poolwright.core.wording import some
from poolwright.kernels.selection.lookup.value_index import plain
from poolwright.steps.choose.contamination.lookup import WORDS, NearRows, meet
from poolwright.steps.choose.contamination.other_sets import VECTOR, Keys, other_sets
from poolwright.steps.other_sources import is_file, resolved

_HOW = ("sha256", "phash", "vectors", "pdq")


def _named(default: str) -> BeforeValidator:
    """Read true as the usual name of a column."""
    return BeforeValidator(lambda value: default if value is True else value)


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


_COLUMN_OR_TRUE = WithJsonSchema({"anyOf": [{"type": "string"}, {"const": True}]})
Sets = Annotated[
    tuple[Annotated[str, AfterValidator(resolved)], ...],
    BeforeValidator(_as_list),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class Decontaminate(JoiningStep):
    """Drop the rows that are near a row of another set: of an evaluation set, or of another split.

    The sets are pools and tables of the recipe, or files of rows, which are read as the pool `table` reads them:
    whatever has a '/' or an ending such as .csv is a file. They become part of what the table is made from. A row goes
    if one of these holds for any row of any set; the columns have the same names there.

    - `sha256`: equal values.
    - `phash`: 64-bit hashes, as `hash` gives them, that differ in at most `distance` bits. The hash of a flat picture,
      such as zeros alone, is near nothing.
    - `pdq`: 256-bit hashes that differ in at most `pdq_distance` bits.
    - `vectors`: the cosine is `above` or more. All pairs are compared, exactly.

    `why` names the set and the row, the nearest if there are several; with `into`, so do a column and the `ledger`.
    The sets are sorted on disk, and read from there as they are needed, so that they may be larger than memory.

    State: hashes and vectors of the sets, with the uids of their rows.
    """

    verb: ClassVar[str] = "decontaminate"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = "decontaminate: {against: [annotations], vectors: embedding, above: 0.95}"
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("equal_file", "another set has the same file (equal SHA-256)"),
        Reason("equal_look", "another set has a picture of almost the same perceptual hash"),
        Reason("near_vector", "the vector of a row of another set is near"),
        Reason("near_pdq", "another set has a picture of almost the same PDQ hash"),
    )

    against: Sets = Field(description="the other sets: pools or tables of the recipe, or files, one or several")
    sha256: Annotated[Column | None, _named(SHA256), _COLUMN_OR_TRUE] = Field(
        default=None, description="column of digests of the image files; true means sha256"
    )
    phash: Annotated[Column | None, _named(PHASH), _COLUMN_OR_TRUE] = Field(
        default=None, description="column of 64-bit hashes in 16 hex digits; true means phash"
    )
    distance: int = Field(default=4, ge=0, le=16, description="most bits in which near hashes differ")
    pdq: Annotated[Column | None, _named(PDQ), _COLUMN_OR_TRUE] = Field(
        default=None, description="column of PDQ hashes in 64 hex digits; true means pdq"
    )
    pdq_distance: int = Field(
        default=31, ge=0, le=31, description="most bits in which near PDQ hashes differ; its authors recommend 31"
    )
    vectors: Column | None = Field(default=None, description="column of vectors")
    above: float = Field(default=0.95, gt=0, le=1, description="least cosine of near vectors")
    into: Column | None = Field(
        default=None, description="column to give, for the ledger: set and uid that a dropped row is near, else null"
    )

    _known: tuple[pa.Schema, ...] | None = PrivateAttr(default=None)
    """Columns of the sets."""

    @model_validator(mode="after")
    def _compares(self) -> Self:
        if not self.compared:
            raise ValueError("needs sha256, phash, pdq or vectors: give at least one")
        if len(set(self.against)) < len(self.against):
            raise ValueError("'against' names a set twice")
        return self

    @property
    def compared(self) -> dict[str, str]:
        """The columns that are compared, by how."""
        return {how: getattr(self, how) for how in _HOW if getattr(self, how)}

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.compared.values()))

    def others(self) -> tuple[OtherSource, ...]:
        return tuple({"read": "table", "path": name} if is_file(name) else name for name in self.against)

    def knowing_all(self, others: Sequence[OtherRows]) -> Self:
        for name, other in zip(self._names, others, strict=True):
            for column in (UID, *self.compared.values()):
                if column not in other.schema.names:
                    close = did_you_mean(column, other.schema.names)
                    raise StepError(
                        f"decontaminate: '{name}' has no column '{column}' to compare; {close} (there are: "
                        f"{some(other.schema.names, 30)}). `hash` and `embed` give hashes and vectors"
                    )
            self._check(other.schema, f" of '{name}'")
        return self._with(tuple(other.schema for other in others))

    def recalling(self, state: State) -> Self:
        field = state.mapped["vectors"].schema.field(VECTOR) if self.vectors else None
        return self._with((pa.schema([field.with_name(str(self.vectors))]),) if field is not None else ())

    def _with(self, known: tuple[pa.Schema, ...]) -> Self:
        step = self.model_copy()
        step._known = known
        return step

    @property
    def _names(self) -> list[str]:
        """The sets, as messages name them."""
        return [PurePath(name).name if is_file(name) else name for name in self.against]

    def _check(self, schema: pa.Schema, where: str = "") -> None:
        for how, column in self.compared.items():
            dtype = schema.field(column).type
            fits = is_vector(dtype) if how == "vectors" else is_text(dtype)
            if not fits:
                wanted = "vectors" if how == "vectors" else "text"
                raise StepError(f"decontaminate: '{column}'{where} is {dtype}, and {how} compares {wanted}")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        if self._known is None:
            raise StepError(f"decontaminate: the columns of {some(self._names)} are not known here")
        self._check(given)
        for known in self._known if self.vectors else ():
            same_space(given.field(str(self.vectors)), known.field(str(self.vectors)))
        if self.into in given.names:
            raise StepError(f"decontaminate: the rows have '{self.into}' already; give `into` another name")
        return [pa.field(self.into, pa.string())] if self.into else []

    def fit(self, frame: Frame, context: Context) -> State:
        mapped: dict[str, pa.Table] = {}
        with other_sets(context.others(), context.work) as sets:
            for how, column in self.compared.items():
                if how == "vectors":
                    mapped[how] = sets.vectors(column, frame.schema.field(column))
                else:
                    mapped[how] = sets.sorted_keys(column, _KEYS[how])
            values = {"sets": self._names, "rows": sets.rows, "without": sets.without}
        return State(values, mapped=mapped)

    def apply(self, rows: Rows, state: State) -> Outcome:
        met = self._meet(rows, state)
        drop = np.zeros(len(rows), np.uint8)
        texts: list[str | None] = [None] * len(rows)
        for code, how in enumerate(_HOW, start=1):
            found = met.get(how)
            if found is None:
                continue
            first = (found.row >= 0) & (drop == 0)
            drop[first] = code
            for at in np.flatnonzero(first).tolist() if self.into else ():
                texts[at] = f"{found.set_of(at, state)} {found.uid_of(at)}"
        return Outcome({self.into: pa.array(texts, pa.string())} if self.into else {}, drop)

    def _meet(self, rows: Rows, state: State) -> dict[str, NearRows]:
        met: dict[str, NearRows] = {}
        left = np.ones(len(rows), bool)
        for how, column in self.compared.items():
            values = plain_or_vectors(rows, column, how)
            distance = self.pdq_distance if how == "pdq" else self.distance
            met[how] = meet(how, values, left, state.mapped[how], distance, self.above)
            left &= met[how].row < 0
        return met

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        columns = {}
        for how, column in self.compared.items():
            dtype = state.mapped[how].schema.field(VECTOR).type if how == "vectors" else pa.string()
            columns[column] = pa.array([row.get(column)], dtype)
        for how, found in self._meet(Rows(pa.table(columns)), state).items():
            if found.row[0] >= 0:
                what = {
                    "sha256": "equal SHA-256",
                    "phash": f"{found.value[0]:g} bits",
                    "pdq": f"{found.value[0]:g} bits of PDQ",
                    "vectors": f"cosine {found.value[0]:.4f}",
                }
                return f"{what[how]}: '{found.uid_of(0)}' of {found.set_of(0, state)}"
        return f"near no row of {some(state.values['sets'])}"

    def learned(self, state: State) -> str:
        values = state.values
        sets = [f"{in_rows(rows)} of {name}" for name, rows in zip(values["sets"], values["rows"], strict=True)]
        without = [f"{count:,} without {column}" for column, count in sorted(values["without"].items()) if count]
        return f"compared with {some(sets)}{', ' if without else ''}{', '.join(without)}"


def digest_keys(values: pa.Array) -> pa.Array:
    """Return digests in lower case; null for empty ones."""
    texts = pc.utf8_lower(plain(values))
    return pc.if_else(pc.equal(texts, ""), None, texts)


def hash_keys(bits: int, values: pa.Array) -> pa.Array:
    """Return hashes of pictures in lower case; null for those that say nothing about a picture.

    Raises:
        StepError: a value is no hash of so many bits.
    """
    texts = pc.utf8_lower(plain(values))
    texts = pc.if_else(pc.is_in(texts, value_set=pa.array(FLAT_HASHES)), None, texts)
    digits = re.compile(f"[0-9a-f]{{{bits // 4}}}")
    bad = next((text for text in texts.to_pylist() if text is not None and not digits.fullmatch(text)), None)
    if bad is not None:
        raise StepError(
            f"decontaminate: '{bad}' is not a {bits}-bit hash of {bits // 4} hex digits; compute them with `hash`"
        )
    return texts


_KEYS: Mapping[str, Keys] = {"sha256": digest_keys} | {how: partial(hash_keys, 64 * WORDS[how]) for how in WORDS}
"""How values are brought into the form in which they are compared."""


def plain_or_vectors(rows: Rows, column: str, how: str) -> pa.Array | npt.NDArray[Any]:
    """Return the values of a column as they are compared."""
    if how == "vectors":
        return rows.vectors(column)
    return _KEYS[how](rows.column(column))
