"""classify: a classifier trained on labelled examples, chosen among several, and its decision on every row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from poolwright.core.columns import SHA256, UID, is_groupable, is_text, same_space
from poolwright.core.errors import InputError, StepError, did_you_mean, require_module
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Columns, Share, parse_share
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.table import DECISIONS, Table
from poolwright.core.wording import some
from poolwright.kernels.classifiers.parameters import KINDS
from poolwright.kernels.classifiers.predict import Prepared, decide, prepare
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows
from poolwright.models.classifiers.comparison_text import KIND
from poolwright.models.classifiers.examples import TRAIN, Examples, feature_matrix, joined
from poolwright.models.classifiers.options import ClassifierOptions
from poolwright.models.classifiers.thresholds import Target
from poolwright.models.classifiers.trained import TrainedClassifier
from poolwright.models.classifiers.training import train
from poolwright.reference.keywords import keyword_columns
from poolwright.steps.describe.vector_columns import NO_VECTOR, vector_column

BINS = 200


def _target(value: Any) -> Any:
    """'accuracy', 'natural', or {precision: 95%}, as (goal, value)."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, Mapping) and len(value) == 1:
        goal, share = next(iter(value.items()))
        return goal, parse_share(share)
    return value


Threshold = Annotated[
    tuple[Literal["natural", "accuracy", "precision", "recall"], float | None],
    BeforeValidator(_target),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["natural", "accuracy"]},
                {"type": "object", "properties": {"precision": {}, "recall": {}}, "maxProperties": 1},
            ]
        }
    ),
]


