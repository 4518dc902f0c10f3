"""Parameters that steps are tested with, besides those of their examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from poolwright.registry import STEPS, step_class
from poolwright.testing import StepCase
from poolwright.testing.steps import Check, Trial, parameters_of


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


CLIP = "clip"
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
READY: dict[str, Any] = {"with": "embedding", "prompts": NAMES, "features": "features.npy"}

LEARN: dict[str, Any] = {"with": "embedding", "examples": "examples", "folds": 2}

CASES: dict[str, list[StepCase]] = {
    "decontaminate": [
        StepCase(
            {"against": ["annotations"], "sha256": "label", "vectors": "embedding", "above": 0.2, "into": "found"}
        ),
    ],
    "fetch": [StepCase({}), StepCase({"url": "text", "max_bytes": "5MB"})],
    "embed": [
        StepCase({"image": "clip", "text": "words", "model": CLIP}),
        StepCase({"text": "words", "model": CLIP}, most_rows=60, keeps=everything),
    ],
    "label": [
        StepCase({"with": "embedding", "vocabulary": NAMES, "model": CLIP}),
        StepCase({"with": "embedding", "vocabulary": NAMES, "model": CLIP, "top_k": 2, "into": "kind"}, most_rows=60),
        StepCase({"with": "embedding", "vocabulary": NAMES, "features": "features.npy"}, most_rows=60),
    ],
    "similarity": [
        StepCase({"of": "embedding", "to": "embedding", "into": "same"}),
        StepCase({"of": "embedding", "prompt": "a dog", "model": CLIP}),
    ],
    "region": [
        StepCase({}),
        StepCase({"names": {"a": "FR", "x,y": "Serbia", "ä": "France", "𝔘𝔫𝔦": "uk"}, "country": "label"}),
        StepCase({"country": "small", "codes": "numeric", "americas": "one"}),
        StepCase({"at": ["latitude", "longitude"]}),
        StepCase({"at": ["half", "score"], "americas": "one"}),
    ],
    "classify": [
        StepCase({**LEARN, "positive": "map", "candidates": ["mean", "svm"]}, most_rows=60),
        StepCase({**LEARN, "positive": "map", "candidates": ["logistic"], "keep": True}, most_rows=60),
        StepCase({**LEARN, "class": "kind", "candidates": ["mean"]}, most_rows=60),
    ],
    "score_head": [
        StepCase({"of": "embedding", "head": "head.npz", "final": "sigmoid", "normalise": False}, most_rows=60),
        StepCase({"model": CLIP, "output": 3, "final": "softmax"}),
    ],
    "cluster": [
        StepCase({"of": "embedding", "group": "label", "k": 3, "restarts": 3}, most_rows=60),
        StepCase({"of": "embedding", "k": {"choose": [2, 3]}, "restarts": 2, "metric": "cosine"}, most_rows=60),
        StepCase(
            {"of": "embedding", "group": ["country", "flag"], "k": 4, "restarts": 2, "merge": 2, "at_most": 5},
            most_rows=60,
        ),
        StepCase({"of": "embedding", "levels": [12, 4, 2]}, most_rows=60),
        StepCase({"of": "embedding", "group": "label", "k": 1001, "metric": "cosine"}, most_rows=60),
        StepCase({"of": "embedding", "centroids": "features.npy", "metric": "cosine", "into": "near"}, most_rows=60),
    ],
    "bucket": [
        StepCase({"by": "taken_at", "n": 3}),
        StepCase({"by": "taken_at", "unit": "quarter", "earliest": "1930-01-01", "into": "quarter"}),
        StepCase({"by": "score", "edges": [-1.5, 0, 0.25, 2], "latest": 1}),
        StepCase({"by": "year", "n": 4, "earliest": 0}),
        StepCase({"by": "whole", "n": 2}),
    ],
    "retrieve": [
        StepCase({**FIND, "bucket": "country", "query": 12, "n": 4, "background": "50%"}),
        StepCase({**FIND, "query": 30, "n": 20}, keeps=kept(60)),
        StepCase({**FIND, "bucket": ["flag", "small"], "overlap": True, "n": 3, "into": "kind"}, most_rows=60),
        StepCase({**FIND, "query": 9, "n": 5, "short": "fail"}, most_rows=60, may_refuse=True),
        StepCase({**READY, "query": 9, "n": 5, "bucket": "year", "short": "take"}, most_rows=60),
        StepCase({"with": "embedding", "like": "examples", "k": 2}, most_rows=60),
        StepCase({"with": "embedding", "like": "examples", "k": 2, "method": "cells", "probes": 1}, most_rows=60),
    ],
    "words": [StepCase({"of": "label"})],
    "match": [StepCase({"of": "label", "entries": "entries.txt", "into": "found"}, keeps=everything)],
    "size": [StepCase({})],
    "provenance": [StepCase({})],
    "join": [
        StepCase({"with": "annotations", "columns": {"class": "label", "vector": "embedding"}}, keeps=everything),
        StepCase({"with": "annotations", "on": ["uid", "year"], "columns": "score", "replace": "score"}),
        StepCase({"with": "labelled", "on": {"label": "kind"}, "columns": ["class"], "missing": "drop"}),
        StepCase(
            {"with": "tombstones.parquet", "on": {"whole": "year"}, "columns": {"note": "other"}}, keeps=everything
        ),
    ],
    "tags": [
        StepCase("runs/first", keeps=everything),
        StepCase({"of": "runs/first", "columns": {"is_odd": "odd"}}, keeps=everything),
    ],
    "near_duplicates": [
        StepCase({"same": ["country", "taken_at"], "within": "1 minute"}, keeps=everything),
        StepCase({"vectors": "embedding", "above": 0.6, "keep": "first"}),
        StepCase({"same": ["year", "flag"], "vectors": "embedding", "above": 0.8, "keep": "best", "by": "score"}),
        StepCase({"vectors": "embedding", "above": 0.7, "keep": "far", "method": "cells", "probes": 1.2}),
        StepCase(
            {"vectors": "embedding", "above": 0.4, "clusters": "small", "keep": "best", "by": "score"}, most_rows=60
        ),
    ],
    "hash": [StepCase({}), StepCase({"kinds": ["sha256"]})],
    "derive": [
        StepCase({"double": "small::int * 2", "name": "upper(country)", "of": "'source'"}, keeps=everything),
        StepCase({"score": "coalesce(score, 0) + half", "late": "taken_at > date '2001-01-01'"}, keeps=everything),
    ],
    "renumber": [
        StepCase({"column": "label", "into": "class_index"}, keeps=everything),
        StepCase({"column": "whole", "into": "whole"}, keeps=everything),
    ],
    "rename": [
        StepCase({"label": "class", "score": "points"}, keeps=everything),
        StepCase({"label": "country", "country": "label", "embedding": "clip"}, keeps=everything),
    ],
    "keep_columns": [
        StepCase({"columns": ["label", "embedding"]}, keeps=everything),
        StepCase({"columns": "uid"}, keeps=everything),
    ],
    "where": [
        StepCase({"expression": "score > 0 or small < 0"}),
        StepCase({"expression": "label IN ('a', 'ä') and not flag"}),
        StepCase({"expression": "half < 1 and similarity between 0.1 and 0.3 or url like '%3'"}),
    ],
    "top": [
        StepCase({"by": "similarity", "n": 10}, keeps=kept(10)),
        StepCase({"by": "score", "n": 5, "lowest": True}, keeps=kept(5)),
        StepCase({"by": "score", "fraction": "30%", "group": "label"}),
        StepCase({"by": "year", "n": 3, "group": ["country", "flag"]}),
        StepCase({"by": "whole", "n": 40}, keeps=kept(40)),
        StepCase({"by": "flag", "n": 9}, keeps=kept(9)),
        StepCase({"by": "taken_at", "n": 4, "group": "small", "lowest": True}),
        StepCase({"by": "half", "n": 0}, keeps=kept(0)),
        StepCase({"by": "small", "n": 5, "ties": "keep"}),
        StepCase({"by": "year", "fraction": "30%", "group": "label", "ties": "keep", "lowest": True}),
    ],
    "drop_small": [
        StepCase({"group": "label", "below": "10%"}),
        StepCase({"group": ["country", "year"], "count": 3}),
    ],
    "largest": [
        StepCase({"group": "label", "n": 2, "at_least": 3}),
        StepCase({"group": ["flag", "small"], "n": 3}),
    ],
    "cap": [
        StepCase({"group": "label", "n": 4}, keeps=kept_of_each(["label"], 4)),
        StepCase({"group": "label", "n": 2, "redraw": True}, keeps=kept_of_each(["label"], 2)),
        StepCase({"group": ["country", "whole", "flag"], "n": 1}, keeps=kept_of_each(["country", "whole", "flag"], 1)),
    ],
    "sample_groups": [
        StepCase({"group": "label", "n": 2}),
        StepCase({"group": ["year", "country"], "n": 5}),
    ],
    "sample": [
        StepCase({"n": 20}, keeps=kept(20)),
        StepCase({"fraction": 0.25}),
        StepCase({"fraction": "50%", "group": "year"}),
        StepCase({"n": 15, "balance": ["country", "small", "flag"]}, keeps=kept(15)),
        StepCase({"fraction": "30%", "balance": "label"}),
    ],
    "balance": [
        StepCase({"group": "label"}),
        StepCase({"group": ["country", "flag"], "n": 3}, keeps=kept_of_each(["country", "flag"], 3)),
        StepCase({"group": "flag", "proportions": {True: 7, "false": "30%"}, "total": 50}, may_refuse=True),
        StepCase({"group": "small", "proportions": {-128: 1, 0: 2}}, may_refuse=True),
    ],
    "balance_matches": [StepCase({"n": 3})],
    "licenses": [
        StepCase({"allow": "open"}),
        StepCase({"allow": ["cc-by", "=what?"]}),
    ],
    "keep": [
        StepCase({"ids": ["https://example.org/3", "nowhere"], "by": "url"}),
        StepCase({"file": "tombstones.parquet", "by": "year"}),
    ],
    "remove": [
        StepCase({"ids": ["https://example.org/3", "nowhere"], "by": "url"}),
        StepCase({"file": "tombstones.txt"}),
        StepCase({"file": "tombstones.parquet", "by": "year"}),
    ],
    "verdicts": [
        StepCase({"path": "sheet.csv"}),
        StepCase({"path": "sheet.csv", "words": {"map": "positive"}, "only": ["positive", "unsure"]}),
    ],
    "match_histogram": [
        StepCase({"group": ["label", "year"], "by": "small", "like": "annotations", "edges": [-5, 0.5, 9], "n": 1}),
        StepCase({"group": "label", "by": "score", "like": "annotations", "edges": [0.25], "n": 40}),
    ],
    "selection_frequency": [
        StepCase(
            {"class": "label", "verdicts": "sheet.csv", "partial": True, "unknown": "ignore", "into": "share"},
            keeps=everything,
        ),
        StepCase({"verdicts": ["sheet.csv", "no.csv"], "annotators": 2, "partial": True, "unknown": "ignore"}),
    ],
    "verify": [
        StepCase({"class": "label", "verdicts": "sheet.csv", "partial": True, "unknown": "ignore"}),
        StepCase(
            {
                "class": "country",
                "bucket": "flag",
                "by": "score",
                "keep": 1,
                "verdicts": ["sheet.csv", "no.csv"],
                "rule": "dawid_skene",
                "annotators": 2,
                "probability": 0.6,
                "partial": True,
                "unknown": "ignore",
            }
        ),
    ],
    "split": [
        StepCase({"ratios": {"train": 0.8, "val": "10%", "test": "rest"}}, keeps=everything),
        StepCase({"counts": {"test": 5, "train": "rest"}, "stratify": ["label"], "into": "part"}, may_refuse=True),
        StepCase({"counts": {"test": 2, "val": 3}}, may_refuse=True, keeps=kept(5)),
        StepCase({"ratios": {"train": 0.7, "test": 0.3}, "group": "label"}),
        StepCase({"ratios": {"train": 0.5, "test": 0.5}, "group": "year", "stratify": ["country", "flag"]}),
        StepCase({"ratios": {"train": 0.7, "test": 0.3}, "seeds": 3, "stratify": "label"}),
        StepCase({"ratios": {"train": 0.5, "test": 0.5}, "group": "year", "stratify": ["country"], "seeds": 2}),
        StepCase({"counts": {"test": 2, "val": 3}, "seeds": 2}, may_refuse=True, keeps=kept(10)),
    ],
    "glt": [
        StepCase({"label": "country", "attribute": "rank", "scale": "auto"}, may_refuse=True),
        StepCase({"label": "flag", "attribute": "rank", **LONG_TAIL}, may_refuse=True),
    ],
}


EXAMPLES: dict[str, StepCase] = {
    # Small tables lack the rows that they ask for, and nobody answers.
    **dict.fromkeys(("retrieve", "balance", "glt", "verify", "selection_frequency"), StepCase(may_refuse=True)),
    **dict.fromkeys(("cluster", "label"), StepCase(most_rows=60)),
    # Without 'candidates' every fit trains multilayer perceptrons: ten seconds each time.
    "classify": StepCase(
        {
            **LEARN,
            "positive": "map",
            "threshold": {"precision": "95%"},
            "keep": True,
            "candidates": ["mean", "logistic"],
        },
        most_rows=60,
    ),
}
"""How the example of a step is run, if it is not run as others are."""


def cases_of(verb: str) -> list[StepCase]:
    """The cases of a step: those above, and its example."""
    return [*CASES.get(verb, []), EXAMPLES.get(verb, StepCase())]


@dataclass(frozen=True)
class Case:
    """A case with the verb it is of, for the names of tests."""

    verb: str
    case: StepCase = field(compare=False)
    number: int = 0

    @property
    def trial(self) -> Trial:
        """The step, and the tables that it is run on."""
        return Trial(step_class(self.verb), self.case, {})

    @property
    def parameters(self) -> dict[str, Any]:
        """As in a recipe."""
        return parameters_of(step_class(self.verb), self.case.parameters)

    def __str__(self) -> str:
        return f"{self.verb}-{self.number}"


def cases() -> list[Case]:
    """Every case of every registered step."""
    return [Case(verb, case, number) for verb in STEPS for number, case in enumerate(cases_of(verb))]
