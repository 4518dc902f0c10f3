"""Talk to the Hugging Face Hub by huggingface_hub: quietly, with retries, and with errors of one line."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from poolwright.core.errors import PoolwrightError, RecipeError, TransferError
from poolwright.core.remote.failures import status_of
from poolwright.hub.addresses import HubAddress

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")

_WAITS = (1.0, 4.0, 16.0)
"""Seconds before a request is repeated; huggingface_hub itself repeats those that upload and download."""
_LONGEST_WAIT = 300.0
_FIRST_SECONDS = 8.0
_PASSING = frozenset((408, 429, 500, 502, 503, 504))
_SECRETS = re.compile(r"hf_\w{6,}|(?i:bearer|basic)\s+\S+|(?i:authorization)\S*\s*\S+")
_LOG_IN = "set HF_TOKEN, or run: hf auth login"
_TOKENS = "https://huggingface.co/settings/tokens"
_NETWORK = frozenset(("httpx2", "httpx", "httpcore", "httpcore2", "requests", "urllib3", "hf_xet"))


def connect(address: HubAddress, writing: bool) -> HfApi:
    """Make the client of the Hub, with the token that HF_TOKEN or `hf auth login` gives.

    Raises:
        RecipeError: there is no token and one is needed to write.
    """
    from huggingface_hub import HfApi, constants, get_token

    constants.HF_HUB_DISABLE_TELEMETRY = True  # the switch has no effect if the library was imported before
    token = get_token()
    if writing and not token:
        raise RecipeError(f"{address}: no token for the Hub; make one with write access at {_TOKENS}, then {_LOG_IN}")
    return HfApi(
        endpoint=constants.ENDPOINT,
        token=token or False,
        library_name="poolwright",
        library_version=version("poolwright"),
    )


@contextmanager
def speaking_to_hub(address: HubAddress, api: HfApi, note: Callable[[str], None]) -> Iterator[None]:
    """Turn errors of the Hub and the network into one line, keep secrets out of it, and silence the library.

    Its warnings have URLs, which carry signatures; of them, waits alone are reported.

    Raises:
        TransferError: the Hub refuses, fails or cannot be reached.
    """
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    logger, waits = logging.getLogger("huggingface_hub"), _Waits(str(address), note)
    handlers, shown, level = logger.handlers, not are_progress_bars_disabled(), logger.level
    logger.handlers = [waits]
    logger.setLevel(logging.WARNING)
    disable_progress_bars()
    try:
        _first_answer(address, api)
        yield
    except PoolwrightError:
        raise
    except Exception as error:
        if (translated := _translated(error, address, str(api.token or ""))) is None:
            raise
        raise translated from None
    finally:
        logger.handlers = handlers
        logger.setLevel(level)
        if shown:
            enable_progress_bars()


def retrying(call: Callable[[], T], note: Callable[[str], None]) -> T:
    """Call until the Hub answers: errors that pass are waited for, as long as the Hub asks, and tried again."""
    for number, wait in enumerate(_WAITS, 1):
        try:
            return call()
        except Exception as error:
            status = _status(error)
            if status not in _PASSING and not (status is None and _of_network(error)):
                raise
            wait = max(wait, min(_asked(error), _LONGEST_WAIT))
            words = f"answers {status}" if status else "cannot be reached"
            note(f"the Hub {words}; waiting {wait:g} s, retry {number} of {len(_WAITS)}")
            time.sleep(wait)
    return call()


def _first_answer(address: HubAddress, api: HfApi) -> None:
    """Wait for any answer of the Hub, so that one that is out of reach is reported at once, not after all retries.

    Raises:
        TransferError: nothing answers.
    """
    from huggingface_hub.utils._http import get_session

    failed: list[Exception] = [TimeoutError(f"no answer within {_FIRST_SECONDS:g} s")]

    def ask() -> None:
        try:
            get_session().request("HEAD", f"{api.endpoint}/", timeout=_FIRST_SECONDS, follow_redirects=False)
            failed.clear()
        except Exception as error:
            failed[:] = [error]

    # A name has several addresses, each with this time to answer, and resolving it has no limit.
    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_FIRST_SECONDS)
    for error in list(failed):
        if not _of_network(error):
            raise error
        raise TransferError(
            f"{address}: the Hub cannot be reached at {api.endpoint}{_said(error, '')}; check the connection, the "
            "proxy (HTTPS_PROXY) and HF_ENDPOINT, and repeat the command: it continues where it stopped"
        )


class _Waits(logging.Handler):
    """Passes on that the library waits before it tries again; nothing else that it logs."""

    def __init__(self, name: str, note: Callable[[str], None]) -> None:
        super().__init__()
        self.name, self.note = name, note

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith(("Retrying in", "Rate limited")):
            self.note(f"{self.name}: {text}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _status(error: BaseException) -> int | None:
    return next((status for one in _causes(error) if (status := status_of(one)) is not None), None)


def _asked(error: BaseException) -> float:
    """Seconds that the answer asks to wait; 0 if it does not."""
    for one in _causes(error):
        headers: Any = getattr(getattr(one, "response", None), "headers", None) or {}
        text = str(headers.get("retry-after", ""))
        if text.isdigit():
            return float(text)
    return 0.0


def _of_network(error: BaseException) -> bool:
    kinds = [kind for one in _causes(error) for kind in type(one).__mro__]
    return any(kind in (ConnectionError, TimeoutError) or kind.__module__.split(".")[0] in _NETWORK for kind in kinds)


def _translated(error: Exception, address: HubAddress, token: str) -> TransferError | None:
    """Return an error of one line; None if the error comes from neither Hub nor network."""
    from huggingface_hub.errors import FileMetadataError, OfflineModeIsEnabled, RevisionNotFoundError

    causes = list(_causes(error))
    if any(isinstance(one, OfflineModeIsEnabled) for one in causes):
        return TransferError(f"{address}: offline mode; unset HF_HUB_OFFLINE to reach the Hub")
    if any(isinstance(one, RevisionNotFoundError) for one in causes):
        return TransferError(f"{address}: no revision '{address.revision}'; name a branch, tag or commit that exists")
    if any(isinstance(one, FileMetadataError) for one in causes):
        return TransferError(f"{address}: the server does not answer as the Hub does; check HF_ENDPOINT and proxies")
    status, said = _status(error), _said(error, token)
    if status is not None:
        return TransferError(f"{address}: {_of_status(status, address, bool(token))}{said}")
    if _of_network(error):
        return TransferError(f"{address}: the Hub cannot be reached{said}; the same command continues where it stopped")
    return None


def _of_status(status: int, address: HubAddress, known: bool) -> str:
    owner = address.repo.partition("/")[0]
    again = "the same command continues where it stopped"
    words = {
        400: "the Hub refuses the request (400)",
        401: f"the Hub does not accept the token (401); make one at {_TOKENS}, then {_LOG_IN}"
        if known
        else f"the Hub wants a token (401), or there is no such dataset; {_LOG_IN}",
        402: "the Hub wants more storage to be paid for (402); push with --public, or free some",
        403: f"the token may not do this (403); make one with write access to '{owner}' at {_TOKENS}",
        404: "no such dataset or file on the Hub (404), or the token may not see it; mind the spelling",
        409: f"the Hub reports a conflict (409): someone else changes the dataset; {again}",
        412: f"the dataset was changed meanwhile (412); {again}",
        413: "the Hub finds the request too large (413); release in fewer, larger shards",
        429: f"too many requests (429); wait some minutes, then {again}",
    }
    if status >= 500:
        return f"the Hub fails ({status}); wait some minutes, then {again}"
    return words.get(status, f"the Hub refuses ({status})")


def _said(error: Exception, token: str) -> str:
    """Return what the server said, in brackets: one short line without secrets, headers or URLs."""
    for one in _causes(error):
        message = getattr(one, "server_message", None)
        if message is None and getattr(one, "response", None) is None and _of_network(one):
            message = str(one)
        lines = [line.strip() for line in str(message or "").splitlines() if line.strip()]
        if lines:
            text = lines[0].replace(token, "***") if token else lines[0]
            text = re.sub(r"https?://\S+", "", _SECRETS.sub("***", text)).strip()
            return f" ({text[:200]})"
    return ""
