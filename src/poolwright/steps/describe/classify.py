"""classify: a classifier trained on labelled examples, chosen among several, and its decision on every row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ConfigDict, Field, model_validator

from poolwright.core.columns import SHA256, UID, is_groupable, is_text, same_space
from poolwright.core.errors import InputError, MissingExtra, StepError, did_you_mean, require_module
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Columns, Share, exactly_one
from poolwright.core.pool import PathOrUrl
from poolwright.core.roles import AuditQuestion, DecidingStep
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason
from poolwright.core.table import DECISIONS, Table
from poolwright.core.wording import some
from poolwright.kernels.classifiers.parameters import KINDS
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows
from poolwright.models.classifiers.classifier_file import read_classifier, width_of
from poolwright.models.classifiers.comparison_text import KIND
from poolwright.models.classifiers.examples import TRAIN, Examples, feature_matrix, joined
from poolwright.models.classifiers.options import ClassifierOptions
from poolwright.models.classifiers.ready import ReadyClassifier
from poolwright.models.classifiers.thresholds import Target, TargetSetting
from poolwright.models.classifiers.training import train
from poolwright.reference.keywords import keyword_columns
from poolwright.steps.describe.vector_columns import NO_VECTOR, vector_column

WITH_MODEL = {"with_", "model", "classes", "positive", "keep", "question", "instructions"}
"""Fields that go together with a trained model; all others are about training."""


class Classify(DecidingStep):
    """Train classifiers on labelled examples, choose the best, and decide on every row.

    The examples are a table of the same recipe, with vectors of the same model. All candidates are compared on the
    examples' validation rows; the comparison table is part of the state, as is the chosen classifier, as plain arrays.
    Rows get `decision` (above the threshold means positive), a calibrated `probability`, and `predicted`, as
    scikit-learn would compute them. The decisions of all rows, including dropped ones, are counted in a histogram, by
    which accuracy on the pool is sampled. With `keep`, decisions of dropped rows are quick estimates with a proven
    bound.

    With `model`, a classifier that was trained elsewhere decides, and no examples are needed: an ONNX file, a
    classifier of scikit-learn saved by skops (or pickled, if the file holds nothing but types of scikit-learn and
    NumPy), or the `.json` of a state that this step saved in another run. It gets the vectors as they are stored, and
    decides as the library that made it does; `probability` is null if it gives none.
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
    examples: Columns | None = Field(
        default=None, description="table of labelled examples, or several; if a row is in two, the later table counts"
    )
    model: PathOrUrl | None = Field(
        default=None, description="file of a trained classifier instead of examples: .onnx, .skops, .pkl or our .json"
    )
    classes: tuple[str, ...] | None = Field(
        default=None, min_length=2, description="names of the classes of `model`, in its order; default its own"
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
    threshold: TargetSetting = Field(
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
    question: str | None = Field(
        default=None, exclude=True, description="the question people are asked in an audit; {class} is the wanted class"
    )
    instructions: PathOrUrl | None = Field(
        default=None, exclude=True, description="Markdown page shown in an audit, as that of `verify`"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Classify:
        exactly_one(self, "examples", "model")
        if self.model is None and self.classes is not None:
            raise ValueError("'classes' names the classes of a 'model'; examples name theirs themselves")
        training = sorted(self.model_fields_set - WITH_MODEL) if self.model else []
        if training:
            raise ValueError(
                f"'{training[0].rstrip('_')}' is about training, but 'model' is trained; remove one of them"
            )
        if (self.caption is None) != (not self.keywords):
            raise ValueError("'caption' and 'keywords' go together: the column, and the words to look for")
        if self.keep and self.positive is None:
            raise ValueError("'keep' needs 'positive', the class to keep")
        ClassifierOptions(threshold=Target(*self.threshold))
        return self

    def audited(self) -> AuditQuestion:
        return AuditQuestion(
            self.positive or "", self.question or "", self.instructions or "", self.examples or (), self.class_
        )

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name in (self.with_, self.text, self.caption) if name))

    def files(self) -> tuple[str, ...]:
        """Return the file of the trained model, whose content decides what every row is."""
        return (self.model,) if self.model else ()

    def check_files(self, given: pa.Schema) -> None:
        self._read_model(given)

    def _read_model(self, given: pa.Schema) -> State | None:
        """Return the state of the trained model; None if there is none."""
        if self.model is None:
            return None
        try:
            state = read_classifier(self.model, self.classes, self.positive)
        except (InputError, MissingExtra) as error:
            raise StepError(f"classify: {error}") from None
        width = vector_column(given, self.with_, self.verb).type.list_size
        if width != width_of(state):
            raise StepError(
                f"classify: '{self.with_}' has {width} dimensions, but {self.model} takes {width_of(state)}; name the "
                "column with the vectors it was trained on"
            )
        return state

    def tables(self) -> tuple[str, ...]:
        return self.examples or ()

    def check_tables(self, schemas: Mapping[str, pa.Schema]) -> None:
        if self.examples:
            require_module("sklearn", f"the step '{self.verb}'")
        for number, name in enumerate(self.tables()):
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
        for name in self.tables():
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
        taken = self._read_model(frame.schema)
        if taken is not None:
            return taken
        parts = [self._read(context.table(name), frame.schema) for name in self.tables()]
        trained = train(joined(parts), self._options(), context.key)
        state = trained.to_state()
        return State({**state.values, "edges": trained.edges()}, state.tables, state.speeds)

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
        ready = once("classifier", state, ReadyClassifier)
        features, vectors = state.values["features"], rows.vectors(self.with_)
        text = None if features == "image" else self._text(rows, self.text)
        # If the rest is dropped, rows clearly below the threshold need no more than a proven estimate.
        precise: Literal["kept", "all"] = "kept" if self.keep else "all"
        found = ready.decide(feature_matrix(features, vectors, text), precise)
        missing = found.predicted < 0
        columns = {
            "decision": pa.array(found.decision, mask=missing),
            "probability": pa.array(found.probability.astype(np.float32), mask=np.isnan(found.probability)),
            "predicted": pa.array(ready.classes).take(pa.array(found.predicted, mask=missing)),
        }
        drop = missing.astype(np.uint8)
        if self.positive is not None and self.keep:
            drop[~missing & (found.predicted != ready.classes.index(self.positive))] = 2
        if len(ready.classes) > 2:
            return Outcome(columns, drop)
        edges = np.asarray(state.values["edges"], np.float32)
        counts = np.bincount(np.searchsorted(edges, found.decision[~missing]), minlength=len(edges) + 1)
        return Outcome(columns, drop, {DECISIONS: counts})

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        decision = row.get("decision")
        if decision is None:
            return ""
        probability = "" if row["probability"] is None else f", probability {row['probability']:.4f}"
        text = f"decision {decision:.4f}{probability}: {row['predicted']}"
        two = len(state.values["classifier"]["classes"]) == 2
        return f"{text}; the threshold is {state.values['threshold']:.4f}" if two else text

    def learned(self, state: State) -> str:
        model, source = state.values["classifier"], state.values.get("source")
        if source:
            what = source.get("type", model["kind"])
            return f"{what} of {source['file']}, {len(model['classes'])} classes; {model['digest'][:12]}"
        made = state.values["training"]
        text = "" if state.values["features"] == "image" else f" on {state.values['features']}"
        text = f"{model['kind']}{text}, chosen by {made['choose_by']} among {state.tables['comparison'].num_rows}"
        never = made.get("never_predicted", ())
        said = f"; never predicted on validation rows: {some(never)}" if never else ""
        return f"{text}; threshold {state.values['threshold']:.4f}{said}; {model['digest'][:12]}"
