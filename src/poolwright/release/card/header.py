"""The YAML header of a dataset card, which the Hugging Face hub and `datasets` read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import yaml

from poolwright.core.columns import LABEL, LICENSE, TEXT
from poolwright.release.card.about import About, hub_license
from poolwright.release.record import ReleaseRecord

_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)


def header(release: ReleaseRecord, about: About, title: str, sizes: Mapping[str, int]) -> str:
    """The header between its fences.

    Args:
        sizes: bytes of each data file.
    """
    keys: dict[str, object] = {**hub_license(about, release.has(LICENSE))}
    if about.language:
        keys["language"] = list(about.language)
    keys["pretty_name"] = title
    keys["size_categories"] = [size_category(release.rows)]
    keys["task_categories"] = _tasks(release)
    keys["tags"] = list(dict.fromkeys([*about.tags, "poolwright", "croissant"]))
    configs = release.configs
    keys["configs"] = _configs(release) if configs else [{"config_name": "default", "data_files": _data_files(release)}]
    keys["dataset_info"] = [_info(release, sizes, name) for name in configs] if configs else _info(release, sizes)
    return f"---\n{yaml.safe_dump(keys, sort_keys=False, allow_unicode=True, width=100)}---"


def _tasks(release: ReleaseRecord) -> list[str]:
    if release.has(LABEL) or release.has("label_ids"):
        return ["image-classification"]
    return ["text-to-image", "image-to-text"] if release.has(TEXT) else ["image-feature-extraction"]


def _data_files(release: ReleaseRecord) -> list[dict[str, str]]:
    patterns = {"huggingface": "data/{}-*", "mappool": "data/{}-*", "image_folder": "{}/**"}
    if release.layout in patterns:
        pattern = patterns[release.layout]
        return [{"split": split, "path": pattern.format(split)} for split in release.splits]
    return [{"split": file.split, "path": file.path} for file in release.files]


def _configs(release: ReleaseRecord) -> list[dict[str, object]]:
    made: list[dict[str, object]] = []
    for name in release.configs:
        here = {file.split for file in release.files_of(name)}
        splits = [split for split in release.splits if split in here]
        files = [{"split": split, "path": f"data/{name}/{split}-*"} for split in splits]
        made.append({"config_name": name, "data_files": files})
    return made


def _info(release: ReleaseRecord, sizes: Mapping[str, int], config: str | None = None) -> dict[str, object]:
    """Rows and bytes of the splits, of one config where there are several."""
    files = release.files if config is None else release.files_of(config)
    rows: Counter[str] = Counter() if config else Counter(dict.fromkeys(release.splits, 0))
    weights: Counter[str] = Counter()
    for file in files:
        rows[file.split] += file.rows
        weights[file.split] += sizes[file.path]
    splits = [
        {"name": split, "num_bytes": weights[split], "num_examples": rows[split]}
        for split in release.splits
        if split in rows
    ]
    named = {"config_name": config} if config else {}
    return {**named, "splits": splits, "download_size": weights.total(), "dataset_size": weights.total()}


def size_category(rows: int) -> str:
    """The hub's word for so many rows."""
    return next((words for limit, words in _SIZES if rows < limit), "n>1T")
