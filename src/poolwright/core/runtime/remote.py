"""Tell a network or server that fails from a file that is damaged or missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from poolwright.core.errors import InputError

_LIBRARIES = ("huggingface_hub", "httpx", "httpx2", "httpcore", "requests", "urllib3", "aiohttp", "botocore", "fsspec")
"""Libraries by which fsspec reads remote files: their exceptions are of the network or a server."""


def is_remote(error: BaseException) -> bool:
    """Whether a library that reads remote files raised an error, other than that there is no such file."""
    own = type(error).__module__.partition(".")[0] in _LIBRARIES
    return own and not isinstance(error, FileNotFoundError)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that a server answered with; None if the error is not of an answer."""
    found = getattr(getattr(error, "response", None), "status_code", getattr(error, "status", None))
    return found if isinstance(found, int) else None


@contextmanager
def reaching(path: str) -> Iterator[None]:
    """Raise `InputError` if the network or a server fails.

    URLs that a server redirects to may be signed: none is shown.

    Args:
        path: names what is read.
    """
    try:
        yield
    except Exception as error:
        if not is_remote(error):
            raise
        status, lines = status_of(error), str(error).splitlines()
        words = f"the server answers {status}" if status else lines[0][:300] if lines else type(error).__name__
        raise InputError(f"{path}: cannot be reached: {words}; run again when it can") from None
