"""Read class names and templates of installed libraries without importing the libraries.

Importing open_clip or timm takes seconds, and needs compatible versions of torch and torchvision.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

from poolwright.core.errors import MissingExtra, RecipeError


@cache
def clip_metadata(purpose: str) -> ModuleType:
    """Load open_clip's file of ImageNet class names and templates.

    Args:
        purpose: what needs it, for the error.

    Raises:
        MissingExtra: open_clip is not installed.
    """
    path = package_file("open_clip", purpose, "zero_shot_metadata.py")
    spec = importlib.util.spec_from_file_location("_poolwright_zero_shot_metadata", path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"{purpose}: {path} cannot be loaded; reinstall open_clip_torch")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def imagenet21k_synsets(purpose: str) -> list[tuple[str, str, str]]:
    """Read Google's 21,843 ImageNet-21K synsets from timm: (WordNet id, lemmas, definition), by class index.

    Raises:
        MissingExtra: timm is not installed.
    """
    synsets = package_file("timm", purpose, "data/_info/imagenet21k_goog_synsets.txt").read_text(encoding="utf-8")
    lemmas = _by_synset(package_file("timm", purpose, "data/_info/imagenet_synset_to_lemma.txt"))
    definitions = _by_synset(package_file("timm", purpose, "data/_info/imagenet_synset_to_definition.txt"))
    return [(synset, lemmas[synset], definitions[synset]) for synset in synsets.split()]


def _by_synset(path: Path) -> dict[str, str]:
    pairs = (line.split("\t", 1) for line in path.read_text(encoding="utf-8").split("\n") if line)
    return {synset: text.strip() for synset, text in pairs}


def package_file(package: str, purpose: str, name: str) -> Path:
    """Return the path of a file of an installed package, without importing the package.

    Raises:
        MissingExtra: the package is not installed.
        RecipeError: it has no such file.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(package, purpose)
    path = Path(spec.submodule_search_locations[0]) / name
    if not path.is_file():
        raise RecipeError(f"{purpose} needs {name}, which the installed {package} lacks; update {package}")
    return path
