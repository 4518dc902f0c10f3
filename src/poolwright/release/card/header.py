"""Write the YAML header of a dataset card, which the Hugging Face Hub and `datasets` read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import yaml

from poolwright.core.columns import LABEL, LICENSE, TEXT
from poolwright.reference.hub_ids import SIZES
from poolwright.release.card.about import About, hub_license
from poolwright.release.card.presentation import Presentation
from poolwright.release.record import ReleaseRecord


def header(
    release: ReleaseRecord, about: About, title: str, sizes: Mapping[str, int], presentation: Presentation
) -> str:
    """Return the header between its fences.

    Args:
        sizes: bytes of each data file.
        presentation: gives the data files and the tasks.
    """
    keys: dict[str, object] = {**hub_license(about, release.has(LICENSE))}
    if about.language:
        keys["language"] = list(about.language)
    keys["pretty_name"] = title
    keys["size_categories"] = [size_category(release.rows)]
    keys["task_categories"] = list(presentation.task_categories)
    keys["tags"] = list(dict.fromkeys([*about.tags, "poolwright", "croissant"]))
    configs = release.configs
    keys["configs"] = [_config(name, files) for name, files in presentation.data_files.items()]
    keys["dataset_info"] = [_info(release, sizes, name) for name in configs] if configs else _info(release, sizes)
    if presentation.features and not configs:
        keys["dataset_info"] = {"features": list(presentation.features), **_info(release, sizes)}
    return f"---\n{yaml.safe_dump(keys, sort_keys=False, allow_unicode=True, width=100)}---"


def usual_tasks(release: ReleaseRecord) -> list[str]:
    """Return the Hub's task categories for a dataset with these columns."""
    if release.has(LABEL):
        return ["image-classification"]
    return ["text-to-image", "image-to-text"] if release.has(TEXT) else ["image-feature-extraction"]


def _config(name: str | None, files: Sequence[tuple[str, str]]) -> dict[str, object]:
    paths = [{"split": split, "path": pattern} for split, pattern in files]
    return {"config_name": "default" if name is None else name, "data_files": paths}


def _info(release: ReleaseRecord, sizes: Mapping[str, int], config: str | None = None) -> dict[str, object]:
    """Return the rows and bytes of the splits, or of one config if there are several."""
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
    """Return the Hub's size category for a number of rows."""
    return next((name for limit, name in SIZES if rows < limit), "n>1T")
