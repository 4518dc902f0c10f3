"""Made examples: classes are clouds of unit vectors around their own directions."""

from __future__ import annotations

from typing import Any

import numpy as np

from poolwright.models.classifiers.examples import Examples
from poolwright.models.classifiers.options import ClassifierOptions


def clouds(per_class: int = 60, classes: int = 2, width: int = 16, noise: float = 0.6, seed: int = 0) -> Examples:
    """`per_class` rows of each of `classes` overlapping classes c0, c1, ...; every third one of each validates."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, width)) / np.sqrt(width)
    index = np.arange(per_class * classes) % classes
    rows = centres[index] + noise * generator.normal(size=(len(index), width)) / np.sqrt(width)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Examples(
        uids=[f"row-{number:05d}" for number in range(len(index))],
        vectors=rows.astype(np.float32),
        labels=[f"c{one}" for one in index],
        split=["validation" if number // classes % 3 == 0 else "train" for number in range(len(index))],
    )


def options(**changes: Any) -> ClassifierOptions:
    """Quick ones: class c1 is wanted, few folds, few draws, every kind with one or two parameters."""
    quick: dict[str, Any] = {
        "positive": "c1",
        "folds": 3,
        "draws": 200,
        "grids": {
            "logistic": {"C": (1.0, 10.0)},
            "linear_svm": {"C": (1.0,)},
            "svm": {"C": (1.0, 10.0), "gamma": (1.0,), "coef0": (1.0,)},
            "mlp": {"alpha": (0.01,)},
            "knn": {"k": (3, 9)},
        },
    }
    return ClassifierOptions(**(quick | changes))


CHEAP = ("mean", "logistic", "svm")
