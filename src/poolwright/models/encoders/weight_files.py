"""Resolve paths of weights in a model's spec."""

from __future__ import annotations

import os

_ENDINGS = (".pt", ".pth", ".bin", ".safetensors", ".npz", ".npy", ".ckpt", ".tar")


def is_weight_file(weights: str, folder: str = "") -> bool:
    """Whether the part of `KIND:MODEL/...` after the first slash is a path and not a pretrained tag."""
    return weights.lower().endswith(_ENDINGS) or "/" in weights or os.path.isfile(absolute(folder, weights))


def absolute(folder: str, path: str) -> str:
    """Return a path, relative to `folder` or to a user's home, made absolute if `folder` is."""
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def resolve_weights(name_or_path: str, folder: str) -> str:
    """Return the text after the colon, `MODEL/weights` or `local-dir:FOLDER`, with its path, if any, made absolute."""
    if name_or_path.startswith("local-dir:"):
        return f"local-dir:{absolute(folder, name_or_path.removeprefix('local-dir:'))}"
    architecture, slash, weights = name_or_path.partition("/")
    if name_or_path.startswith("hf-hub:") or not is_weight_file(weights, folder):
        return name_or_path
    return f"{architecture}{slash}{absolute(folder, weights)}"
