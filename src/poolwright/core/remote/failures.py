"""Tell a network or server that fails from a file that is damaged or missing, and try again what may pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from poolwright.core.errors import InputError
from poolwright.core.remote.schemes import keys_for

T = TypeVar("T")

_LIBRARIES = (
    *("huggingface_hub", "httpx", "httpx2", "httpcore", "requests", "urllib3", "aiohttp", "fsspec"),
    *("botocore", "aiobotocore", "s3fs", "gcsfs", "google", "adlfs", "azure"),
)
"""Libraries by which fsspec reads remote files: their exceptions are of the network or a server."""

_DENIED = (401, 403)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_PASSING_NAMES = ("Timeout", "Connection", "Disconnected", "Payload", "IncompleteRead", "ProtocolError", "ConnectError")
_WAITS = (0.3, 1.0, 3.0)
"""Seconds before each further try."""


def is_remote(error: BaseException) -> bool:
    """Whether a library that reads remote files raised an error, other than that there is no such file."""
    own = type(error).__module__.partition(".")[0] in _LIBRARIES
    return own and not isinstance(error, FileNotFoundError)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that a server answered with; None if the error is not of an answer."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # of botocore
        answered = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        answered = getattr(response, "status_code", None)
    for found in (answered, getattr(error, "status", None), getattr(error, "code", None)):
        if isinstance(found, int):
            return found
    return None


def _real(error: BaseException) -> BaseException:
    """Return the failure behind an error.

    fsspec calls whatever goes wrong with a HTTP request a missing file, and s3fs passes on that a bucket is missing.
    """
    cause, response = error.__cause__, getattr(error, "response", None)
    if isinstance(response, dict) and str(response.get("Error", {}).get("Code")).startswith("NoSuch"):
        return FileNotFoundError(str(error))
    if isinstance(error, FileNotFoundError) and cause is not None and is_remote(cause):
        return error if status_of(cause) in (404, 410) else cause
    return error


def may_pass(error: BaseException) -> bool:
    """Whether a failure may be gone with the next try: no answer, a lost connection, a server that is overloaded."""
    error = _real(error)
    if not is_remote(error):
        return isinstance(error, TimeoutError | ConnectionError)
    if (status := status_of(error)) is not None:
        return status in _PASSING
    return any(part in kind.__name__ for kind in type(error).__mro__ for part in _PASSING_NAMES)


def retried(call: Callable[[], T]) -> T:
    """Call, and call again a few times if it fails in a way that may pass."""
    for seconds in _WAITS:
        try:
            return call()
        except Exception as error:
            if not may_pass(error):
                raise
        time.sleep(seconds)
    return call()


@contextmanager
def reaching(path: str) -> Iterator[None]:
    """Raise `InputError` if the network or a server fails, or refuses.

    URLs that a server redirects to may be signed: none is shown.

    Args:
        path: names what is read; if it is a URL, the error says which keys its store takes.

    Raises:
        FileNotFoundError: the file is not there.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as found:
        error = _real(found)
        if _is_denied(error, path):
            raise InputError(f"{path}: may not be read with the keys there are; {keys_for(path)}") from None
        if error is not found and isinstance(error, FileNotFoundError):
            raise error from None
        if not is_remote(error):
            raise
        status, lines = status_of(error), str(error).splitlines()
        words = f"the server answers {status}" if status else lines[0][:300] if lines else type(error).__name__
        raise InputError(f"{path}: cannot be reached: {words}; run again when it can") from None


def _is_denied(error: BaseException, path: str) -> bool:
    if isinstance(error, PermissionError):
        return "://" in path and error.filename is None  # a local file has its name in the error
    return is_remote(error) and (status_of(error) in _DENIED or "Credentials" in type(error).__name__)
