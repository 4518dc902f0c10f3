"""embed: vectors of images and texts, by an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from poolwright.core.columns import IMAGE, IMAGE_ERROR, TEXT, is_text, vector_field
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import ChangedError, StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.images.image import REASONS, drop_codes, unread
from poolwright.core.images.image_files import Limits
from poolwright.core.roles import Encoded, EncodingStep
from poolwright.core.rows import Rows, vector_array
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Resources
from poolwright.models.encoders.load import load_encoder, peek, uses_gpu
from poolwright.models.encoders.spec import Model
from poolwright.models.encoders.vectors import ImageEncoder

NAN_VECTOR = Reason("nan_vector", "the encoder gave no finite vector", bad=True)


def _with_options(model: EncoderSpec, info: ValidationInfo) -> EncoderSpec:
    """Return the encoder with this step's own device and batch, so that `model` alone defines what runs."""
    options = {name: info.data.get(name) for name in ("device", "batch")}
    return model.model_copy(update={name: value for name, value in options.items() if value is not None})


class Embed(EncodingStep):
    """Give each image, each text, or both, a vector of one encoder.

    A row whose image cannot be read or decoded is dropped for that reason. A row without a text gets a
    null vector and stays. Vectors are stored as float16, unit length.
    """

    verb: ClassVar[str] = "embed"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "embed: {image: clip, text: clip_text, model: clip}"
    reasons: ClassVar[tuple[Reason, ...]] = (*REASONS, NAN_VECTOR)
    costly: ClassVar[bool] = True

    image: str | None = Field(default=None, description="name for the vectors of the images")
    text: str | None = Field(default=None, description="name for the vectors of the texts")
    text_from: str = Field(default=TEXT, description="column of the texts")
    device: Literal["auto", "cpu", "cuda"] | None = Field(
        default=None, description="device to run on; default: that of the model"
    )
    batch: int | None = Field(default=None, ge=1, description="images per batch on a GPU; default: that of the model")
    max_bytes: int = Field(default=Limits.max_bytes, ge=1, description="largest image file, in bytes")
    max_pixels: int = Field(default=Limits.max_pixels, ge=1, description="largest image, width times height")
    model: Annotated[Model, AfterValidator(_with_options)]  # last: its validator reads device and batch

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if not self.image and not self.text:
            raise ValueError("embed gives nothing: name a column for 'image', for 'text', or for both")
        if self.image == self.text:
            raise ValueError(f"embed: image and text cannot both be called '{self.image}'; name one differently")
        return self

    @classmethod
    def encoded(cls, parameters: Mapping[str, Any]) -> Encoded:
        image, text = parameters.get("image"), parameters.get("text")
        return Encoded(image, text, parameters.get("text_from", TEXT) if text else None)

    @classmethod
    def parameters_for(cls, column: str, model: Any) -> dict[str, Any]:
        return {"image": column, "model": model}

    def needs(self) -> tuple[str, ...]:
        return (*((IMAGE,) if self.image else ()), *((self.text_from,) if self.text else ()))

    def optional(self) -> tuple[str, ...]:
        return (IMAGE_ERROR,) if self.image else ()

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        if self.text and not is_text(given.field(self.text_from).type):
            raise StepError(f"embed: column '{self.text_from}' is {given.field(self.text_from).type}, not text")
        seen = peek(self.model)
        if self.text and not seen.texts:
            raise StepError(f"embed: model '{seen.name}' has no text encoder; leave out 'text: {self.text}'")
        names = [name for name in (self.image, self.text) if name]
        return [vector_field(name, seen.width, seen.name, seen.weights) for name in names]

    def resources(self) -> Resources:
        return Resources(gpus=1 if uses_gpu(self.model) else 0)

    def fit(self, frame: Frame, context: Context) -> State:
        """Remember the encoder, so that rows embedded later are known to be of the same one."""
        encoder = context.encoder(self.model)
        made_by = {"name": encoder.name, "width": encoder.width, "weights": encoder.weights}
        return State({"models": {name: made_by for name in (self.image, self.text) if name}})

    def apply(self, rows: Rows, state: State) -> Outcome:
        encoder = self._encoder(state)
        columns: dict[str, pa.Array] = {}
        drop = None
        if self.image:
            columns[self.image], drop = self._images(rows, encoder)
        if self.text:
            columns[self.text] = self._texts(rows, encoder)
        return Outcome(columns, drop)

    def learned(self, state: State) -> str:
        made_by = next(iter(state.values["models"].values()))
        return f"{made_by['name']}, {made_by['width']} dimensions, weights {made_by['weights'][:12]}"

    def _encoder(self, state: State) -> ImageEncoder:
        encoder = load_encoder(self.model)
        weights = next(iter(state.values["models"].values()))["weights"]
        if encoder.weights != weights:
            raise ChangedError(
                f"embed: model '{encoder.name}' has weights {encoder.weights[:12]}, but this table was begun with "
                f"{weights[:12]}; put the old model back, or start the table over with --fresh"
            )
        return encoder

    def _images(self, rows: Rows, encoder: ImageEncoder) -> tuple[pa.Array, np.ndarray | None]:
        files = _Files(rows.column(IMAGE))
        there = np.flatnonzero(files.valid)
        found, reasons = encoder.images(files.take(there), Limits(self.max_bytes, self.max_pixels))
        vectors = np.full((len(rows), encoder.width), np.nan, np.float32)
        vectors[there] = found
        why: list[str | None] = list(unread(rows))
        finite = np.isfinite(found).all(axis=1)
        for index, reason, good in zip(there, reasons, finite, strict=True):
            why[index] = reason or (None if good else NAN_VECTOR.name)
        return _as_float16(vectors), drop_codes(why, (NAN_VECTOR.name,))

    def _texts(self, rows: Rows, encoder: ImageEncoder) -> pa.Array:
        texts = rows.strings(self.text_from)
        with_text = [index for index, text in enumerate(texts) if text is not None]
        vectors = np.full((len(rows), encoder.width), np.nan, np.float32)
        if with_text:
            vectors[with_text] = encoder.texts([texts[index] or "" for index in with_text])
        return _as_float16(vectors)


def _as_float16(vectors: np.ndarray) -> pa.Array:
    """Return the vectors as they are stored; a row that is not finite is null."""
    return vector_array(vectors.astype(np.float16), np.isfinite(vectors).all(axis=1))


class _Files(Sequence[bytes | None]):
    """View a binary column as image files, each copied only when it is decoded."""

    def __init__(self, array: pa.Array) -> None:
        self.array = array

    @property
    def valid(self) -> np.ndarray:
        return np.asarray(pc.is_valid(self.array).to_numpy(zero_copy_only=False), bool)

    def take(self, rows: np.ndarray) -> _Files:
        """Return the files at these rows; this same object if all are asked for."""
        return self if len(rows) == len(self) else _Picked(self.array, rows)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: int) -> bytes | None:  # type: ignore[override]
        value: bytes | None = self.array[index].as_py()
        return value


class _Picked(_Files):
    """View some files of a column, by their rows."""

    def __init__(self, array: pa.Array, rows: np.ndarray) -> None:
        super().__init__(array)
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> bytes | None:  # type: ignore[override]
        return super().__getitem__(int(self.rows[index]))
