"""Check, inspect and load encoders by their spec, each loaded once per process."""

from __future__ import annotations

import threading
from dataclasses import replace

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.runtime.threads import import_torch
from poolwright.models.encoders.kind import EncoderKind
from poolwright.models.encoders.kinds import ENCODERS
from poolwright.models.encoders.vectors import ImageEncoder, Peek

_loaded: dict[EncoderSpec, ImageEncoder] = {}
_loading: dict[EncoderSpec, threading.Lock] = {}
_guard = threading.Lock()


def load_encoder(spec: EncoderSpec) -> ImageEncoder:
    """Return the encoder of a spec; its weights are loaded at the first call in a process.

    Raises:
        RecipeError: unknown kind, or the model cannot be loaded.
        MissingExtra: the library that runs it is not installed.
    """
    with _guard:
        lock = _loading.setdefault(spec, threading.Lock())
    with lock:
        if spec not in _loaded:
            _loaded[spec] = _kind(spec).load(spec)
        return _loaded[spec]


def check_encoder(spec: EncoderSpec) -> None:
    """Check a spec without loading weights: its files, its manifest, its libraries.

    Raises:
        RecipeError: the spec, a file or an option is not valid.
        MissingExtra: a library is not installed.
    """
    _kind(spec).check(spec)


def peek(spec: EncoderSpec) -> Peek:
    """Return name, width and weight digest of an encoder, without loading it if possible.

    Raises:
        RecipeError: the model does not exist, or is not valid.
        MissingExtra: the library that runs it is not installed.
    """
    found = _kind(spec).peek(spec)
    if not found.weights and spec in _loaded:
        return replace(found, weights=_loaded[spec].weights)
    return found


def uses_gpu(spec: EncoderSpec) -> bool:
    """Whether an encoder will run on a GPU: it can, its device says so, and for 'auto' there is one on this machine."""
    if not _kind(spec).on_gpu or spec.device == "cpu":
        return False
    return spec.device == "cuda" or bool(import_torch().cuda.is_available())


def forget_encoders() -> None:
    """Release all loaded encoders and their memory."""
    with _guard:
        _loaded.clear()
        _loading.clear()


def _kind(spec: EncoderSpec) -> EncoderKind:
    if not spec.name_or_path:
        raise RecipeError(f"'{spec.model}' is not a model; write KIND:MODEL, such as onnx:models/clip")
    if spec.kind not in ENCODERS.names():
        raise RecipeError(
            f"no kind of model '{spec.kind}' in '{spec.model}'; {did_you_mean(spec.kind, ENCODERS.names())}"
        )
    kind = ENCODERS.get(spec.kind)()
    for option in ("resize", "crop"):
        if kind.fixed and getattr(spec, option) is not None:
            raise RecipeError(f"{spec.model}: takes no '{option}': {kind.fixed}")
    return kind
