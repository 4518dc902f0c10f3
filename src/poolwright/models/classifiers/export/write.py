"""Write the classifier of a step `classify` to a file that other programs read: ONNX, or skops with scikit-learn."""

from __future__ import annotations

import json
from pathlib import Path

from poolwright.core.errors import InputError, RecipeError, require_module
from poolwright.core.files import write_atomically
from poolwright.core.state import State
from poolwright.models.classifiers.classifier_file import read_classifier
from poolwright.models.classifiers.export.to_onnx import to_onnx
from poolwright.models.classifiers.export.to_sklearn import to_sklearn
from poolwright.models.classifiers.ready import CONTENT, ONNX
from poolwright.models.classifiers.trained import classifier_of


def write_classifier(source: Path, to: Path) -> State:
    """Write a classifier; return the state that it is in.

    Args:
        source: the folder of a finished table or of a release, or the `.json` of a state of `classify`.
        to: a file that ends in `.onnx` or `.skops`.

    Raises:
        RecipeError: another suffix, or there is no classifier in the folder, or several.
        InputError: the classifier cannot be written in this form.
        MissingExtra: onnx or skops is not installed.
    """
    if to.suffix not in (".onnx", ".skops"):
        raise RecipeError(f"{to}: a classifier is written as .onnx or .skops; name such a file")
    file = source if source.suffix == ".json" else _state_in(source)
    state = read_classifier(str(file))
    threshold = float(state.values["threshold"])
    if state.values["classifier"]["kind"] == ONNX:
        if to.suffix != ".onnx":
            raise InputError(f"{source} was taken from an ONNX file, which has no estimator of scikit-learn")
        content = state.tables[ONNX].column(CONTENT)[0].as_py()
    elif to.suffix == ".onnx":
        require_module("onnx", f"{to}")
        content = to_onnx(classifier_of(state), threshold)
    else:
        require_module("skops", f"{to}")
        from skops.io import dumps

        content = dumps(to_sklearn(classifier_of(state), threshold))
    write_atomically(to, lambda file: file.write(content))
    return _as_saved(state, file)


def _as_saved(state: State, file: Path) -> State:
    """Return a state as its step saved it: read as a classifier, it names the state's own file as its source."""
    values = dict(state.values)
    if source := json.loads(file.read_text(encoding="utf-8"))["values"].get("source"):
        values["source"] = source
    elif "training" in values:
        del values["source"]
    return State(values, state.tables)


def _state_in(folder: Path) -> Path:
    found = sorted((folder / "states").glob("*-classify.json"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise RecipeError(f"{folder} has the classifiers: {names}; name the folder of one table, or a state's .json")
    return found[0]
