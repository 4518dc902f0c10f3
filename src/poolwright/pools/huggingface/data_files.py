"""Find the data files of each split of a repository by the rules of Hugging Face `datasets`.

Patterns are those of fsspec's `glob`; without any, splits follow from the names of files and folders
(`datasets/data_files.py` of datasets 5.2.0, https://huggingface.co/docs/hub/datasets-file-names-and-splits).
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain

from poolwright.core.errors import RecipeError
from poolwright.core.images.formats import IMAGE_EXTENSIONS, extension_of_name, is_image_name

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Files that describe the images of a folder."""

SPLITS = ("train", "validation", "test")

_OF_THE_REPOSITORY = (
    "README.md",
    "config.json",
    "dataset_info.json",
    "dataset_infos.json",
    "dummy_data.zip",
    "dataset_dict.json",
)
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SHARD = re.compile(r"data/([^/]+)-[0-9]{5}-of-[0-9]{5}[^/]*\.[^/]*")
_SEPARATED = ("{word}", "{word}[-._ 0-9]*", "*[-._ 0-9]{word}", "*[-._ 0-9]{word}[-._ 0-9]*")
_FOLDERS = tuple(f"**/{name}/**" for name in _SEPARATED)
_FILES = (f"**/{_SEPARATED[1]}", f"**/{_SEPARATED[3]}")

IMAGES, TARS = "images", "tars"
_KINDS = {
    "parquet": "parquet",
    "arrow": "arrow",
    "jsonl": "jsonl",
    "json": "jsonl",
    "ndjson": "jsonl",
    "csv": "csv",
    "tsv": "tsv",
    "tar": TARS,
}
_ORDER = ("csv", "json", "jsonl", "arrow", "parquet")
"""Of two extensions of as many files, the later one counts."""


def inferred(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each split of a repository that does not name them.

    Args:
        names: relative paths of all files, sorted.
    """
    names = [name for name in names if _is_data(name, "**")]
    shards = [(found[1], name) for name in names if (found := _SHARD.fullmatch(name))]
    if shards:
        splits = sorted({split for split, _ in shards}, key=lambda split: (_place(split), split))
        return {split: [name for known, name in shards if known == split] for split in splits}
    for forms in (_FOLDERS, _FILES):
        files = {split: [name for name in names if _is_of(split, forms, name)] for split in SPLITS}
        if any(files.values()):
            return {split: some for split, some in files.items() if some}
    return {SPLITS[0]: names} if names else {}


def _place(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def _is_of(split: str, forms: Sequence[str], name: str) -> bool:
    return any(_regex(form.format(word=word)).match(name) for word in _WORDS[split] for form in forms)


def matched(patterns: Mapping[str, Sequence[str]], names: Sequence[str], where: str) -> dict[str, list[str]]:
    """Return the files of each split, in the order of its patterns; each file once.

    Args:
        patterns: globs by split, relative to the repository.
        names: relative paths of all files, sorted.
        where: names the config, for errors.

    Raises:
        RecipeError: a pattern is malformed, leads out of the repository, or matches no file.
    """
    return {
        split: list(dict.fromkeys(chain.from_iterable(_matched(pattern, names, where) for pattern in some)))
        for split, some in patterns.items()
    }


def _matched(pattern: str, names: Sequence[str], where: str) -> list[str]:
    plain = posixpath.normpath(pattern)
    if "://" in pattern or plain.startswith(("/", "..")):
        raise RecipeError(f"{where}: '{pattern}' leads out of the repository; only its own files are read")
    try:
        regex = _regex(plain)
    except (ValueError, re.error) as error:
        raise RecipeError(f"{where}: '{pattern}' is no pattern of files: {error}") from None
    found = [name for name in names if regex.match(name) and _is_data(name, plain)]
    if not found:
        raise RecipeError(f"{where}: no file matches '{pattern}'; correct 'data_files' in the README, or add the files")
    return found


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    from fsspec.utils import glob_translate

    return re.compile(glob_translate(pattern))


def _is_data(name: str, pattern: str) -> bool:
    """Whether a file that matches is data: not the card, and in no folder such as __pycache__ unless it is named."""
    if posixpath.basename(name) in _OF_THE_REPOSITORY and posixpath.basename(pattern) != posixpath.basename(name):
        return False
    special = [sum(part.startswith("__") for part in posixpath.dirname(path).split("/")) for path in (name, pattern)]
    return special[0] == special[1]


def kind_of(names: Sequence[str], where: str) -> str:
    """Return what most data files are: a format of the pool `table`, `IMAGES` or `TARS`.

    Files of metadata count only if there are no others.

    Raises:
        RecipeError: none is of a kind that is read.
    """
    counts = Counter(
        (posixpath.basename(name) not in METADATA, extension.lower())
        for name in names
        for extension in posixpath.basename(name).split(".")[1:]
    )
    ranks = {extension: place for place, extension in enumerate(_ORDER)}
    for _, extension in sorted(
        counts, key=lambda key: (key[0], counts[key], ranks.get(key[1], -1), key[1]), reverse=True
    ):
        if extension in _KINDS:
            return _KINDS[extension]
        if extension in IMAGE_EXTENSIONS:
            return IMAGES
        if extension == "zip":
            raise RecipeError(f"{where}: the data are .zip files, which are not read in place; unpack them first")
    shown = ", ".join(sorted({f".{extension}" for _, extension in counts})[:8]) or "none"
    raise RecipeError(
        f"{where}: no data files that are read; these are Parquet, Arrow, CSV, TSV, JSON Lines, image files and "
        f"WebDataset tars (extensions there: {shown})"
    )


def is_of_kind(name: str, kind: str) -> bool:
    """Whether a data file is of the kind that `kind_of` found."""
    base = posixpath.basename(name)
    if kind == IMAGES:
        return is_image_name(name) or base in METADATA
    return any(_KINDS.get(extension.lower()) == kind for extension in base.split(".")[1:]) and (
        extension_of_name(base) not in IMAGE_EXTENSIONS
    )
