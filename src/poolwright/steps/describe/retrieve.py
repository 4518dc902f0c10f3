"""retrieve: the images that prompts find, the best of each class in each bucket; or those nearest to other rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import ConfigDict, Field, model_validator

from poolwright.core.columns import LABEL, PROMPT, SIMILARITY, UID, same_space
from poolwright.core.errors import RecipeError, StepError, did_you_mean
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Columns, Share, exactly_one, share_of
from poolwright.core.pool import PathOrUrl
from poolwright.core.rows import Rows, one_array
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.kernels.selection.groups import check_groupable, groups_of
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.similarity.exact_matmul import prompts_on_grid
from poolwright.kernels.similarity.retrieval import NOT_BEST, WantedCounts, decide, found_by, retrieve_all
from poolwright.kernels.similarity.retrieval_pass import Gathering, Prompts, gather
from poolwright.models.encoders.spec import Model
from poolwright.models.texts.text_features import encode_classes, features_axis, read_features
from poolwright.models.texts.vocabulary import NAMES, Vocabulary, VocabularySource, read_vocabulary
from poolwright.steps.describe.retrieval.like import (
    Likeness,
    Method,
    apply_like,
    explain_like,
    learn_like,
    learned_like,
)
from poolwright.steps.describe.retrieval.state import (
    BACKGROUND,
    BUCKETS,
    CUTS,
    PROMPTS,
    bound_words,
    class_names,
    cut_table,
    cuts_of,
    list_columns,
    prompt_table,
    prompts_of,
    short_words,
    texts_of,
)
from poolwright.steps.describe.vector_columns import (
    NO_VECTOR,
    check_encoder,
    check_features,
    features_record,
    vector_column,
)

QUERY = "query"
_OF_LIKE = ("k", "vectors", "method", "probes", "recall")
_QUERY_TYPES = (pa.string(), pa.float32())


class Retrieve(Step):
    """Keep the images that prompts find: of every class, the best in every bucket. Or those like the rows of a table.

    In each bucket every class finds the `query` images with the highest cosine to its prompt (to the nearest, where it
    has several). An image that several classes found goes to the one it is nearest to, of equally near ones to the
    first. Each class keeps the `n` nearest of the images it was given. Images of equal cosine are ordered by the hash
    of (seed, table, step, uid). `background` adds a class BACKGROUND: of the images that are farthest from a class,
    found and given in the same way, as many as that share of `n`, none of them kept for a class.

    With `overlap: true` every class keeps the `n` images it finds, whatever the others find: `label` is then the
    nearest of an image's classes, and all of them are in `label_all` and `label_all_index`.

    Classes may share a name, as ImageNet's do: `label_index` is the identity of a class, `label` its name.

    `like: TABLE, k: 4` retrieves by images: it keeps, for each row of another table, the `k` rows with the highest
    cosine. A row that several of them find is kept once; `query` is the uid of the one it is nearest to, and
    `similarity` the cosine. That table may have a million rows, which find ten million at most. A row that is in both
    finds itself. `method: exact` compares all rows with all of them; `cells` compares each row of that table with the
    rows of the nearest `probes` cells alone, measures how many of the nearest rows that finds, and takes more cells
    until the recall is the wanted one. `auto` is exact for a table of up to 10,000 rows, and up to 10^10 pairs.

    State: the prompts with their features, the buckets with their rows, and per bucket and class how many images were
    given and kept and the last of them: the score and hash rank that `apply` compares a row with. With `like`, the
    rows that were found, and the recall.
    """

    model_config = ConfigDict(populate_by_name=True)

    verb: ClassVar[str] = "retrieve"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = (
        'retrieve: {with: clip, prompts: [bus, camera, "wedding, engagement ring"], prefix: "a photo of a ", '
        "model: clip, bucket: bucket, query: 16_000, n: 600, background: 10%}"
    )
    fits_rows: ClassVar[bool] = True
    costly: ClassVar[bool] = True
    reasons: ClassVar[tuple[Reason, ...]] = (
        NO_VECTOR,
        Reason("no_bucket", "no value in the bucket column, or a bucket that nothing was retrieved from"),
        Reason("not_found", "not among the nearest of any prompt"),
        Reason("not_best", "found by a prompt, but not among the best of its class"),
        Reason("not_like", "not among the nearest of any row of the other table"),
    )

    with_: str = Field(alias="with", description="column with the image vectors")
    prompts: VocabularySource | None = Field(
        default=None,
        description="texts, or {name: ring, prompts: [wedding ring, engagement ring]} for a short name or several "
        "prompts; a list, or a .txt, .json, .yaml or .csv file, or imagenet1k",
    )
    prefix: str = Field(default="", description="put before every prompt, such as 'a photo of '")
    like: str | None = Field(default=None, description="table whose rows are searched for, instead of prompts")
    k: int | None = Field(default=None, ge=1, description="images that each row of `like` finds")
    vectors: str | None = Field(default=None, description="column with the vectors of `like`, if not named as `with`")
    method: Method = Field(default="auto", description="how rows are compared with those of `like`")
    probes: int = Field(
        default=16, ge=1, description="cells: cells whose rows a row of `like` is compared with; widened for `recall`"
    )
    recall: Share = Field(default=0.99, description="cells: share of the nearest rows that is to be found, as measured")
    model: Model | None = Field(default=None, description="encoder of the prompts: the one that made the vectors")
    features: PathOrUrl | None = Field(
        default=None, description=".npy with one precomputed feature per prompt, instead of a model"
    )
    features_axis: Literal[0, 1] | None = Field(
        default=None, description="axis of `features` that counts the prompts; required if the file is square"
    )
    features_model: str | None = Field(default=None, description="name of the model that made `features`")
    bucket: Columns | None = Field(
        default=None, description="retrieve within each value of this column, such as bucket"
    )
    query: int | None = Field(default=None, ge=1, description="images that a class finds in a bucket; not with overlap")
    n: int | None = Field(default=None, ge=1, description="images that a class keeps in a bucket")
    overlap: bool = Field(default=False, description="whether an image may belong to several classes")
    background: Share = Field(default=0.0, description="images of the class BACKGROUND for each class, as a share of n")
    short: Literal["fail", "take"] = Field(
        default="fail", description="if a class has fewer than n images in a bucket: fail, or take those that there are"
    )
    into: str = Field(default=LABEL, min_length=1, description="column of the label; others are named after it")

    @model_validator(mode="after")
    def _fitting(self) -> Retrieve:
        if exactly_one(self, "prompts", "like") == "like":
            unused = sorted(self.model_fields_set - {"with_", "like", "into", *_OF_LIKE})
            if unused or self.k is None:
                raise ValueError(f"'{unused[0]}' is about prompts; remove it" if unused else "'like' needs 'k'")
            if self.method == "exact" and self.model_fields_set & {"probes", "recall"}:
                raise ValueError("'probes' and 'recall' have no effect with 'method: exact'; remove them")
            return self
        of_like = [name for name in _OF_LIKE if name in self.model_fields_set]
        if of_like or self.n is None:
            wrong = f"'{of_like[0]}' is about 'like'" if of_like else "prompts need 'n', the images that a class keeps"
            raise ValueError(wrong)
        if (self.model is None) == (self.features is None):
            raise ValueError("give either 'model' (encodes the prompts) or 'features' (a .npy of them)")
        if self.features is None and (self.features_axis is not None or self.features_model):
            raise ValueError("features_axis and features_model describe 'features', which is not given; remove them")
        if self.features is not None and self.prefix:
            raise ValueError("'prefix' has no effect on precomputed 'features'; remove one of them")
        if self.overlap and self.query is not None:
            raise ValueError("'query' has no effect with overlap: every class keeps the n images it finds; remove it")
        if not self.overlap and self.query is None:
            raise ValueError("'query' is missing: how many images a class finds, of which it keeps n; or overlap: true")
        if self.query is not None and self.query < self.n:
            raise ValueError(f"query ({self.query:,}) must be at least n ({self.n:,}); 25 times n is usual")
        return self

    @property
    def _wanted(self) -> WantedCounts:
        n = self.n or 0
        return WantedCounts(self.query or n, n, self.overlap, share_of(self.background, n))

    def tables(self) -> tuple[str, ...]:
        return (self.like,) if self.like else ()

    @property
    def _likeness(self) -> Likeness:
        return Likeness(self.with_, self.k or 1, self.method, self.probes, self.recall)

    @property
    def _vectors(self) -> str:
        """The column with the vectors of the other table."""
        return self.vectors or self.with_

    def check_tables(self, schemas: Mapping[str, pa.Schema]) -> None:
        for name, schema in schemas.items():
            try:
                vector_column(schema, self._vectors, self.verb)
            except StepError as error:
                raise StepError(f"{error} (in table '{name}')") from None

    def check_against(self, given: pa.Schema, schemas: Mapping[str, pa.Schema]) -> None:
        for schema in schemas.values():
            same_space(given.field(self.with_), schema.field(self._vectors))

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.with_, *(self.bucket or ()), UID)))

    def files(self) -> tuple[str, ...]:
        """Return the files besides the pool whose content decides what is retrieved."""
        named = isinstance(self.prompts, str) and self.prompts not in NAMES
        return (*([str(self.prompts)] if named else []), *([self.features] if self.features else []))

    def check_files(self, given: pa.Schema) -> None:
        field = vector_column(given, self.with_, self.verb)
        if self.like:
            return
        texts = texts_of(self.classes(), self.prefix)
        if self.features is not None:
            check_features(field, self.features_model, self.features)
            features_axis(self.features, len(texts), field.type.list_size, self.features_axis)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        vector_column(given, self.with_, self.verb)
        if self.like:
            return [pa.field(name, kind) for name, kind in zip(self._query_names(), _QUERY_TYPES, strict=True)]
        for name in self.bucket or ():
            if name not in given.names:
                raise StepError(f"{self.verb}: no column '{name}' to retrieve by; {did_you_mean(name, given.names)}")
        check_groupable(self.verb, given, self.bucket or ())
        types = (pa.string(), pa.int32(), pa.float32(), pa.string())
        fields = [pa.field(name, kind) for name, kind in zip(self._names(), types, strict=True)]
        if self.overlap:
            kinds = (pa.list_(pa.string()), pa.list_(pa.int32()))
            fields += [pa.field(name, kind) for name, kind in zip(self._all_names(), kinds, strict=True)]
        return fields

    def _names(self) -> tuple[str, str, str, str]:
        """Return the columns of the class: name, index, similarity, prompt."""
        if self.into == LABEL:
            return LABEL, f"{LABEL}_index", SIMILARITY, PROMPT
        return self.into, f"{self.into}_index", f"{self.into}_similarity", f"{self.into}_prompt"

    def _query_names(self) -> tuple[str, str]:
        """Return the columns of the row that found an image: uid and cosine."""
        return (QUERY, SIMILARITY) if self.into == LABEL else (self.into, f"{self.into}_{SIMILARITY}")

    def _all_names(self) -> tuple[str, str]:
        """Return the columns of all classes of a row: names and indices."""
        return f"{self.into}_all", f"{self.into}_all_index"

    def class_names(self) -> tuple[str, ...]:
        return () if self.like else self.classes().names

    def classes(self) -> Vocabulary:
        """Read the classes with their prompts.

        Raises:
            RecipeError: they cannot be read, or one is named as the background.
        """
        vocabulary = read_vocabulary(self.prompts or ())
        if self.background and BACKGROUND in vocabulary.names:
            raise RecipeError(f"retrieve: a class has the name of the background, {BACKGROUND}; rename it")
        return vocabulary

    def fit(self, frame: Frame, context: Context) -> State:
        field = vector_column(frame.schema, self.with_, self.verb)
        if self.like:
            return learn_like(frame, context.table(self.like), self._vectors, self._likeness, context.key)
        vocabulary = self.classes()
        texts = texts_of(vocabulary, self.prefix)
        features, origin = self._features([text for text, _ in texts], field, context)
        prompts = Prompts(features, np.array([of_class for _, of_class in texts]))
        wanted = self._wanted
        what = Gathering(self.with_, self.bucket or (), prompts, context.key, wanted.query, worst=wanted.background > 0)
        buckets, shortlists = gather(frame, what)
        found = retrieve_all(shortlists, wanted)
        tables = {
            PROMPTS: prompt_table(vocabulary, texts, features),
            BUCKETS: buckets.table({"rows": pa.array([one.rows for one in found], pa.int64())}),
            CUTS: cut_table(found, len(vocabulary)),
        }
        values = {"key": str(context.key), "classes": list(vocabulary.names), "prompts": vocabulary.source, **origin}
        state = State(values, tables)
        short = short_words(state, self._wanted, self.bucket is not None)
        if short and self.short == "fail":
            raise StepError(f"retrieve: {short}; lower n, raise query, or write short: take to continue with fewer")
        return state

    def _features(self, texts: Sequence[str], field: pa.Field, context: Context) -> tuple[np.ndarray, dict[str, Any]]:
        """Return prompt features (p, d) on their grid, and their origin for the record."""
        if self.model is None:
            path = self.features or ""
            check_features(field, self.features_model, path)
            matrix = read_features(path, texts, field.type.list_size, self.features_axis)
            return prompts_on_grid(matrix), {"model": self.features_model, **features_record(path)}
        encoder = context.encoder(self.model)
        check_encoder(field, "the prompts", encoder)
        matrix = encode_classes(encoder, texts, [[text] for text in texts])
        return prompts_on_grid(matrix), {"model": encoder.name, "weights": encoder.weights}

    def apply(self, rows: Rows, state: State) -> Outcome:
        if self.like:
            found, drop = apply_like(rows, self.with_, state)
            return Outcome(dict(zip(self._query_names(), found, strict=True)), drop)
        prompts, cuts = prompts_of(state), cuts_of(state)
        ranks = hash_ranks(rows.column(UID), int(state.values["key"]))
        products, usable = prompts.products(rows.vectors(self.with_))
        scores = prompts.scores(products)
        buckets = groups_of(state.tables[BUCKETS]).ids(rows)
        outcome, nearest = decide(scores, ranks, buckets, cuts)
        drop = np.where(outcome >= 0, 0, np.where(outcome == NOT_BEST, 4, 3)).astype(np.uint8)
        drop[buckets < 0] = 2
        drop[~usable] = 1
        label = np.where(outcome >= 0, outcome, nearest)
        columns = self._columns(label, nearest, products, prompts, state, usable)
        if self.overlap:
            member = found_by(scores, ranks, buckets, cuts.query) & (outcome < len(scores))
            member = np.vstack([member, outcome == len(scores)])
            columns |= dict(zip(self._all_names(), list_columns(member, class_names(state)), strict=True))
        return Outcome(columns, drop)

    def _columns(
        self,
        label: np.ndarray,
        nearest: np.ndarray,
        products: np.ndarray,
        prompts: Prompts,
        state: State,
        usable: np.ndarray,
    ) -> dict[str, pa.Array]:
        prompt = prompts.best_of(nearest, products)
        similarity = products[prompt, np.arange(len(prompt))]
        names, texts = class_names(state), one_array(state.tables[PROMPTS].column("text"))
        values = (
            names.take(pa.array(label, mask=~usable)),
            pa.array(label, pa.int32(), mask=~usable),
            pa.array(similarity, mask=~usable),
            texts.take(pa.array(prompt, mask=~usable)),
        )
        return dict(zip(self._names(), values, strict=True))

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        if self.like:
            return explain_like(row, self._query_names(), state)
        label, index, similarity, prompt = (row.get(name) for name in self._names())
        if label is None or index is None or similarity is None:
            return ""
        if index >= len(state.values["classes"]):
            return f"similarity {similarity:.4f} to '{prompt}': one of the farthest in its bucket"
        near = f"similarity {similarity:.4f} to '{prompt}' of '{label}'"
        groups = groups_of(state.tables[BUCKETS])
        group = groups.index_of(row) if all(row.get(name) is not None for name in self.bucket or ()) else -1
        if group < 0:
            return f"{near}; nothing was retrieved from its bucket"
        cut = state.tables[CUTS].slice(group * len(state.values["classes"]) + index, 1).to_pylist()[0]
        in_bucket = f" in bucket {groups.names()[group]}" if self.bucket else ""
        return f"{near}{in_bucket}; found {bound_words(cut['query_score'])}, kept {bound_words(cut['keep_score'])}"

    def learned(self, state: State) -> str:
        if self.like:
            return learned_like(state, self._likeness)
        cuts = state.tables[CUTS]
        kept, background = (int(cuts.column(name).to_numpy().sum()) for name in ("kept", "background"))
        classes, buckets = len(state.values["classes"]), state.tables[BUCKETS].num_rows
        within = f" in {buckets:,} buckets" if self.bucket else ""
        by = f", prompts encoded by {state.values['model']}" if state.values["model"] else ""
        more = f" and {background:,} of BACKGROUND" if self.background else ""
        short = short_words(state, self._wanted, self.bucket is not None)
        return f"{kept:,} kept for {classes:,} classes{within}{more}{by}{f'; short: {short}' if short else ''}"