class Classify(Step):
    """Train classifiers on labelled examples, choose the best, and decide on every row.

    The examples are a table of the same recipe, with vectors of the same model. All candidates are compared on the
    examples' validation rows; the comparison table is part of the state, as is the chosen classifier, as plain arrays.
    Rows get `decision` (above the threshold means positive), a calibrated `probability`, and `predicted`, as
    scikit-learn would compute them. The decisions of all rows, including dropped ones, are counted in a histogram, by
    which accuracy on the pool is sampled. With `keep`, decisions of dropped rows are quick estimates with a proven
    bound.
    """

    model_config = ConfigDict(populate_by_name=True)

    verb: ClassVar[str] = "classify"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = (
        "classify: {with: clip, examples: labelled, positive: map, threshold: {precision: 95%}, keep: true}"
    )
    state_kind: ClassVar[str] = KIND
    reasons: ClassVar[tuple[Reason, ...]] = (NO_VECTOR, Reason("not_wanted", "it is not of a wanted class"))

    with_: str = Field(alias="with", description="column with the vectors")
    examples: Columns = Field(
        description="table of labelled examples, or several; if a row is in two, the later table counts"
    )
    vectors: str | None = Field(default=None, description="column with the examples' vectors, if not named as `with`")
    class_: str = Field(default="class", alias="class", description="column with the examples' classes")
    split: str | None = Field(
        default=None, description="column of the examples with 'train' and 'validation'; default: drawn by hash"
    )
    positive: str | None = Field(
        default=None, description="the wanted class; all others become one. Required for two classes"
    )
    candidates: tuple[Literal["mean", "logistic", "linear_svm", "mlp", "svm", "knn"], ...] = Field(
        default=("mean", "logistic", "mlp", "svm"), min_length=1, description=f"kinds to compare: {', '.join(KINDS)}"
    )
    choose_by: Literal["accuracy", "precision", "recall", "roc_auc", "average_precision"] | None = Field(
        default=None,
        description="metric that decides among them; default average_precision, accuracy for several classes",
    )
    threshold: Threshold = Field(
        default=("natural", None),
        description="natural (0), accuracy (the best), {precision: 95%} or {recall: 90%} on validation rows",
    )
    prevalence: Share | None = Field(
        default=None, description="share of positives to expect in the pool, for threshold and probabilities"
    )
    near_duplicates: float | None = Field(
        default=0.98, gt=0, le=1, description="cosine from which a training row counts as a copy of a validation row"
    )
    folds: int = Field(default=5, ge=2, description="folds of the cross-validation")
    text: str | None = Field(
        default=None, description="column with caption vectors, compared in addition to the image's"
    )
    text_vectors: str | None = Field(default=None, description="the examples' caption vectors, if not named as `text`")
    caption: str | None = Field(default=None, description="column with captions, in rows and examples, for `keywords`")
    keywords: dict[str, tuple[Annotated[str, Field(min_length=1)], ...]] = Field(
        default_factory=dict, description="words by language, such as {en: [map, chart], de: [karte]}"
    )
    keep: bool = Field(default=False, description="drop the rows that are not of the positive class")

    @model_validator(mode="after")
    def _fits_together(self) -> Classify:
        if (self.caption is None) != (not self.keywords):
            raise ValueError("'caption' and 'keywords' go together: the column, and the words to look for")
        if self.keep and self.positive is None:
            raise ValueError("'keep' needs 'positive', the class to keep")
        ClassifierOptions(threshold=Target(*self.threshold))
        return self

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name in (self.with_, self.text, self.caption) if name))

    def tables(self) -> tuple[str, ...]:
        return self.examples

    def check_tables(self, schemas: Mapping[str, pa.Schema]) -> None:
        require_module("sklearn", f"the step '{self.verb}'")
        for number, name in enumerate(self.examples):
            self._check_table(name, schemas[name], self.split if number == 0 else None)

    def _check_table(self, table: str, schema: pa.Schema, split: str | None) -> None:
        wanted = [self._example_vectors, self.class_, split, self._example_text, self.caption]
        for name in (name for name in wanted if name):
            if name not in schema.names:
                raise StepError(
                    f"classify: the table '{table}' has no column '{name}'; {did_you_mean(name, schema.names)}"
                )
        vector_column(schema, self._example_vectors, self.verb)
        if not is_groupable(schema.field(self.class_).type):
            raise StepError(f"classify: '{self.class_}' is {schema.field(self.class_).type}; classes are strings")

    def check_against(self, given: pa.Schema, schemas: Mapping[str, pa.Schema]) -> None:
        for name in self.examples:
            self._check_spaces(name, given, schemas[name])

    def _check_spaces(self, table: str, given: pa.Schema, examples: pa.Schema) -> None:
        """Check that rows and examples have vectors of one model, those of images and those of captions.

        Raises:
            StepError: they have not; names both models.
        """
        pairs = [(self.with_, self._example_vectors)]
        if self.text and self._example_text:
            pairs.append((self.text, self._example_text))
        for name, of_examples in pairs:
            try:
                same_space(given.field(name), examples.field(of_examples))
            except StepError as error:
                raise StepError(f"classify: the rows and their examples in '{table}' differ: {error}") from None

    @property
    def _example_vectors(self) -> str:
        return self.vectors or self.with_

    @property
    def _example_text(self) -> str | None:
        return self.text_vectors or self.text

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        vector_column(given, self.with_, self.verb)
        if self.text:
            vector_column(given, self.text, self.verb)
        if self.caption and not is_text(given.field(self.caption).type):
            raise StepError(f"classify: '{self.caption}' is {given.field(self.caption).type}; captions are strings")
        floats = [pa.field(name, pa.float32()) for name in ("decision", "probability")]
        return [*floats, pa.field("predicted", pa.string())]

    def fit(self, frame: Frame, context: Context) -> State:
        parts = [self._read(context.table(name), frame.schema) for name in self.examples]
        trained = train(joined(parts), self._options(), context.key)
        state = trained.to_state()
        return State({**state.values, "edges": _edges(trained)}, state.tables, state.speeds)

    def _read(self, table: Table, schema: pa.Schema) -> Examples:
        if not table.record.rows_kept:
            raise InputError(f"classify: the table '{table.name}' kept no rows to learn from")
        self._check_spaces(table.name, schema, table.schema)
        wanted = {UID, self._example_vectors, self.class_, self._example_text, self.caption}
        wanted |= {SHA256, self.split} & set(table.schema.names)
        return self._examples(Rows(table.read(sorted(name for name in wanted if name))))

    def _examples(self, rows: Rows) -> Examples:
        vectors = rows.vectors(self._example_vectors).astype(np.float32)
        usable = has_direction(vectors)
        rows, vectors = rows.filter(usable), vectors[usable]
        return Examples(
            uids=np.array(rows.strings(UID)),
            vectors=unit_rows(vectors),
            labels=np.array([str(value) for value in rows.column(self.class_).to_pylist()]),
            split=self._splits(rows),
            text=self._text(rows, self._example_text),
            sha256=np.array([text or "" for text in rows.strings(SHA256)]) if SHA256 in rows.schema.names else None,
        )

    def _splits(self, rows: Rows) -> npt.NDArray[Any] | None:
        """Return train or validation per row; rows of further tables without the column are all for training."""
        if self.split is None:
            return None
        return np.array(rows.strings(self.split) if self.split in rows.schema.names else [TRAIN] * len(rows))

    def _options(self) -> ClassifierOptions:
        return ClassifierOptions(
            positive=self.positive,
            candidates=self.candidates,
            choose_by=self.choose_by,
            threshold=Target(*self.threshold),
            prevalence=self.prevalence,
            near_duplicates=self.near_duplicates,
            folds=self.folds,
        )

    def _text(self, rows: Rows, vectors: str | None) -> npt.NDArray[np.float32] | None:
        """Return caption features (n, t), their vectors and which keywords they contain; None if not configured."""
        parts = []
        if vectors:
            parts.append(np.nan_to_num(rows.vectors(vectors).astype(np.float32)))
        if self.caption:
            parts.append(keyword_columns(rows.column(self.caption), self.keywords))
        return np.hstack(parts) if parts else None

    def apply(self, rows: Rows, state: State) -> Outcome:
        held = once("classifier", state, _Held)
        features, threshold = state.values["features"], float(state.values["threshold"])
        vectors = rows.vectors(self.with_)
        text = None if features == "image" else self._text(rows, self.text)
        # If the rest is dropped, rows clearly below the threshold need no more than a proven estimate.
        found = decide(
            held.prepared,
            feature_matrix(features, vectors, text),
            threshold,
            precise="kept" if self.keep else "all",
        )
        missing = found.predicted < 0
        best = _of_predicted(found.decision, found.predicted)
        probability = _of_predicted(held.probabilities(found.decision), found.predicted)
        columns = {
            "decision": pa.array(best, mask=missing),
            "probability": pa.array(probability.astype(np.float32), mask=missing),
            "predicted": held.names.take(pa.array(found.predicted, mask=missing)),
        }
        drop = missing.astype(np.uint8)
        if self.keep:
            drop[~missing & ~found.positive] = 2
        if found.decision.ndim > 1:
            return Outcome(columns, drop)
        edges = np.asarray(state.values["edges"], np.float32)
        counts = np.bincount(np.searchsorted(edges, best[~missing]), minlength=len(edges) + 1)
        return Outcome(columns, drop, {DECISIONS: counts})

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        decision = row.get("decision")
        if decision is None:
            return ""
        text = f"decision {decision:.4f}, probability {row['probability']:.4f}: {row['predicted']}"
        return text if self.positive is None else f"{text}; the threshold is {state.values['threshold']:.4f}"

    def learned(self, state: State) -> str:
        made = state.values["training"]
        model = state.values["classifier"]
        text = "" if state.values["features"] == "image" else f" on {state.values['features']}"
        text = f"{model['kind']}{text}, chosen by {made['choose_by']} among {state.tables['comparison'].num_rows}"
        never = made.get("never_predicted", ())
        said = f"; never predicted on validation rows: {some(never)}" if never else ""
        return f"{text}; threshold {state.values['threshold']:.4f}{said}; {model['digest'][:12]}"


