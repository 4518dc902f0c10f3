"""Compare the files of a folder with those that the Hub has, by the digests that the Hub knows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from poolwright.core.files import sha256_file
from poolwright.hub.addresses import HubAddress
from poolwright.release.checksums import FOREIGN

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class HubFile:
    """One file on the Hub.

    Attributes:
        size: in bytes.
        digest: SHA-256 of a large file; of a small one, which git holds itself, the SHA-1 of its git object.
    """

    size: int
    digest: str

    def is_same(self, path: Path, sha256: str | None = None) -> bool:
        """Whether a local file has these bytes. `sha256` is its digest if that is known."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        if len(self.digest) == 64:
            return (sha256 or sha256_file(path)) == self.digest
        return _git_digest(path) == self.digest


@dataclass(frozen=True)
class HubState:
    """A dataset on the Hub at one commit."""

    commit: str
    private: bool | None
    files: Mapping[str, HubFile]


def look(api: HfApi, address: HubAddress) -> HubState:
    """List a dataset at its newest commit, or at the revision of the address."""
    from huggingface_hub.hf_api import RepoFile

    info = api.dataset_info(address.repo, revision=address.revision)
    tree = api.list_repo_tree(address.repo, recursive=True, revision=info.sha, repo_type="dataset")
    files = {
        one.path: HubFile(one.size, one.lfs.sha256 if one.lfs else one.blob_id)
        for one in tree
        if isinstance(one, RepoFile)
    }
    return HubState(str(info.sha), info.private, files)


def in_git(name: str) -> bool:
    """Whether a file is of the repository, such as .gitattributes, rather than of the dataset."""
    return name.partition("/")[0] in FOREIGN


def different(
    folder: Path, files: Mapping[str, str], state: HubState, each: Callable[[str], object] = lambda name: None
) -> list[str]:
    """Return those of local files, given with their SHA-256, that the Hub lacks or has with other bytes."""
    found = []
    for name, sha256 in files.items():
        if name not in state.files or not state.files[name].is_same(folder / name, sha256):
            found.append(name)
        each(name)
    return found


def _git_digest(path: Path) -> str:
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
