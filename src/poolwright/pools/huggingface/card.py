"""Read what the card of a repository, README.md, says of its data: configs, files of the splits, features."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poolwright.core.errors import RecipeError
from poolwright.core.texts.yaml_text import load

DEFAULT = "default"
"""Name of the config of a repository that names none."""

_HEADER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_OPTIONS = ("sep", "delimiter", "drop_labels")
_KNOWN = ("config_name", "data_files", "data_dir", "default", "features", "description", "version", *_OPTIONS)


@dataclass(frozen=True)
class Config:
    """A config of a repository.

    Attributes:
        name: its name.
        patterns: globs by split; None if splits follow from the names of files.
        folder: folder that the patterns are relative to; '' for the repository.
        options: parameters of the reader that the pool follows.
        others: names of further parameters, which are not followed.
    """

    name: str
    patterns: Mapping[str, Sequence[str]] | None = None
    folder: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardFeatures:
    """The columns that a card describes.

    Attributes:
        classes: names of the classes by index, by column.
        images: columns of images.
    """

    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Card:
    """What a card says of the data.

    Attributes:
        configs: the configs; one called `DEFAULT` if it names none.
        features: by config.
    """

    configs: tuple[Config, ...] = (Config(DEFAULT),)
    features: Mapping[str, CardFeatures] = field(default_factory=dict)


def read_card(text: str, where: str) -> Card:
    """Read a README with a YAML header; one without says nothing.

    Args:
        text: the README.
        where: its path, for errors.

    Raises:
        RecipeError: the header is no YAML, or not as the Hub documents it.
    """
    header = _HEADER.match(text)
    data = load(header[1], where) if header else None
    if not isinstance(data, dict):
        return Card()
    listed = data.get("configs") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) and "config_name" in one for one in listed):
        raise RecipeError(f"{where}: 'configs' is a list of mappings with 'config_name'")
    configs = [_config(one, where) for one in listed]
    described = {one.name: _features(dict(given), where) for one, given in zip(configs, listed, strict=True)}
    infos = data.get("dataset_info") or []
    for info in infos if isinstance(infos, list) else [infos]:
        if isinstance(info, dict) and info.get("features"):
            described[str(info.get("config_name", DEFAULT))] = _features(info, where)
    return Card(tuple(configs) or (Config(DEFAULT),), described)


def _config(given: Mapping[str, Any], where: str) -> Config:
    name = str(given["config_name"])
    others = tuple(key for key in map(str, given) if key not in _KNOWN)
    options = {key: given[key] for key in _OPTIONS if key in given}
    files = given.get("data_files")
    patterns = None if files is None else _patterns(files, f"{where}: config '{name}'")
    return Config(name, patterns, str(given.get("data_dir") or "").strip("/"), options, others)


def _patterns(files: Any, where: str) -> dict[str, list[str]]:
    """Return the globs of each split."""
    if isinstance(files, str):
        return {"train": [files]}
    if isinstance(files, list) and files and all(isinstance(one, str) for one in files):
        return {"train": files}
    if isinstance(files, dict):
        files = [{"split": split, "path": path} for split, path in files.items()]
    found: dict[str, list[str]] = {}
    for one in files if isinstance(files, list) and files else [None]:
        paths = one.get("path") if isinstance(one, dict) else None
        paths = [paths] if isinstance(paths, str) else paths
        if not isinstance(one, dict) or not isinstance(paths, list) or "split" not in one or not paths:
            raise RecipeError(f"{where}: 'data_files' is a path, a list of paths, or a list of 'split' and 'path'")
        if str(one["split"]) in found:
            raise RecipeError(f"{where}: the split '{one['split']}' is named twice in 'data_files'")
        found[str(one["split"])] = [str(path) for path in paths]
    return found


def _features(info: Mapping[str, Any], where: str) -> CardFeatures:
    listed = info.get("features")
    classes: dict[str, tuple[str, ...]] = {}
    images: list[str] = []
    for feature in listed if isinstance(listed, list) else ():
        if not isinstance(feature, dict) or "name" not in feature:
            continue
        name = str(feature["name"])
        if feature.get("dtype") == "image" or "image" in feature:
            images.append(name)
        for names in _class_labels(feature):
            classes[name] = _in_order(names, f"{where}: the classes of '{name}'")
    return CardFeatures(classes, tuple(images))


def _class_labels(feature: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the names of classes that a column has: its own, or those of the items of a list."""
    for key in ("dtype", "sequence", "list", "large_list"):
        inner = feature.get(key)
        if isinstance(inner, dict):
            yield from _class_labels(inner)
    label = feature.get("class_label")
    if isinstance(label, dict) and label.get("names"):
        yield label["names"]


def _in_order(names: Any, where: str) -> tuple[str, ...]:
    if isinstance(names, list):
        return tuple(map(str, names))
    try:
        numbered = {int(number): str(name) for number, name in names.items()}
        return tuple(numbered[number] for number in range(len(numbered)))
    except (AttributeError, KeyError, ValueError):
        raise RecipeError(f"{where} are not numbered from 0 without gaps") from None
