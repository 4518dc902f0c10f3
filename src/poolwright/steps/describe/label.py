"""label: zero-shot labels: the class of a vocabulary whose text is nearest to the image."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import ConfigDict, Field, model_validator

from poolwright.core.columns import LABEL, MODEL_KEY, SIMILARITY, UID, WEIGHTS_KEY
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.frame import Context, Frame
from poolwright.core.pool import PathOrUrl
from poolwright.core.rows import Rows, one_array, vector_array, vectors_of
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.kernels.similarity.nearest import FEW, TextIndex, has_torch, index_texts, nearest
from poolwright.models.encoders.spec import Model
from poolwright.models.texts.templates import TemplateSource, check_fields, prompts_of, read_templates
from poolwright.models.texts.text_features import (
    FEATURE,
    KIND,
    VOCABULARY,
    encode_classes,
    features_axis,
    read_features,
)
from poolwright.models.texts.vocabulary import NAMES, Vocabulary, VocabularySource, read_vocabulary
from poolwright.steps.describe.vector_columns import (
    NO_VECTOR,
    check_encoder,
    check_features,
    features_record,
    vector_column,
    without_direction,
)

INDEX = "index"
TYPES = (pa.string(), pa.int32(), pa.float32())


class Label(Step):
    """Label every image with the class whose text feature is nearest to its vector.

    The class with the highest cosine wins; of equal ones, the class with the smallest index. Classes may
    share a name (ImageNet-21K's do): `label_index` is the identity of a class, `label` its name.
    """

    model_config = ConfigDict(populate_by_name=True)

    verb: ClassVar[str] = "label"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = (
        'label: {with: clip, vocabulary: [cat, dog, house], template: "a photo of a {}.", model: clip}'
    )
    state_kind: ClassVar[str] = KIND
    labelled_by: ClassVar[Literal["", "model", "people"]] = "model"
    reasons: ClassVar[tuple[Reason, ...]] = (NO_VECTOR,)
    costly: ClassVar[bool] = True

    with_: str = Field(alias="with", description="column with the image vectors")
    vocabulary: VocabularySource
    template: TemplateSource = "a photo of a {}."
    names: Literal["first", "all"] = Field(
        default="all",
        description="names of a class that fill the template: the first, or its synonyms (lemmas of imagenet21k) too, "
        "averaged",
    )
    about: dict[str, str] = Field(
        default_factory=dict,
        description="further texts of the class, by the column to write them to: {wnid: id, definition: definition}",
    )
    model: Model | None = Field(default=None, description="encoder of the texts: the one that made the vectors")
    features: PathOrUrl | None = Field(
        default=None, description=".npy of precomputed text features, instead of a model"
    )
    features_axis: Literal[0, 1] | None = Field(
        default=None, description="axis of `features` that counts the classes; required if the file is square"
    )
    features_model: str | None = Field(default=None, description="name of the model that made `features`")
    top_k: int = Field(default=1, ge=1, description="number of nearest classes to write")
    into: str = Field(default=LABEL, min_length=1, description="column of the label; others are named after it")

    @model_validator(mode="after")
    def _one_source(self) -> Label:
        if (self.model is None) == (self.features is None):
            raise ValueError("give either 'model' (encodes the texts) or 'features' (a .npy of them)")
        if self.features is None and (self.features_axis is not None or self.features_model):
            raise ValueError("features_axis and features_model describe 'features', which is not given; remove them")
        if self.features is not None and "template" in self.model_fields_set:
            raise ValueError("'template' has no effect on precomputed 'features'; remove one of them")
        taken = {UID, self.with_, *self._names(), *self._top_names()} & set(self.about)
        if taken:
            raise ValueError(f"'about' cannot write '{min(taken)}'; name another column")
        return self

    def needs(self) -> tuple[str, ...]:
        return (self.with_,)

    def files(self) -> tuple[str, ...]:
        """Return the files besides the pool whose content decides the labels."""
        named = isinstance(self.vocabulary, str) and self.vocabulary not in NAMES
        return (*([str(self.vocabulary)] if named else []), *([self.features] if self.features else []))

    def check_files(self, given: pa.Schema) -> None:
        field = vector_column(given, self.with_, self.verb)
        classes = len(self.classes())
        if self.features is not None:
            check_features(field, self.features_model, self.features)
            features_axis(self.features, classes, field.type.list_size, self.features_axis)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        vector_column(given, self.with_, self.verb)
        best = [pa.field(name, kind) for name, kind in zip(self._names(), TYPES, strict=True)]
        best += [pa.field(name, pa.string()) for name in self.about]
        if self.top_k == 1:
            return best
        return best + [pa.field(name, pa.list_(kind)) for name, kind in zip(self._top_names(), TYPES, strict=True)]

    def _names(self) -> tuple[str, str, str]:
        """Return the columns of the nearest class: name, index, similarity."""
        return self.into, f"{self.into}_index", SIMILARITY if self.into == LABEL else f"{self.into}_similarity"

    def _top_names(self) -> tuple[str, str, str]:
        """Return the columns of the `top_k` nearest classes, best first: names, indices, similarities."""
        return f"{self.into}_top", f"{self.into}_top_index", f"{self.into}_top_similarity"

    def class_names(self) -> tuple[str, ...]:
        return self.classes().names

    def classes(self) -> Vocabulary:
        """Read the vocabulary and check it against `template`, `about` and `top_k`.

        Raises:
            RecipeError: it cannot be read, or does not go with `template`, `about` or `top_k`.
        """
        vocabulary = read_vocabulary(self.vocabulary)
        if self.features is None:
            check_fields(read_templates(self.template), vocabulary.classes)
        for column, text in self.about.items():
            if text not in vocabulary.about or text in (INDEX, FEATURE):
                hint = did_you_mean(text, vocabulary.about)
                raise RecipeError(f"label: 'about' wants '{text}' for '{column}', which no class has; {hint}")
        if self.top_k > len(vocabulary):
            raise RecipeError(f"label: top_k is {self.top_k}, but the vocabulary has {len(vocabulary)} classes")
        return vocabulary

    def warm_up(self) -> None:
        """Import PyTorch ahead of the first batch, as this takes seconds."""
        if len(self.classes()) > FEW:
            has_torch()

    def fit(self, frame: Frame, context: Context) -> State:
        field = vector_column(frame.schema, self.with_, self.verb)
        vocabulary = self.classes()
        values: dict[str, Any] = {
            "vocabulary": vocabulary.source,
            "vocabulary_digest": vocabulary.digest,
            "classes": len(vocabulary),
        }
        matrix, origin = self._text_features(vocabulary, field, context)
        # A class with the feature of an earlier one loses every tie against it; `learned` reports how many do.
        values["never_nearest"] = len(matrix) - len({feature.tobytes() for feature in matrix})
        state = State(values | origin, {VOCABULARY: _table(vocabulary, matrix, origin)})
        # Prepared in the background while the state is being saved.
        threading.Thread(target=_text_index, args=(state,), daemon=True).start()
        return state

    def _text_features(
        self, vocabulary: Vocabulary, field: pa.Field, context: Context
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Return text features (m, d), and their origin for the record."""
        if self.model is None:
            path = self.features or ""
            check_features(field, self.features_model, path)
            matrix = read_features(path, vocabulary.names, field.type.list_size, self.features_axis)
            return matrix, {"model": self.features_model, **features_record(path)}
        encoder = context.encoder(self.model)
        check_encoder(field, "label texts", encoder)
        templates = read_templates(self.template)
        prompts = [prompts_of(one, templates, self.names == "all") for one in vocabulary.classes]
        matrix = encode_classes(encoder, vocabulary.names, prompts)
        return matrix, {"model": encoder.name, "weights": encoder.weights, "templates": list(templates)}

    def apply(self, rows: Rows, state: State) -> Outcome:
        vectors = rows.vectors(self.with_)
        index, similarity = nearest(vectors, _text_index(state), k=self.top_k)
        missing = without_direction(similarity[:, 0], vectors)
        names = one_array(state.tables[VOCABULARY].column("name"))
        best = index[:, 0], similarity[:, 0]
        columns = dict(zip(self._names(), _columns(names, *best, missing), strict=True))
        texts = state.tables[VOCABULARY]
        indices = pa.array(index[:, 0], mask=missing)
        columns |= {name: one_array(texts.column(text)).take(indices) for name, text in self.about.items()}
        if self.top_k > 1:
            flat = _columns(names, index.ravel(), similarity.ravel(), np.repeat(missing, self.top_k))
            ends = pa.array(np.arange(len(rows) + 1, dtype=np.int32) * self.top_k)
            lists = (pa.ListArray.from_arrays(ends, values) for values in flat)
            columns |= dict(zip(self._top_names(), lists, strict=True))
        return Outcome(columns, missing.astype(np.uint8))

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        label, index, similarity = (row.get(name) for name in self._names())
        if label is None or similarity is None:
            return ""
        return f"nearest of {state.values['classes']:,} classes: '{label}' (index {index}), similarity {similarity:.4f}"

    def learned(self, state: State) -> str:
        values = state.values
        texts = f"{len(values['templates'])} templates" if "templates" in values else f"features {values['features']}"
        texts = texts.removesuffix("s") if texts == "1 templates" else texts
        by = f", encoded by {values['model']}" if values["model"] else ""
        twins = values["never_nearest"]
        hidden = f"; {twins:,} have the text feature of an earlier class and are never nearest" if twins else ""
        return f"{values['classes']:,} classes of {values['vocabulary']}; {texts}{by}{hidden}"


def _columns(
    names: pa.Array, index: np.ndarray, similarity: np.ndarray, missing: np.ndarray
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return label, index and similarity, (n,) each, null where missing."""
    indices = pa.array(index, mask=missing)
    return names.take(indices), indices, pa.array(similarity, mask=missing)


def _table(vocabulary: Vocabulary, features: np.ndarray, origin: Mapping[str, Any]) -> pa.Table:
    """Return the classes with their text features: index, name, other texts, feature."""
    columns = {INDEX: pa.array(np.arange(len(vocabulary), dtype=np.int32)), "name": pa.array(vocabulary.names)}
    for key in vocabulary.about:
        if key not in (*columns, FEATURE):
            columns[key] = pa.array([one.about.get(key) for one in vocabulary.classes], pa.string())
    table = pa.table(columns)
    known = {MODEL_KEY: origin["model"], WEIGHTS_KEY: origin.get("weights")}
    metadata = {key: text for key, text in known.items() if text}
    array = vector_array(features)
    return table.append_column(pa.field(FEATURE, array.type, metadata=metadata or None), array)


def _text_index(state: State) -> TextIndex:
    """Return the text features of a state, prepared for `nearest` once per process."""

    def made(state: State) -> TextIndex:
        return index_texts(vectors_of(one_array(state.tables[VOCABULARY].column(FEATURE))))

    return once("texts", state, made)
