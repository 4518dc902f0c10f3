"""licenses: keep the rows whose licence is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, BeforeValidator, Field

from poolwright.core.columns import LICENSE, is_text
from poolwright.core.errors import StepError
from poolwright.core.params import Column
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.reference.license_codes import NAMED, allowed, check_code, code_of, code_of_flickr


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _checked(codes: tuple[str, ...]) -> tuple[str, ...]:
    for code in codes:
        check_code(code)
    return codes


class Licenses(Step):
    """Keep the rows whose licence is among those allowed.

    Licences are recognised as SPDX codes and names, as the usual names ("CC BY-SA 2.0", "Attribution-ShareAlike
    License") and as the URLs of Creative Commons, in any case. A licence without a version allows all its
    versions: 'cc-by' allows 'CC-BY-2.0' and 'CC-BY-3.0-IGO', not 'CC-BY-SA-4.0'. A number alone means nothing
    without its source: `numbers: flickr` reads it as Flickr's.
    """

    verb: ClassVar[str] = "licenses"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = "licenses: {allow: [public-domain, cc-by, cc-by-sa]}"
    shorthand: ClassVar[str | None] = "allow"
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("no_license", "no licence is given"),
        Reason("numbered_license", "its licence is a number; 'numbers: flickr' reads those of Flickr"),
        Reason("unknown_license", "its licence is not known"),
        Reason("license_not_allowed", "its licence is not allowed"),
    )

    allow: Annotated[tuple[str, ...], BeforeValidator(_as_list), AfterValidator(_checked)] = Field(
        min_length=1, description=f"codes such as cc-by-4.0, '=text' for exactly this text, or: {', '.join(NAMED)}"
    )
    column: Column = Field(default=LICENSE, description="column with the licence")

    numbers: Literal["flickr"] | None = Field(
        default=None, description="whose numbers of licences the column has: those of the API of Flickr, 0 to 16"
    )

    def needs(self) -> tuple[str, ...]:
        return (self.column,)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        dtype = given.field(self.column).type
        if not is_text(dtype) and not (self.numbers and pa.types.is_integer(dtype)):
            hint = "; 'numbers: flickr' reads the numbers of Flickr" if pa.types.is_integer(dtype) else ""
            raise StepError(f"licenses: '{self.column}' is {dtype}; a licence is a code, a name or a URL{hint}")
        return []

    def apply(self, rows: Rows, state: State) -> Outcome:
        coded = rows.column(self.column)
        coded = coded if is_text(coded.type) else coded.cast(pa.string())
        coded = coded if pa.types.is_dictionary(coded.type) else coded.dictionary_encode()
        verdicts = [self._verdict(text) for text in coded.dictionary.to_pylist()]
        indices = coded.indices.cast(pa.int64()).fill_null(len(verdicts)).to_numpy(zero_copy_only=False)
        return Outcome(drop=np.array([*verdicts, 1], dtype=np.uint8)[indices])

    def _verdict(self, text: str | None) -> int:
        """Return 0 for a licence that is allowed, else the number of the reason, from 1."""
        if text is None or not text.strip():
            return 1
        if f"={text}" in self.allow:
            return 0
        code = self._code(text)
        if code is None:
            return 2 if text.strip().isdigit() and not self.numbers else 3
        return 0 if any(allowed(code, entry) for entry in self.allow) else 4

    def _code(self, text: str) -> str | None:
        return code_of_flickr(text) if self.numbers and text.strip().isdigit() else code_of(text)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        value = row.get(self.column)
        text = None if value is None else str(value)
        code = self._code(text) if text else None
        read = f", read as {code}" if code and code != text else ""
        return f"{self.column} = {text}{read}; allowed: {', '.join(self.allow)}"

    def learned(self, state: State) -> str:
        return f"allowed: {', '.join(self.allow)}"
