"""Example parameters of every step. A step without an example fails the suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.api import Recipe
from poolwright.core.rows import vector_array
from poolwright.core.step import Step
from poolwright.core.table import Table
from poolwright.registry import STEPS, step_class
from tests.steps.tables import WIDTH

Check = Callable[[pa.Table, list[int]], None]


@dataclass(frozen=True)
class Example:
    """One way to use a step.

    Attributes:
        parameters: as in a recipe; a string that begins with 'made:' is the path of a file of `made_files`.
        most: rows of the largest table; less for steps that decode images.
        images: the step reads image files.
        may_refuse: rows of some tables cannot be worked on, and `fit` says so.
        keeps: a check of which rows are kept, given the table and the drop codes in its order.
    """

    parameters: dict[str, Any]
    most: int = 400
    images: bool = False
    may_refuse: bool = False
    keeps: Check | None = None

    def step(self, verb: str) -> Step:
        made: Step = step_class(verb).model_validate(_with_files(self.parameters))
        return made


def kept(most: int) -> Check:
    """At most so many rows are kept."""

    def check(table: pa.Table, codes: list[int]) -> None:
        assert codes.count(0) <= most

    return check


def kept_of_each(columns: list[str], most: int) -> Check:
    """At most so many rows of each group are kept, and all of a group that has no more."""

    def check(table: pa.Table, codes: list[int]) -> None:
        groups = list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))
        for group in set(groups):
            of_group = [code for code, other in zip(codes, groups, strict=True) if other == group]
            assert of_group.count(0) == (0 if None in group else min(most, len(of_group)))

    return check


def everything(table: pa.Table, codes: list[int]) -> None:
    assert not any(codes)


CLIP = "made:clip"
IMAGES: dict[str, Any] = {"images": True, "most": 7}
NAMES = ["a dog", "a boat", "a red boat"]

LONG_TAIL: dict[str, Any] = {
    "ratio": [4, 2, 1],
    "test_bbl": 2,
    "smallest": "50%",
    "test_bl": 4,
    "test_lt": 3,
    "val": 3,
    "balanced": 14,
    "frequency": [1, 2],
    "sizes": {"shape": "exponential", "largest": 28, "imbalance": 2},
}
RINGS: list[Any] = ["dog", {"name": "boat", "prompts": ["boat", "red boat", "ship"]}, "map"]
FIND: dict[str, Any] = {"with": "embedding", "prompts": RINGS, "prefix": "a ", "model": CLIP, "short": "take"}
READY: dict[str, Any] = {"with": "embedding", "prompts": NAMES, "features": "made:features.npy"}

LEARN: dict[str, Any] = {"with": "embedding", "examples": "examples", "folds": 2}

EXAMPLES: dict[str, list[Example]] = {
    "fetch": [Example({}), Example({"url": "text", "max_bytes": "5MB"})],
    "embed": [
        Example({"image": "clip", "text": "words", "model": CLIP}, **IMAGES),
        Example({"text": "words", "model": CLIP}, most=60, keeps=everything),
    ],
    "label": [
        Example({"with": "embedding", "vocabulary": NAMES, "model": CLIP}),
        Example({"with": "embedding", "vocabulary": NAMES, "model": CLIP, "top_k": 2, "into": "kind"}, most=60),
        Example({"with": "embedding", "vocabulary": NAMES, "features": "made:features.npy"}, most=60),
    ],
    "similarity": [
        Example({"of": "embedding", "to": "embedding", "into": "same"}),
        Example({"of": "embedding", "prompt": "a dog", "model": CLIP}),
    ],
    "region": [
        Example({}),
        Example({"names": {"a": "FR", "x,y": "Serbia", "ä": "France", "𝔘𝔫𝔦": "uk"}, "country": "label"}),
        Example({"country": "small", "codes": "numeric", "americas": "one"}),
        Example({"at": ["latitude", "longitude"]}),
        Example({"at": ["half", "score"], "americas": "one"}),
    ],
    "classify": [
        Example({**LEARN, "positive": "map", "candidates": ["mean", "svm"]}, most=60),
        Example({**LEARN, "positive": "map", "candidates": ["logistic"], "keep": True}, most=60),
        Example({**LEARN, "class": "kind", "candidates": ["mean"]}, most=60),
    ],
    "cluster": [
        Example({"of": "embedding", "group": "label", "k": 3, "restarts": 3}, most=60),
        Example({"of": "embedding", "k": {"choose": [2, 3]}, "restarts": 2, "metric": "cosine"}, most=60),
        Example(
            {"of": "embedding", "group": ["country", "flag"], "k": 4, "restarts": 2, "merge": 2, "at_most": 5}, most=60
        ),
    ],
    "bucket": [
        Example({"by": "taken_at", "n": 3}),
        Example({"by": "taken_at", "unit": "quarter", "earliest": "1930-01-01", "into": "quarter"}),
        Example({"by": "score", "edges": [-1.5, 0, 0.25, 2], "latest": 1}),
        Example({"by": "year", "n": 4, "earliest": 0}),
        Example({"by": "whole", "n": 2}),
    ],
    "retrieve": [
        Example({**FIND, "bucket": "country", "query": 12, "n": 4, "background": "50%"}),
        Example({**FIND, "query": 30, "n": 20}, keeps=kept(60)),
        Example({**FIND, "bucket": ["flag", "small"], "overlap": True, "n": 3, "into": "kind"}, most=60),
        Example({**FIND, "query": 9, "n": 5, "short": "fail"}, most=60, may_refuse=True),
        Example({**READY, "query": 9, "n": 5, "bucket": "year", "short": "take"}, most=60),
    ],
    "size": [Example({}, **IMAGES)],
    "near_duplicates": [
        Example({"same": ["country", "taken_at"], "within": "1 minute"}, keeps=everything),
        Example({"vectors": "embedding", "above": 0.6, "keep": "first"}),
        Example({"same": ["year", "flag"], "vectors": "embedding", "above": 0.8, "keep": "best", "by": "score"}),
    ],
    "hash": [Example({}, **IMAGES), Example({"kinds": ["sha256"]}, **IMAGES)],
    "derive": [
        Example({"double": "small * 2", "name": "upper(country)", "of": "'source'"}, keeps=everything),
        Example({"score": "coalesce(score, 0) + half", "late": "taken_at > date '2001-01-01'"}, keeps=everything),
    ],
    "renumber": [
        Example({"column": "label", "into": "class_index"}, keeps=everything),
        Example({"column": "whole", "into": "whole"}, keeps=everything),
    ],
    "rename": [
        Example({"label": "class", "score": "points"}, keeps=everything),
        Example({"label": "country", "country": "label", "embedding": "clip"}, keeps=everything),
    ],
    "keep_columns": [
        Example({"columns": ["label", "embedding"]}, keeps=everything),
        Example({"columns": "uid"}, keeps=everything),
    ],
    "where": [
        Example({"expression": "score > 0 or small < 0"}),
        Example({"expression": "label IN ('a', 'ä') and not flag"}),
        Example({"expression": "half < 1 and similarity between 0.1 and 0.3 or url like '%3'"}),
    ],
    "top": [
        Example({"by": "similarity", "n": 10}, keeps=kept(10)),
        Example({"by": "score", "n": 5, "lowest": True}, keeps=kept(5)),
        Example({"by": "score", "fraction": "30%", "group": "label"}),
        Example({"by": "year", "n": 3, "group": ["country", "flag"]}),
        Example({"by": "whole", "n": 40}, keeps=kept(40)),
        Example({"by": "flag", "n": 9}, keeps=kept(9)),
        Example({"by": "taken_at", "n": 4, "group": "small", "lowest": True}),
        Example({"by": "half", "n": 0}, keeps=kept(0)),
    ],
    "drop_small": [
        Example({"group": "label", "below": "10%"}),
        Example({"group": ["country", "year"], "count": 3}),
    ],
    "largest": [
        Example({"group": "label", "n": 2, "at_least": 3}),
        Example({"group": ["flag", "small"], "n": 3}),
    ],
    "cap": [
        Example({"group": "label", "n": 4}, keeps=kept_of_each(["label"], 4)),
        Example({"group": "label", "n": 2, "redraw": True}, keeps=kept_of_each(["label"], 2)),
        Example({"group": ["country", "whole", "flag"], "n": 1}, keeps=kept_of_each(["country", "whole", "flag"], 1)),
    ],
    "sample_groups": [
        Example({"group": "label", "n": 2}),
        Example({"group": ["year", "country"], "n": 5}),
    ],
    "sample": [
        Example({"n": 20}, keeps=kept(20)),
        Example({"fraction": 0.25}),
        Example({"fraction": "50%", "group": "year"}),
    ],
    "balance": [
        Example({"group": "label"}),
        Example({"group": ["country", "flag"], "n": 3}, keeps=kept_of_each(["country", "flag"], 3)),
        Example({"group": "flag", "proportions": {True: 7, "false": "30%"}, "total": 50}, may_refuse=True),
        Example({"group": "small", "proportions": {-128: 1, 0: 2}}, may_refuse=True),
    ],
    "licenses": [
        Example({"allow": "open"}),
        Example({"allow": ["cc-by", "=what?"]}),
    ],
    "remove": [
        Example({"ids": ["https://example.org/3", "nowhere"], "by": "url"}),
        Example({"file": "made:tombstones.txt"}),
        Example({"file": "made:tombstones.parquet", "by": "year"}),
    ],
    "verdicts": [
        Example({"path": "made:sheet.csv"}),
        Example({"path": "made:sheet.csv", "words": {"map": "positive"}, "only": ["positive", "unsure"]}),
    ],
    "verify": [
        Example({"class": "label", "verdicts": "made:sheet.csv", "partial": True, "unknown": "ignore"}),
        Example(
            {
                "class": "country",
                "bucket": "flag",
                "by": "score",
                "keep": 1,
                "verdicts": ["made:sheet.csv", "made:no.csv"],
                "rule": "dawid_skene",
                "annotators": 2,
                "probability": 0.6,
                "partial": True,
                "unknown": "ignore",
            }
        ),
    ],
    "split": [
        Example({"ratios": {"train": 0.8, "val": "10%", "test": "rest"}}, keeps=everything),
        Example({"counts": {"test": 5, "train": "rest"}, "stratify": ["label"], "into": "part"}, may_refuse=True),
        Example({"counts": {"test": 2, "val": 3}}, may_refuse=True, keeps=kept(5)),
        Example({"ratios": {"train": 0.7, "test": 0.3}, "group": "label"}),
        Example({"ratios": {"train": 0.5, "test": 0.5}, "group": "year", "stratify": ["country", "flag"]}),
        Example({"ratios": {"train": 0.7, "test": 0.3}, "seeds": 3, "stratify": "label"}),
        Example({"ratios": {"train": 0.5, "test": 0.5}, "group": "year", "stratify": ["country"], "seeds": 2}),
        Example({"counts": {"test": 2, "val": 3}, "seeds": 2}, may_refuse=True, keeps=kept(10)),
    ],
    "glt": [
        Example({"label": "country", "attribute": "rank", "scale": "auto"}, may_refuse=True),
        Example({"label": "flag", "attribute": "rank", **LONG_TAIL}, may_refuse=True),
    ],
}


@dataclass(frozen=True)
class Case:
    """An example with the verb it is of, for the names of tests."""

    verb: str
    example: Example = field(compare=False)
    number: int = 0

    def __str__(self) -> str:
        return f"{self.verb}-{self.number}"


def cases() -> list[Case]:
    """Every example of every registered step."""
    return [Case(verb, example, place) for verb in STEPS for place, example in enumerate(EXAMPLES.get(verb, []))]


def _with_files(parameters: dict[str, Any]) -> dict[str, Any]:
    def place(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("made:"):
            return value
        path = str(made_files() / value.removeprefix("made:"))
        return f"onnx:{path}" if value == CLIP else path

    return {name: place(value) for name, value in parameters.items()}


def labelled_rows() -> pa.Table:
    """Labelled vectors for steps that learn from a table: two classes, and three kinds within them."""
    draw = np.random.default_rng(4)
    kinds = np.array(["atlas", "globe", "photo"])[np.arange(90) % 3]
    centres = {kind: draw.normal(size=WIDTH) for kind in ("atlas", "globe", "photo")}
    vectors = np.stack([centres[kind] for kind in kinds]) + draw.normal(size=(90, WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return pa.table(
        {
            "uid": [f"labelled-{row}" for row in range(90)],
            "class": np.where(kinds == "photo", "other", "map"),
            "kind": kinds,
            "embedding": vector_array(vectors.astype(np.float16)),
        }
    )


@cache
def made_table(name: str) -> Table:
    """A finished table with the labelled rows."""
    data = {"recipe": 1, "name": "labelled", **labelled_part(name)}
    return Recipe.from_data(data, made_files()).run(made_files() / "run").tables[name]


def labelled_part(name: str) -> dict[str, Any]:
    """The pool and the table of labelled rows, as parts of a recipe."""
    path = str(made_files() / "labelled.parquet")
    return {"pools": {"labelled": {"read": "table", "path": path}}, "tables": {name: {"from": "labelled"}}}


@cache
def made_files() -> Path:
    """A folder with the files that examples name, made once."""
    from tests.models.making import write_clip

    folder = Path(mkdtemp(prefix="poolwright-steps-"))
    write_clip(folder / "clip")
    pq.write_table(labelled_rows(), folder / "labelled.parquet")
    np.save(folder / "features.npy", np.random.default_rng(0).normal(size=(len(NAMES), WIDTH)).astype(np.float32))
    (folder / "tombstones.txt").write_text("0\né1é\n🙂2🙂\n\n 5 \n", encoding="utf-8")
    pq.write_table(pa.table({"year": [2004, 7, None], "other": ["a", "b", "c"]}), folder / "tombstones.parquet")
    sheet = "uid,verdict,annotator\n0,yes,ann\né1é,no,ann\n🙂2🙂,yes,ann\n🙂2🙂,no,ben\n5,,ann\n7,yes,\n"
    (folder / "sheet.csv").write_text(sheet, encoding="utf-8")
    return folder
