"""Find the data of a dataset repository: its configs and splits, and what kind of files they are."""

from __future__ import annotations

import json
import os
import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.remote.files import open_file
from poolwright.core.remote.schemes import file_system, is_url
from poolwright.core.wording import some
from poolwright.pools.huggingface.card import DEFAULT, Card, CardFeatures, Config, read_card
from poolwright.pools.huggingface.data_files import inferred, is_of_kind, kind_of, matched
from poolwright.pools.image_folder import passed_over
from poolwright.pools.readers.paths import files_below, first_line, join

CARD, SAVED, SAVED_SPLITS = "README.md", "state.json", "dataset_dict.json"
_NOT_DATA = (CARD, SAVED, SAVED_SPLITS, "dataset_info.json", "dataset_infos.json")
_POINTER = b"version https://git-lfs"
_POINTERS = 16
"""Files that are looked at for pointers of Git LFS."""


@dataclass(frozen=True)
class SplitFiles:
    """The data files of one split of one config, relative to the repository."""

    config: str
    split: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Repository:
    """A dataset repository, or the part of it that is read.

    Attributes:
        root: its folder or URL.
        kind: of all its data files, as `kind_of` says.
        splits: the data files.
        features: what the card says of the columns.
        options: parameters of the reader, from the card.
        remarks: sentences on what is not read.
    """

    root: str
    kind: str
    splits: tuple[SplitFiles, ...]
    features: CardFeatures
    options: Mapping[str, Any]
    remarks: tuple[str, ...] = ()

    @property
    def labels(self) -> dict[str, dict[str, str]]:
        """Return config and split of each file, by its whole path."""
        return {
            join(self.root, name): {"config": one.config, "split": one.split}
            for one in self.splits
            for name in one.files
        }


def open_repository(path: str, configs: Sequence[str] | None, splits: Sequence[str] | None) -> Repository:
    """Find the data files of a repository.

    Args:
        path: folder, folder of the Hub's cache, or URL such as hf://datasets/USER/NAME.
        configs: the configs to read; None for all.
        splits: the splits to read; None for all.

    Raises:
        RecipeError: there is no such repository, config or split; a file is in two of them; configs differ in kind.
    """
    root = _root_of(path)
    names = sorted(files_below(root, lambda name: True))
    card = Card()
    if CARD in names:
        card = read_card(_text(join(root, CARD)), join(root, CARD))
    saved = _saved(root, names)
    chosen = _chosen(path, "config", [config.name for config in card.configs], configs)
    all_splits = saved or [
        one for config in card.configs if config.name in chosen for one in _splits(root, config, names)
    ]
    wanted = set(_chosen(path, "split", list(dict.fromkeys(one.split for one in all_splits)), splits))
    kinds = {one.config: kind_of(one.files, path) for one in reversed(all_splits)}
    if len(set(kinds.values())) > 1:
        shown = ", ".join(f"'{config}' of {kind}" for config, kind in sorted(kinds.items()))
        raise RecipeError(f"{path}: the configs are of different kinds: {shown}; choose some with 'configs: [NAME]'")
    kind = kinds[all_splits[0].config]
    found = [
        SplitFiles(one.config, one.split, tuple(name for name in one.files if is_of_kind(name, kind)))
        for one in all_splits
    ]
    found = [one for one in found if one.split in wanted and one.files]
    _check_once(path, found)
    _check_pointers(root, found)
    remarks = [
        *_commit(path),
        *_unread(names, all_splits, kind, partly=configs is not None),
        *_unfollowed(card, chosen),
    ]
    options = {key: value for config in card.configs if config.name in chosen for key, value in config.options.items()}
    return Repository(root, kind, tuple(found), _features(path, card, chosen), options, tuple(remarks))


def _root_of(path: str) -> str:
    """Return the folder of the files: that of the newest snapshot if it is a repository in the Hub's cache."""
    if is_url(path):
        try:
            system, inner = file_system(path)
            is_there = system.isdir(inner)
        except ValueError as error:
            raise RecipeError(f"{path}: {first_line(error)}; write hf://datasets/USER/NAME") from None
        if not is_there:
            raise RecipeError(f"{path}: no such dataset, or it needs a token: log in with `hf auth login`")
        return path.rstrip("/")
    if not os.path.isdir(path):
        what = "is a file; read it with 'read: table'" if os.path.exists(path) else "no such folder"
        raise RecipeError(f"{path}: {what}")
    main = os.path.join(path, "refs", "main")
    if os.path.isfile(main) and os.path.isdir(os.path.join(path, "snapshots")):
        with open(main, encoding="utf-8") as file:
            return os.path.join(path, "snapshots", file.read().strip())
    return path


def _commit(path: str) -> list[str]:
    """Return a sentence on the commit of the Hub that a path is of now."""
    if not path.startswith("hf://"):
        return []
    from huggingface_hub import HfApi

    system, inner = file_system(path)
    found = system.resolve_path(inner)
    if not hasattr(found, "repo_id"):  # a bucket, which has no commits
        return []
    info = HfApi(system.endpoint, system.token).repo_info(
        found.repo_id, repo_type=found.repo_type, revision=found.revision
    )
    return [f"{path} is read at commit {info.sha}"]


