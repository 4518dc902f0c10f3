"""Read the addresses that releases are pushed to and pulled from."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import unquote

from poolwright.core.errors import RecipeError, require_module

_HUB = "hf://"
_SHAPE = "hf://datasets/USER/NAME, with @REVISION at the end or without"
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")


@dataclass(frozen=True)
class HubAddress:
    """A dataset repository of the Hugging Face Hub.

    Attributes:
        repo: 'user/name'.
        revision: branch, tag or commit; None for the default branch.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{_HUB}datasets/{self.repo}" + (f"@{self.revision}" if self.revision else "")

    @property
    def name(self) -> str:
        """The name without that of its owner."""
        return self.repo.rpartition("/")[2]


def is_hub(address: str) -> bool:
    """Whether an address is one of the Hugging Face Hub."""
    return address.startswith(_HUB)


def hub_address(text: str) -> HubAddress:
    """Read `hf://datasets/USER/NAME[@REVISION]`.

    Raises:
        RecipeError: it is something else, or the Hub does not allow such a name.
        MissingExtra: huggingface_hub is not installed.
    """
    require_module("huggingface_hub", f"{text}")
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    path, mark, revision = text.removeprefix(_HUB).rstrip("/").partition("@")
    parts = path.split("/")
    if len(parts) != 3 or parts[0] != "datasets" or (mark and not revision):
        raise RecipeError(f"{text}: the address of a dataset is {_SHAPE}")
    try:
        validate_repo_id("/".join(parts[1:]))
    except HFValidationError as error:
        reason = str(error).splitlines()[0].rpartition(": '")[0] or str(error)
        raise RecipeError(f"{text}: the Hub allows no such name: {reason}") from None
    return HubAddress("/".join(parts[1:]), unquote(revision) or None)


def with_revision(address: HubAddress, revision: str | None) -> HubAddress:
    """Return an address at a revision; unchanged if there is none to add.

    Raises:
        RecipeError: the address has another revision.
    """
    if revision and address.revision and revision != address.revision:
        raise RecipeError(f"{address}: the address has a revision and --revision names another; give one of them")
    return replace(address, revision=revision or address.revision)


def check_store(text: str) -> str:
    """Return the URL of a folder in an object store, without a slash at its end.

    Raises:
        RecipeError: it is not a URL, or names a bucket alone.
        MissingExtra: s3fs is not installed, and it is one of S3.
    """
    if not _SCHEME.match(text):
        raise RecipeError(f"{text}: a release goes to {_SHAPE}, or to a folder of an object store: s3://BUCKET/FOLDER")
    url = text.rstrip("/")
    if url.startswith("s3://") and "/" not in url.removeprefix("s3://"):
        raise RecipeError(f"{text}: name a folder within the bucket, such as {url}/NAME: other files there are removed")
    if url.startswith("s3://"):
        require_module("s3fs", url)
    return url


def leads_out(name: str) -> bool:
    """Whether a path of a repository would be written outside the folder that it is pulled into."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name
