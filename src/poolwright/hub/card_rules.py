"""Check the header of a dataset card against the rules of the Hugging Face Hub, without asking the Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import translate
from pathlib import Path
from typing import Any

from poolwright.core.errors import did_you_mean
from poolwright.reference.hub_ids import LICENSES, SIZES, TASKS
from poolwright.release.checks.result import Findings

_CARD = "README.md"
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*|code|multilingual")
_CONFIG_NAME = re.compile(r"[^<>:/\\|?*]+")
_TEXTS = ("pretty_name", "license_name", "license_link")


def check_header(folder: Path, files: Mapping[str, Any]) -> Findings:
    """Check the YAML header of README.md.

    Args:
        folder: the release.
        files: all its files by their paths.
    """
    import yaml
    from huggingface_hub import DatasetCard

    if _CARD not in files:
        return [f"'{_CARD}' is missing"], ""
    try:
        header = DatasetCard.load(folder / _CARD).data.to_dict()
    except (yaml.YAMLError, ValueError, TypeError, OSError) as error:
        return [f"the header of '{_CARD}' cannot be read: {str(error).splitlines()[0]}"], ""
    wrong = [*_licenses(header), *_lists(header), *_texts(header), *_configs(header, files), *_info(header)]
    return wrong, "licence, language, size, tasks and configs are as the Hub takes them, and every pattern finds files"


def _licenses(header: Mapping[str, Any]) -> Iterator[str]:
    for one in _as_list(header.get("license")):
        if one not in LICENSES:
            yield f"license: no licence '{one}' on the Hub; {did_you_mean(str(one), LICENSES)}"
        if one == "other" and not header.get("license_name"):
            yield "license: 'other' needs a license_name: card: license in the recipe"


def _lists(header: Mapping[str, Any]) -> Iterator[str]:
    sizes = {name for _, name in SIZES} | {"n>1T"}
    for key, known in (("size_categories", sizes), ("task_categories", TASKS)):
        for one in _as_list(header.get(key)):
            if one not in known:
                yield f"{key}: the Hub does not know '{one}'; {did_you_mean(str(one), known)}"
    for one in _as_list(header.get("language")):
        if not isinstance(one, str) or not _LANGUAGE.fullmatch(one):
            yield f"language: '{one}' is not an ISO 639 code such as en; in YAML, `no` without quotes is false"
    for one in _as_list(header.get("tags")):
        if not isinstance(one, str) or not one:
            yield f"tags: {one!r} is not a text; put it in quotes"


def _texts(header: Mapping[str, Any]) -> Iterator[str]:
    for key in _TEXTS:
        if key in header and not isinstance(header[key], str):
            yield f"{key}: {header[key]!r} is not a text"


def _configs(header: Mapping[str, Any], files: Mapping[str, Any]) -> Iterator[str]:
    seen: set[str] = set()
    for config in _as_list(header.get("configs")):
        name = config.get("config_name") if isinstance(config, dict) else None
        if not isinstance(name, str) or not _CONFIG_NAME.fullmatch(name):
            yield f"configs: {name!r} is no name of a config"
            continue
        if name in seen:
            yield f"configs: '{name}' is there twice"
        seen.add(name)
        for split, pattern in _patterns(config.get("data_files")):
            if not any(_matcher(pattern).fullmatch(file) for file in files):
                yield f"configs: {name}: {split}: no file matches '{pattern}'"


def _patterns(data_files: Any) -> Iterator[tuple[str, str]]:
    """Yield (split, pattern) of the forms that `data_files` has in a header: texts, lists, splits with paths."""
    for one in _as_list(data_files):
        if isinstance(one, str):
            yield "train", one
        elif isinstance(one, dict):
            yield from ((str(one.get("split", "train")), str(path)) for path in _as_list(one.get("path")))


def _matcher(pattern: str) -> re.Pattern[str]:
    """Compile a glob: `*` does not cross folders, `**/` stands for any number of them."""
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    as_regex = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return re.compile("".join(as_regex[piece] if piece in as_regex else _classes(piece) for piece in pieces), re.DOTALL)


def _classes(piece: str) -> str:
    """Return the regular expression of a piece without wildcards, in which [...] may stand."""
    return translate(piece).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")


def _info(header: Mapping[str, Any]) -> Iterator[str]:
    configs = {one.get("config_name") for one in _as_list(header.get("configs")) if isinstance(one, dict)}
    for info in _as_list(header.get("dataset_info")):
        if not isinstance(info, dict):
            yield "dataset_info: is not a mapping"
        elif "config_name" in info and info["config_name"] not in configs:
            yield f"dataset_info: config '{info['config_name']}' is not among the configs"


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
