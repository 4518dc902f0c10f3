"""Read fitted scikit-learn estimators from files without running what the files may hold: skops, or a pickle."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from poolwright.core.errors import InputError, MissingExtra, require_module

_OPTIMIZERS = "sklearn.neural_network._stochastic_optimizers"
_SKOPS_TRUSTED = tuple(f"{_OPTIMIZERS}.{name}" for name in ("AdamOptimizer", "SGDOptimizer"))
"""Besides what skops trusts itself: plain holders of numbers within an MLPClassifier."""

_PICKLE_TRUSTED: dict[str, frozenset[str]] = {
    "sklearn.linear_model._logistic": frozenset({"LogisticRegression"}),
    "sklearn.linear_model._ridge": frozenset({"RidgeClassifier"}),
    "sklearn.linear_model._stochastic_gradient": frozenset({"SGDClassifier"}),
    "sklearn.linear_model._perceptron": frozenset({"Perceptron"}),
    "sklearn.linear_model._sgd_fast": frozenset({"Hinge", "SquaredHinge", "ModifiedHuber"}),
    "sklearn.discriminant_analysis": frozenset({"LinearDiscriminantAnalysis"}),
    "sklearn.svm._classes": frozenset({"SVC", "LinearSVC"}),
    "sklearn.neural_network._multilayer_perceptron": frozenset({"MLPClassifier"}),
    _OPTIMIZERS: frozenset({"AdamOptimizer", "SGDOptimizer"}),
    "sklearn.neighbors._nearest_centroid": frozenset({"NearestCentroid"}),
    "sklearn.neighbors._classification": frozenset({"KNeighborsClassifier"}),
    "sklearn.preprocessing._label": frozenset({"LabelBinarizer"}),
    "sklearn.preprocessing._data": frozenset({"StandardScaler"}),
    "sklearn.pipeline": frozenset({"Pipeline"}),
    "numpy": frozenset({"ndarray", "dtype", "float32", "float64", "int32", "int64"}),
    **{f"{core}.multiarray": frozenset({"_reconstruct", "scalar"}) for core in ("numpy.core", "numpy._core")},
    **{f"{core}.numeric": frozenset({"_frombuffer"}) for core in ("numpy.core", "numpy._core")},
    "numpy.random._pickle": frozenset({"__randomstate_ctor", "__bit_generator_ctor"}),
    "numpy.random._mt19937": frozenset({"MT19937"}),
    "numpy.random.bit_generator": frozenset({"SeedSequence", "__pyx_unpickle_SeedSequence"}),
}
"""Names by module that a pickle may ask for: the estimators that have plain arrays, and what they are made of."""


def read_skops(content: bytes, name: str) -> Any:
    """Return the estimator of a `.skops` file.

    Raises:
        InputError: not a skops file, or it holds types that are not trusted; they are named.
        MissingExtra: skops is not installed.
    """
    require_module("skops", f"{name}")
    from skops.io import get_untrusted_types, loads

    with _as_input_error(name, "skops"):
        strangers = sorted(set(get_untrusted_types(data=content)) - set(_SKOPS_TRUSTED))
        if not strangers:
            return loads(content, trusted=list(_SKOPS_TRUSTED))
    raise InputError(
        f"{name} holds types that are not trusted: {', '.join(strangers)}; export the classifier as ONNX instead"
    )


def read_pickle(content: bytes, name: str) -> Any:
    """Return the estimator of a pickle that holds nothing but the types of scikit-learn and NumPy that it needs.

    Raises:
        InputError: not a pickle, or it asks for anything else, which is named.
        MissingExtra: scikit-learn is not installed.
    """
    require_module("sklearn", f"{name}")
    with _as_input_error(name, "pickle"):
        return _Unpickler(BytesIO(content), name).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BytesIO, name: str) -> None:
        super().__init__(file)
        self._name = name

    def find_class(self, module: str, name: str) -> Any:
        if name in _PICKLE_TRUSTED.get(module, ()):
            return super().find_class(module, name)
        raise InputError(
            f"{self._name}: the pickle asks for {module}.{name}, which is not allowed; save the classifier with "
            "skops.io.dump as .skops, or export it as ONNX"
        )


@contextmanager
def _as_input_error(name: str, format: str) -> Iterator[None]:
    """Turn whatever a damaged file makes the libraries raise into one error."""
    try:
        yield
    except (InputError, MissingExtra):
        raise
    except zipfile.BadZipFile:
        raise InputError(f"{name} is not a {format} file; write it with {format}.io.dump") from None
    except Exception as error:  # pickle and skops let through what constructors raise
        raise InputError(f"{name} cannot be read as {format}: {type(error).__name__}: {error}") from None
