"""Read checkpoints, files of tensors by name, without running code that a pickle could hold."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from poolwright.core.errors import MissingExtra, RecipeError
from poolwright.core.runtime.threads import import_torch

Tensors = dict[str, Any]
"""Tensors of torch by name."""

WRAPPERS = ("_orig_mod.", "module.")
"""Prefixes that torch.compile and DataParallel write before every name."""

_SHOWN = 4
_NEEDS = re.compile(r"Unsupported global: GLOBAL (\S+)|Unsupported class (\S+)")


def read_checkpoint(path: Path, model: str) -> Any:
    """Read the content of a checkpoint: tensors, and plain containers and numbers around them.

    Args:
        path: a .safetensors file, or one that `torch.save` wrote.
        model: of the recipe, for errors.

    Raises:
        RecipeError: there is no such file, it is not a checkpoint, or reading it needs code of its own.
        MissingExtra: the library that reads it is not installed.
    """
    if not path.is_file():
        raise RecipeError(f"{model}: no weights file {path}; check the path")
    return _safetensors(path, model) if path.suffix.lower() == ".safetensors" else _pickled(path, model)


def _safetensors(path: Path, model: str) -> Tensors:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise MissingExtra("safetensors", f"the model {model}") from None
    try:
        return dict(load_file(str(path)))
    except (SafetensorError, OSError) as error:
        raise RecipeError(f"{model}: {path.name} is not a safetensors file: {error}") from None


def _pickled(path: Path, model: str) -> Any:
    torch = import_torch()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        needed = _NEEDS.search(str(error))
        if needed:
            raise RecipeError(
                f"{model}: {path.name} holds more than tensors ({needed.group(1) or needed.group(2)}), and reading "
                "that could run any code; if you trust it, load it with torch.load(path, weights_only=False) and "
                "save only the weights: torch.save({'arch': ..., 'state_dict': ...}, path)"
            ) from None
        raise RecipeError(f"{model}: {path.name} is not a checkpoint of torch") from None
    except Exception as error:  # torch raises RuntimeError, EOFError, ValueError, ... on damaged files
        raise RecipeError(f"{model}: {path.name} is not a checkpoint of torch: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def tensors_of(checkpoint: Any, path: Path, model: str) -> Tensors:
    """Return the tensors of a network: the checkpoint itself, or its entry `state_dict` or `model`.

    Raises:
        RecipeError: the checkpoint has no tensors.
    """
    found = checkpoint
    for key in ("state_dict", "model"):
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(key), Mapping):
            found = checkpoint[key]
            break
    torch = import_torch()
    if not isinstance(found, Mapping) or not found or not all(torch.is_tensor(value) for value in found.values()):
        raise RecipeError(f"{model}: {path.name} holds no weights by name; a checkpoint has them under 'state_dict'")
    return {_unwrapped(str(name)): value for name, value in found.items()}


def _unwrapped(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def load_strictly(network: Any, tensors: Tensors, path: Path, model: str) -> Any:
    """Put tensors into a network that must have exactly these.

    Returns:
        The network.

    Raises:
        RecipeError: names are missing or unexpected, or shapes differ.
    """
    there = {name: value.shape for name, value in network.state_dict().items()}
    missing = [name for name in there if name not in tensors and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in tensors if name not in there]
    if missing or unexpected:
        problems = [f"it lacks {_some(missing)}"] * bool(missing) + [f"it has {_some(unexpected)}"] * bool(unexpected)
        raise RecipeError(f"{model}: {path.name} is not of this architecture: {', and '.join(problems)}")
    other = [name for name, value in tensors.items() if value.shape != there[name]]
    if other:
        name = other[0]
        raise RecipeError(
            f"{model}: {path.name} is not of this architecture: {name} is {tuple(tensors[name].shape)}, "
            f"not {tuple(there[name])}"
        )
    network.load_state_dict(tensors, strict=False)  # except for the counters, which old checkpoints lack
    return network


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def tensors_digest(tensors: Mapping[str, Any]) -> str:
    """Return the SHA-256 of tensors by name, type, shape and bytes, independent of their file."""
    import hashlib

    import numpy as np

    torch = import_torch()
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(np.ascontiguousarray(value.reshape(-1).view(torch.uint8).numpy()).data)
    return digest.hexdigest()
