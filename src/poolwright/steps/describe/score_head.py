"""score_head: a score of each row by a published head on its vector, or by an image classifier."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from poolwright.core.columns import IMAGE, IMAGE_ERROR
from poolwright.core.errors import ChangedError, InputError, MissingExtra, RecipeError, StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.images.image import REASONS, drop_codes, unread
from poolwright.core.images.image_files import Limits
from poolwright.core.params import Column, exactly_one
from poolwright.core.pool import PathOrUrl
from poolwright.core.remote.files import local_file
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows
from poolwright.models.classifiers.heads import Hidden, ScoringHead, read_head
from poolwright.models.encoders.load import peek
from poolwright.models.encoders.onnx import OnnxScores
from poolwright.models.encoders.spec import Model
from poolwright.steps.describe.vector_columns import NO_VECTOR, vector_column

_NO_SCORE = Reason("no_score", "the head gave no finite score", bad=True)
_HEAD, _CONTENT = "head", "content"
_OF_VECTORS = ("of", "normalise", "hidden")


class ScoreHead(Step):
    """Score rows by a published head, such as LAION's aesthetic predictor, or by an image classifier as ONNX.

    `head` is applied to vectors `of` a column: linear layers in a .safetensors or .npz file, named as torch names them
    (`layers.0.weight` of shape (out, in), `layers.0.bias`), or a graph in an .onnx file. `model` is an ONNX classifier
    of images, described as encoders are: `models: {nsfw: {model: onnx:nsfw.onnx, manifest: {image: {resize: 224}}}}`.

    Scores are float32 and stay as the head gives them unless `final` says otherwise. A row without a usable vector, or
    without a picture that decodes, is dropped for that reason.

    State: the head with its SHA-256, or the digest of the weights of `model`.
    """

    verb: ClassVar[str] = "score_head"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "score_head: {of: clip, head: head.npz, into: aesthetic}"
    reasons: ClassVar[tuple[Reason, ...]] = (*REASONS, NO_VECTOR, _NO_SCORE)
    costly: ClassVar[bool] = True

    of: Column | None = Field(default=None, description="column with the vectors that `head` is applied to")
    head: PathOrUrl | None = Field(default=None, description="file of the head: .safetensors, .npz or .onnx")
    model: Model | None = Field(default=None, description="ONNX classifier of images instead: a name, or onnx:PATH")
    normalise: bool = Field(default=True, description="scale vectors to unit length first, as LAION's heads expect")
    hidden: Hidden = Field(
        default="none", description="what is done between layers of weights: none, as in LAION's heads, or relu"
    )
    output: int | None = Field(default=None, ge=0, description="number of the score to take, if there are several")
    final: Literal["none", "sigmoid", "softmax"] = Field(
        default="none", description="what is done to the scores: a sigmoid, or the softmax over all of them"
    )
    into: Column = Field(default="score", description="column to give")
    max_bytes: int = Field(default=Limits.max_bytes, ge=1, description="largest image file, in bytes")
    max_pixels: int = Field(default=Limits.max_pixels, ge=1, description="largest image, width times height")

    @model_validator(mode="after")
    def _fits_together(self) -> ScoreHead:
        given = exactly_one(self, "head", "model")
        if given == "head" and self.of is None:
            raise ValueError("'head' needs 'of', the column of vectors; a classifier of images is a 'model'")
        unused = [name for name in _OF_VECTORS if name in self.model_fields_set] if given == "model" else []
        if unused:
            raise ValueError(f"'{unused[0]}' is about vectors, and 'model' scores images; remove one of them")
        if self.model and self.model.kind != "onnx":
            raise ValueError(f"'model' runs ONNX classifiers, onnx:PATH, not {self.model.model}")
        if self.head and self.head.lower().endswith(".onnx") and "hidden" in self.model_fields_set:
            raise ValueError("'hidden' has no effect on an ONNX graph; remove it")
        return self

    def needs(self) -> tuple[str, ...]:
        return (self.of,) if self.of else (IMAGE,)

    def optional(self) -> tuple[str, ...]:
        return () if self.of else (IMAGE_ERROR,)

    def files(self) -> tuple[str, ...]:
        """Return the file of the head; the weights of a model are known as those of encoders are."""
        return (self.head,) if self.head else ()

    def check_files(self, given: pa.Schema) -> None:
        if self.head:
            self._check_head(self._read(self._content()), given)

    def _check_head(self, head: ScoringHead, given: pa.Schema) -> None:
        width = vector_column(given, str(self.of), self.verb).type.list_size
        if head.width != width:
            raise StepError(
                f"score_head: '{self.of}' has {width} dimensions, but {self._name} takes {head.width} "
                f"({head.words()}); name the column of the vectors that it was trained on"
            )
        self._check_output(head.outputs)

    def _check_output(self, outputs: int) -> None:
        if self.final == "softmax" and outputs == 1:
            raise StepError(f"score_head: {self._name} gives one score, whose softmax is 1; use 'final: sigmoid'")
        if self.output is None and outputs > 1:
            raise StepError(f"score_head: {self._name} gives {outputs} scores; take one: output: 0 to {outputs - 1}")
        if (self.output or 0) >= outputs:
            raise StepError(
                f"score_head: {self._name} gives {outputs} score{'s' if outputs > 1 else ''}, numbered from 0; "
                f"there is no 'output: {self.output}'"
            )

    @property
    def _name(self) -> str:
        return PurePath(self.head).name if self.head else str(self.model and self.model.model)

    def _content(self) -> bytes:
        try:
            return local_file(str(self.head)).read_bytes()
        except FileNotFoundError:
            raise InputError(f"score_head: there is no file {self.head}; check 'head'") from None

    def _read(self, content: bytes) -> ScoringHead:
        try:
            return read_head(content, self._name, self.hidden)
        except MissingExtra:
            raise
        except (InputError, RecipeError) as error:
            raise StepError(f"score_head: {error}") from None

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        if self.of:
            vector_column(given, self.of, self.verb)
        if self.model:
            self._check_output(peek(self.model).width)
        return [pa.field(self.into, pa.float32())]

    def fit(self, frame: Frame, context: Context) -> State:
        if self.model:
            seen = peek(self.model)
            return State({"model": seen.name, "weights": seen.weights, "outputs": seen.width})
        content = self._content()
        head = self._read(content)
        self._check_head(head, frame.schema)
        values = {"file": self._name, "sha256": hashlib.sha256(content).hexdigest(), "words": head.words()}
        return State(values, {_HEAD: pa.table({_CONTENT: pa.array([content], pa.large_binary())})})

    def apply(self, rows: Rows, state: State) -> Outcome:
        from scipy.special import expit, softmax

        scores, why = self._of_images(rows, state) if self.model else self._of_vectors(rows, state)
        if self.final == "softmax":
            scores = softmax(scores, axis=1)
        score = scores[:, self.output or 0]
        with np.errstate(over="ignore"):
            score = (expit(score) if self.final == "sigmoid" else score).astype(np.float32)
        good = np.isfinite(score)
        names = [reason or (None if fine else _NO_SCORE.name) for reason, fine in zip(why, good.tolist(), strict=True)]
        column = pa.array(score, mask=~good)
        return Outcome({self.into: column}, drop_codes(names, (NO_VECTOR.name, _NO_SCORE.name)))

    def _of_vectors(self, rows: Rows, state: State) -> tuple[npt.NDArray[np.floating], list[str | None]]:
        """Return all scores (n, outputs), NaN without a vector, and per row why it has none."""
        head = once("head", state, self._head_of)
        vectors = rows.vectors(str(self.of))
        usable = has_direction(vectors)
        scores = np.full((len(rows), head.outputs), np.nan)
        some = vectors[usable]
        with np.errstate(over="ignore", invalid="ignore"):
            scores[usable] = head.scores(unit_rows(some) if self.normalise else some)
        return scores, [None if fine else NO_VECTOR.name for fine in usable.tolist()]

    def _head_of(self, state: State) -> ScoringHead:
        return self._read(state.tables[_HEAD].column(_CONTENT)[0].as_py())

    def _of_images(self, rows: Rows, state: State) -> tuple[npt.NDArray[np.floating], list[str | None]]:
        """Return all scores (n, outputs), NaN without a picture, and per row why it has none."""
        model = once("image scores", state, self._model_of)
        files = rows.column(IMAGE)
        there = np.flatnonzero(pc.is_valid(files).to_numpy(zero_copy_only=False))
        scores = np.full((len(rows), model.width), np.nan, np.float32)
        why: list[str | None] = list(unread(rows))
        limits = Limits(self.max_bytes, self.max_pixels)
        scores[there], reasons = model.images([files[int(row)].as_py() for row in there], limits)
        for row, reason in zip(there, reasons, strict=True):
            why[row] = reason
        return scores, why

    def _model_of(self, state: State) -> OnnxScores:
        assert self.model is not None
        model = OnnxScores(self.model)
        if model.weights != state.values["weights"]:
            raise ChangedError(
                f"score_head: model '{model.name}' has weights {model.weights[:12]}, but this table was begun with "
                f"{state.values['weights'][:12]}; put the old model back, or start the table over with --fresh"
            )
        return model

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        score = row.get(self.into)
        return "" if score is None else f"{self.into} {score:.4f}"

    def learned(self, state: State) -> str:
        values = state.values
        if "model" in values:
            return f"{values['model']}, {values['outputs']} scores; {values['weights'][:12]}"
        return f"{values['file']}: {values['words']}; {values['sha256'][:12]}"
