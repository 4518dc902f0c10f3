"""Download a dataset from the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from poolwright.core.errors import TransferError
from poolwright.core.files import remove
from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.hub.addresses import HubAddress, leads_out
from poolwright.hub.client import connect, retrying, speaking_to_hub
from poolwright.hub.contents import HubFile, HubState, in_git, look

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_THREADS = 4


class HubSource:
    """A dataset on the Hub, at the commit that its address means when this is made.

    Attributes:
        files: the files of the dataset by path; without those of the repository, such as .gitattributes.
    """

    def __init__(self, address: HubAddress, listener: Listener) -> None:
        self.address, self.name, self.listener = address, address.name, listener
        self.api: HfApi = connect(address, writing=False)
        with speaking_to_hub(address, self.api, listener.note):
            self.state: HubState = retrying(lambda: look(self.api, address), listener.note)
        self.files: Mapping[str, HubFile] = {name: file for name, file in self.state.files.items() if not in_git(name)}
        if wrong := [name for name in self.files if leads_out(name)]:
            raise TransferError(f"{address}: '{wrong[0]}' leads out of the folder; nothing was pulled")

    @property
    def commit(self) -> str | None:
        """The commit that is pulled."""
        return self.state.commit

    def sizes(self) -> dict[str, int]:
        """Return the bytes of every file."""
        return {name: file.size for name, file in self.files.items()}

    def download(self, names: list[str], folder: Path, phase: str = "download") -> None:
        """Download files into a folder; those that are there whole are left, those in part go on.

        Raises:
            TransferError: the Hub fails, or sends what has another digest than it says.
        """
        self.listener.table_started(self.name, phase, len(names))
        with speaking_to_hub(self.address, self.api, self.listener.note), ThreadPoolExecutor(_THREADS) as threads:
            try:
                for done, _ in enumerate(threads.map(lambda name: self._one(name, folder), names), 1):
                    self.listener.progress(TableProgress(self.name, phase, len(names), done))
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def is_same(self, name: str, path: Path, sha256: str | None = None) -> bool:
        """Whether a local file has the bytes of the one on the Hub."""
        return self.files[name].is_same(path, sha256)

    def tidy(self, folder: Path) -> None:
        """Remove what huggingface_hub keeps in a folder to continue downloads."""
        remove(folder / ".cache")

    def _one(self, name: str, folder: Path) -> None:  # the library itself repeats what fails
        self.api.hf_hub_download(
            self.address.repo, name, repo_type="dataset", revision=self.state.commit, local_dir=folder
        )
