"""Push a release to the Hugging Face Hub.

What the Hub has by its digest is not sent again, so a push that was interrupted goes on. All files of a release appear
in one commit, unless more than `FILES_IN_COMMIT` are new: a larger commit may take the Hub too long. Then the card, the
record and the checksums come last. Files that are there and not in the release are removed by the last commit; they
stay in the history of the repository.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwright.core.errors import ReleaseError, TransferError
from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.core.wording import some
from poolwright.hub.addresses import HubAddress
from poolwright.hub.client import connect, retrying, speaking_to_hub
from poolwright.hub.contents import HubState, different, in_git, look
from poolwright.release.checksums import SUMS
from poolwright.release.record import RELEASE

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

FILES_IN_COMMIT = 256
_GIT_BYTES = 100 << 20
"""Bytes of small files in one commit, which is held in memory; larger files are sent from the disk."""
_SMALL = 10 << 20
_FILES_AT_ONCE = 16
_LAST = ("README.md", "croissant.json", RELEASE, SUMS)


class HubPush:
    """One push of a release.

    Args:
        folder: the release, verified.
        files: SHA-256 of all its files, SHA256SUMS included.
        address: dataset on the Hub; its revision is a branch, which is made if it is missing.
        message: of the commit.
        listener: receives progress.
    """

    def __init__(
        self, folder: Path, files: Mapping[str, str], address: HubAddress, message: str, listener: Listener
    ) -> None:
        self.folder, self.files, self.address, self.message, self.listener = folder, files, address, message, listener
        self.api = connect(address, writing=True)
        self.sent: list[str] = []
        self.removed: list[str] = []

    def run(self, public: bool, overwrite: bool) -> HubState:
        """Make the dataset if there is none, and bring it to the state of the release, which is returned.

        Raises:
            ReleaseError: the dataset holds something else.
            TransferError: the Hub refuses, fails or cannot be reached.
        """
        with speaking_to_hub(self.address, self.api, self.listener.note):
            self._check_card()
            self._make(public)
            state = retrying(lambda: look(self.api, self.address), self.listener.note)
            gone = sorted(name for name in state.files if name not in self.files and not in_git(name))
            if gone and RELEASE not in state.files and not overwrite:
                raise ReleaseError(
                    f"{self.address}: the dataset holds what is not a release ({some(gone, 3)}), which a push removes; "
                    "push to another name, or replace it with --overwrite"
                )
            changed = sorted(different(self.folder, self.files, state), key=_order)
            batches = list(self._batches(changed)) or ([[]] if gone else [])
            for number, names in enumerate(batches, 1):
                state = self._commit(names, gone if number == len(batches) else [], state, number, len(batches))
            self.sent, self.removed = changed, gone
            if left := different(self.folder, self.files, state):
                raise TransferError(
                    f"{self.address}: the Hub left out {some(left, 3)}; a .gitignore of the dataset may name it: "
                    "remove that, and push again"
                )
            return state

    def _check_card(self) -> None:
        from huggingface_hub import DatasetCard

        try:
            retrying(DatasetCard.load(self.folder / "README.md").validate, self.listener.note)
        except ValueError as error:
            said = " ".join(str(error).split())[:300]
            raise ReleaseError(f"{self.folder}: the Hub refuses the header of the card: {said}") from None

    def _make(self, public: bool) -> None:
        api, repo, branch = self.api, self.address.repo, self.address.revision

        def make() -> None:
            api.create_repo(repo, private=not public, repo_type="dataset", exist_ok=True)
            if branch:
                api.create_branch(repo, branch=branch, repo_type="dataset", exist_ok=True)

        retrying(make, self.listener.note)

    def _batches(self, names: Sequence[str]) -> Iterator[list[str]]:
        batch: list[str] = []
        small = 0
        for name in names:
            size = (self.folder / name).stat().st_size
            small += size if size < _SMALL else 0
            if batch and (len(batch) == FILES_IN_COMMIT or small > _GIT_BYTES):
                yield batch
                batch, small = [], size if size < _SMALL else 0
            batch.append(name)
        if batch:
            yield batch

    def _commit(self, names: list[str], gone: list[str], state: HubState, number: int, total: int) -> HubState:
        from huggingface_hub import CommitOperationDelete

        operations: list[Any] = [CommitOperationDelete(name, is_folder=False) for name in gone]
        operations += self._upload(names, f"upload {number} of {total}" if total > 1 else "upload")
        message = f"{self.message} ({number} of {total})" if total > 1 else self.message

        def commit() -> HubState:
            try:
                self.api.create_commit(
                    self.address.repo, operations, commit_message=message, repo_type="dataset",
                    revision=self.address.revision, parent_commit=state.commit,
                )  # fmt: skip
            except Exception:
                # The answer may be lost after the commit was made.
                now = look(self.api, self.address)
                if now.commit == state.commit or not self._is_done(names, gone, now):
                    raise
                return now
            return look(self.api, self.address)

        return retrying(commit, self.listener.note)

    def _is_done(self, names: Sequence[str], gone: Sequence[str], state: HubState) -> bool:
        wanted = {name: self.files[name] for name in names}
        return not different(self.folder, wanted, state) and not any(name in state.files for name in gone)

    def _upload(self, names: Sequence[str], phase: str) -> list[CommitOperationAdd]:
        """Send the large files among some, a few at once; those that the Hub has by their digest are not sent."""
        from huggingface_hub import CommitOperationAdd

        title = self.folder.name
        self.listener.table_started(title, phase, len(names))
        operations: list[CommitOperationAdd] = []
        for start in range(0, len(names), _FILES_AT_ONCE):
            some_names = names[start : start + _FILES_AT_ONCE]
            added = [CommitOperationAdd(name, self.folder / name) for name in some_names]
            for operation, name in zip(added, some_names, strict=True):
                operation.upload_info.sha256 = bytes.fromhex(self.files[name])
            self.api.preupload_lfs_files(
                self.address.repo, added, repo_type="dataset", revision=self.address.revision, num_threads=4,
                free_memory=False,
            )  # fmt: skip
            operations += added
            self.listener.progress(TableProgress(title, phase, len(names), len(operations)))
        return operations


def _order(name: str) -> tuple[int, str]:
    return (_LAST.index(name) if name in _LAST else -1), name