def _edges(trained: TrainedClassifier) -> list[float]:
    """Edges of the histogram, around the decisions that were seen; bin i has edges[i - 1] < decision <= edges[i].

    The threshold is one of them, so that the bins above it hold exactly the positive rows.
    """
    if not trained.classifier.binary:
        return []
    low, high = trained.values["decisions"]
    pad = 0.25 * (high - low) or 1.0
    threshold = np.float32(trained.threshold)
    if threshold > trained.threshold:
        threshold = np.nextafter(threshold, np.float32(-np.inf))
    edges = np.append(np.linspace(low - pad, high + pad, BINS - 1, dtype=np.float32), threshold)
    return [float(edge) for edge in np.unique(edges)]


def _of_predicted(values: npt.NDArray[Any], predicted: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
    """Return the values as they are for two classes, that of the predicted class for more."""
    return values if values.ndim == 1 else np.take_along_axis(values, np.maximum(predicted, 0)[:, None], axis=1)[:, 0]


class _Held:
    """A state's classifier, made ready."""

    def __init__(self, state: State) -> None:
        self.trained = TrainedClassifier.from_state(state)
        self.prepared: Prepared = prepare(self.trained.classifier)
        self.names = pa.array(self.trained.classifier.classes)

    def probabilities(self, decisions: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        return self.trained.probabilities(decisions.astype(np.float64))
