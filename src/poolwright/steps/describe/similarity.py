"""similarity: cosine of two vectors of a row, or of a vector and a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from poolwright.core.columns import SIMILARITY, same_space
from poolwright.core.frame import Context, Frame
from poolwright.core.pool import PathOrUrl
from poolwright.core.rows import Rows, one_array, vector_array, vectors_of
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.kernels.similarity.nearest import exact_similarity
from poolwright.models.encoders.spec import Model
from poolwright.models.texts.text_features import encode_classes, features_axis, read_features
from poolwright.steps.describe.vector_columns import (
    NO_VECTOR,
    check_encoder,
    check_features,
    features_record,
    vector_column,
    without_direction,
)

PROMPT = "prompt"
FEATURE = "feature"


class Similarity(Step):
    """Write the cosine of a row's vector and another vector of the row, or one vector that all rows are compared with.

    A row without a usable vector is dropped as bad, as `label` does: a null similarity would be dropped
    by the next threshold without a reason that says so.
    """

    verb: ClassVar[str] = "similarity"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "similarity: {of: clip, prompt: a photo of a map., model: clip, into: maplike}"
    reasons: ClassVar[tuple[Reason, ...]] = (NO_VECTOR,)
    costly: ClassVar[bool] = True

    of: str = Field(description="column with vectors")
    to: str | None = Field(default=None, description="other column with vectors of the same model")
    prompt: str | list[str] | None = Field(
        default=None, description="text, or several whose features are averaged as templates are; needs `model`"
    )
    model: Model | None = Field(default=None, description="encoder of the prompt: the one that made the vectors")
    features: PathOrUrl | None = Field(
        default=None, description=".npy with one precomputed text feature, instead of a prompt"
    )
    features_model: str | None = Field(default=None, description="name of the model that made `features`")
    into: str = Field(default=SIMILARITY, min_length=1, description="column of the similarity")

    @model_validator(mode="after")
    def _one_target(self) -> Similarity:
        if sum(given is not None for given in (self.to, self.prompt, self.features)) != 1:
            raise ValueError("give one of 'to' (a column), 'prompt' (with 'model') or 'features' (a .npy)")
        if (self.prompt is None) != (self.model is None):
            raise ValueError("'prompt' and 'model' go together: the model encodes the prompt")
        if self.prompt is not None and not all(text.strip() for text in self._prompts() or [""]):
            raise ValueError("a prompt is empty; write a text such as 'a photo of a map.'")
        if self.features_model and self.features is None:
            raise ValueError("features_model describes 'features', which is not given; remove it")
        return self

    def needs(self) -> tuple[str, ...]:
        return (self.of,) if self.to is None else (self.of, self.to)

    def files(self) -> tuple[str, ...]:
        """Return the files besides the pool whose content decides the similarities."""
        return (self.features,) if self.features else ()

    def check_files(self, given: pa.Schema) -> None:
        if self.features is not None:
            field = vector_column(given, self.of, self.verb)
            check_features(field, self.features_model, self.features)
            features_axis(self.features, 1, field.type.list_size)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        field = vector_column(given, self.of, self.verb)
        if self.to is not None:
            same_space(field, vector_column(given, self.to, self.verb))
        return [pa.field(self.into, pa.float32())]

    def fit(self, frame: Frame, context: Context) -> State:
        if self.to is not None:
            return State()
        field = vector_column(frame.schema, self.of, self.verb)
        feature, origin = self._feature(field, context)
        return State(origin, {PROMPT: pa.table({FEATURE: vector_array(feature)})})

    def _feature(self, field: pa.Field, context: Context) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the one vector (1, d) that all rows are compared with, and its origin for the record."""
        if self.model is None:
            path = self.features or ""
            check_features(field, self.features_model, path)
            matrix = read_features(path, ["the only one"], field.type.list_size)
            return matrix, {"model": self.features_model, **features_record(path)}
        encoder = context.encoder(self.model)
        check_encoder(field, "the prompt", encoder)
        prompts = self._prompts()
        matrix = encode_classes(encoder, [prompts[0]], [prompts])
        return matrix, {"model": encoder.name, "weights": encoder.weights, "prompts": prompts}

    def _prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else list(self.prompt or ())

    def apply(self, rows: Rows, state: State) -> Outcome:
        vectors = rows.vectors(self.of)
        if self.to is not None:
            others = rows.vectors(self.to)
            similarity = exact_similarity(vectors, others, unit_texts=False)
            missing = without_direction(similarity, vectors, others)
        else:
            feature = vectors_of(one_array(state.tables[PROMPT].column(FEATURE)))
            similarity = exact_similarity(vectors, np.broadcast_to(feature, vectors.shape))
            missing = without_direction(similarity, vectors)
        return Outcome({self.into: pa.array(similarity, mask=missing)}, missing.astype(np.uint8))

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        value = row.get(self.into)
        return "" if value is None else f"{self.into} {value:.4f}"

    def learned(self, state: State) -> str:
        if self.to is not None:
            return f"cosine of '{self.of}' and '{self.to}'"
        texts = " + ".join(f"'{text}'" for text in state.values.get("prompts", ())) or state.values["features"]
        by = f", encoded by {state.values['model']}" if state.values["model"] else ""
        return f"cosine of '{self.of}' and {texts}{by}"
