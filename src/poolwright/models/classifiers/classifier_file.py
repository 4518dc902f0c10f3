"""Take a classifier that was trained elsewhere from its file, as a state of `classify`: ONNX, skops, pickle or ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.errors import InputError, did_you_mean
from poolwright.core.files import digest_file, sha256_file
from poolwright.core.remote.files import local_file
from poolwright.core.state import State
from poolwright.models.classifiers.calibration import Calibration
from poolwright.models.classifiers.from_sklearn import from_sklearn
from poolwright.models.classifiers.onnx_classifier import OnnxClassifier
from poolwright.models.classifiers.ready import CONTENT, ONNX
from poolwright.models.classifiers.sklearn_files import read_pickle, read_skops
from poolwright.models.classifiers.trained import classifier_of, classifier_state

_EDGES = np.geomspace(1e-3, 1e3, 100)
"""Edges of the histogram of decisions above the threshold, 0; the same below it."""


def read_classifier(path: str, classes: Sequence[str] | None = None, positive: str | None = None) -> State:
    """Read a classifier from a `.onnx`, `.skops` or `.pkl` file, or from the `.json` of a state of `classify`.

    Those of scikit-learn become plain arrays with the same decisions. Probabilities are those of LogisticRegression
    and MLPClassifier, and of ONNX graphs that give them.

    Args:
        classes: names of the classes in the order of the model's own; default these.
        positive: of two classes, the one that a decision above the threshold means; default the second.

    Raises:
        RecipeError, InputError: no such file, not a classifier, one that cannot be converted, or other classes.
    """
    file = Path(path)
    take = _KINDS.get(file.suffix.lower())
    if take is None:
        raise InputError(f"{path}: a classifier is a file {', '.join(_KINDS)}; save it as .skops, or export it as ONNX")
    with suppress(FileNotFoundError):
        file = local_file(path)
    if not file.is_file():
        raise InputError(f"there is no file {path}")
    state = take(file, classes)
    names = state.values["classifier"]["classes"]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: two classes are called '{twice}'; name each by 'classes'")
    if positive is not None and positive not in names:
        raise InputError(
            f"{path} knows no class '{positive}'; its {len(names)} are {', '.join(names[:20])}; "
            f"{did_you_mean(positive, names)}"
        )
    source = {**state.values.get("source", {}), "file": file.name, "sha256": sha256_file(file)}
    found = {"positive": 1, "edges": [], **state.values, "source": source}
    if len(names) == 2 and "training" not in found:
        sides = np.concatenate([-_EDGES[::-1], [0], _EDGES]).astype(np.float32)
        found["edges"] = sides.tolist()
        found["positive"] = found["positive"] if positive is None else names.index(positive)
    elif positive is not None and len(names) == 2 and positive != names[1]:
        raise InputError(f"{path} was trained with 'positive: {names[1]}' and a threshold for it; set that, or nothing")
    return State(found, state.tables)


def width_of(state: State) -> int:
    """Dimensions of the vectors that a state's classifier takes."""
    if state.values["classifier"]["kind"] == ONNX:
        return int(state.values["source"]["width"])
    return classifier_of(state).width


def _onnx(file: Path, classes: Sequence[str] | None) -> State:
    content = file.read_bytes()
    model = OnnxClassifier(content, file.name, classes)
    digest = hashlib.sha256(content).hexdigest()
    values = {
        "classifier": {"kind": ONNX, "classes": list(model.classes), "values": {}, "digest": digest},
        "features": "image",
        "threshold": 0.0,
        "calibration": None,
        "source": {"type": "ONNX", "width": model.width},
    }
    return State(values, {ONNX: pa.table({CONTENT: pa.array([content], pa.large_binary())})})


def _from_sklearn(read: Callable[[bytes, str], Any]) -> Callable[[Path, Sequence[str] | None], State]:
    def take(file: Path, classes: Sequence[str] | None) -> State:
        estimator = read(file.read_bytes(), file.name)
        try:
            classifier = from_sklearn(estimator, classes)
        except InputError as error:
            raise InputError(f"{file.name}: {error}; or export it as ONNX, with skl2onnx") from None
        except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
            raise InputError(
                f"{file.name}: its {type(estimator).__name__} is not fitted, or damaged: {error}"
            ) from None
        if not all(np.isfinite(values).all() for values in classifier.arrays.values()):
            raise InputError(
                f"{file.name}: its {type(estimator).__name__} has values that are not finite; train it anew"
            )
        scores = 1 if classifier.binary else len(classifier.classes)
        logistic = Calibration("platt", {"a": np.ones(scores), "b": np.zeros(scores)})
        calibration = logistic if classifier.kind in ("logistic", "mlp") else None
        state = classifier_state(classifier, calibration, "image", 0.0)
        return State({**state.values, "source": {"type": type(estimator).__name__}}, state.tables)

    return take


def _ours(file: Path, classes: Sequence[str] | None) -> State:
    try:
        document = json.loads(file.read_bytes())
        digests, values = document["tables"], document["values"]
        model = {name: values[name] for name in ("features", "threshold", "calibration", "classifier")}["classifier"]
        damaged = [key for key, digest in digests.items() if _digest(file, key) != digest]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{file} is no state of 'classify', as in RUN/tables/TABLE/states") from None
    if damaged:
        raise InputError(f"{file}: its table {damaged[0]} is missing next to it, or another; copy the state whole")
    state = State.load(file.parent, file.name.removesuffix(".json"))
    if state.values["features"] != "image":
        raise InputError(f"{file} decides on {state.values['features']}; only classifiers of image vectors are taken")
    if classes is not None and list(classes) != model["classes"]:
        raise InputError(f"{file} names its classes itself: {', '.join(model['classes'])}; remove 'classes'")
    return state


def _digest(file: Path, table: str) -> str | None:
    path = file.parent / f"{file.name.removesuffix('.json')}.{table}.parquet"
    return digest_file(path) if path.is_file() else None


_KINDS: Mapping[str, Callable[[Path, Sequence[str] | None], State]] = {
    ".onnx": _onnx,
    ".skops": _from_sklearn(read_skops),
    ".pkl": _from_sklearn(read_pickle),
    ".pickle": _from_sklearn(read_pickle),
    ".json": _ours,
}