def _text(path: str) -> str:
    with open_file(path) as file:
        return file.read().decode("utf-8", errors="replace")


def _chosen(path: str, what: str, names: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    unknown = next((name for name in wanted or () if name not in names), None)
    if unknown is not None:
        there = f"{did_you_mean(unknown, names)} (there are: {some(names, 30)})"
        raise RecipeError(f"{path}: no {what} '{unknown}'; {there}")
    return [name for name in names if wanted is None or name in wanted]


def _splits(root: str, config: Config, names: Sequence[str]) -> list[SplitFiles]:
    prefix = f"{config.folder}/" if config.folder else ""
    inside = [name[len(prefix) :] for name in names if name.startswith(prefix)]
    where = f"{join(root, CARD)}: config '{config.name}'"
    found = inferred(inside) if config.patterns is None else matched(config.patterns, inside, where)
    if not found:
        raise RecipeError(f"{join(root, config.folder) if prefix else root}: no data files here")
    return [SplitFiles(config.name, split, tuple(prefix + name for name in files)) for split, files in found.items()]


def _saved(root: str, names: Sequence[str]) -> list[SplitFiles]:
    """Return the files that `save_to_disk` wrote: those of a dataset, or of each split of several."""
    if SAVED in names:
        state = _json(join(root, SAVED))
        return [SplitFiles(DEFAULT, str(state.get("_split") or "train"), _saved_files(state, ""))]
    if SAVED_SPLITS not in names:
        return []
    splits = [str(split) for split in _json(join(root, SAVED_SPLITS)).get("splits", ())]
    files = {split: _saved_files(_json(join(root, f"{split}/{SAVED}")), f"{split}/") for split in splits}
    return [SplitFiles(DEFAULT, split, found) for split, found in files.items()]


def _saved_files(state: Mapping[str, Any], prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{one['filename']}" for one in state.get("_data_files", ()))


def _json(path: str) -> dict[str, Any]:
    try:
        data = json.loads(_text(path))
    except FileNotFoundError:
        raise RecipeError(f"{path}: the file is missing; save the dataset again with `save_to_disk`") from None
    except ValueError as error:
        raise RecipeError(f"{path}: not valid JSON: {error}") from None
    return data if isinstance(data, dict) else {}


def _check_once(path: str, splits: Sequence[SplitFiles]) -> None:
    """Check that no row would be read twice."""
    first: dict[str, SplitFiles] = {}
    for one in splits:
        for name in one.files:
            other = first.setdefault(name, one)
            if other is not one:
                what = "configs" if one.config != other.config else "splits"
                names = (other.config, one.config) if what == "configs" else (other.split, one.split)
                raise RecipeError(
                    f"{path}: '{name}' is in the {what} '{names[0]}' and '{names[1]}', so its rows would be read "
                    f"twice; choose with '{what}: [{names[0]}]'"
                )


def _check_pointers(root: str, splits: Sequence[SplitFiles]) -> None:
    names = [name for one in splits for name in one.files] if not is_url(root) else []
    for name in names[:_POINTERS]:
        with open_file(join(root, name)) as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise RecipeError(
                    f"{join(root, name)}: is a pointer of Git LFS, not the file; fetch the files with `git lfs pull`"
                )


def _unread(names: Sequence[str], splits: Sequence[SplitFiles], kind: str, partly: bool) -> Sequence[str]:
    """Return a sentence on the files that are no data of any split; if configs are chosen, others have data too."""
    data = {name for one in splits for name in one.files if is_of_kind(name, kind)}
    others = [name for name in names if name not in data and posixpath.basename(name) not in _NOT_DATA]
    others = [name for name in others if not (partly and is_of_kind(name, kind))]
    endings = (posixpath.splitext(name)[1].lower() or "without extension" for name in others)
    return list(passed_over(Counter(endings)))


def _unfollowed(card: Card, chosen: Sequence[str]) -> list[str]:
    return [
        f"config '{config.name}': the card's parameters {', '.join(config.others)} are not followed"
        for config in card.configs
        if config.name in chosen and config.others
    ]


def _features(path: str, card: Card, chosen: Sequence[str]) -> CardFeatures:
    """Return what the card says of the columns of the chosen configs together."""
    known = [(name, card.features[name]) for name in chosen if name in card.features]
    classes: dict[str, tuple[str, ...]] = {}
    for config, features in known:
        for column, names in features.classes.items():
            if classes.setdefault(column, names) != names:
                raise RecipeError(
                    f"{path}: the classes of '{column}' have other names in config '{config}' than in others; "
                    f"choose with 'configs: [{config}]'"
                )
    return CardFeatures(classes, tuple(dict.fromkeys(name for _, features in known for name in features.images)))
