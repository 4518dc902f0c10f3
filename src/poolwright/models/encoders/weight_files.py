"""Paths of weights in a model's spec."""

from __future__ import annotations

import os

_ENDINGS = (".pt", ".pth", ".bin", ".safetensors", ".npz", ".npy", ".ckpt", ".tar")


def is_weight_file(weights: str, folder: str = "") -> bool:
    """Whether the part of `KIND:MODEL/...` behind the first slash is a path, and not a pretrained tag."""
    return weights.lower().endswith(_ENDINGS) or "/" in weights or os.path.isfile(absolute(folder, weights))


def absolute(folder: str, path: str) -> str:
    """A path, relative to `folder` or to the home of a user, made absolute if `folder` is."""
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def resolve_weights(place: str, folder: str) -> str:
    """The place of `KIND:MODEL/weights` or `KIND:local-dir:FOLDER`, with the path in it, if any, made absolute."""
    if place.startswith("local-dir:"):
        return f"local-dir:{absolute(folder, place.removeprefix('local-dir:'))}"
    architecture, slash, weights = place.partition("/")
    if place.startswith("hf-hub:") or not is_weight_file(weights, folder):
        return place
    return f"{architecture}{slash}{absolute(folder, weights)}"
