"""Carries errors of units across threads and nodes with their type."""

from __future__ import annotations

import traceback
from typing import TypeVar

from poolwright.core.errors import PoolwrightError

E = TypeVar("E", bound=BaseException)


def noted(error: E) -> E:
    """Return the error of a unit; one that is not meant for people gets the end of its traceback as a note."""
    if not isinstance(error, PoolwrightError | OSError):
        error.add_note("".join(traceback.format_exception(error)[-6:]))
    return error


def pickled_error(error: BaseException) -> bytes:
    """Pickle an error; one that cannot be pickled is replaced by its message."""
    import cloudpickle

    try:
        whole = bytes(cloudpickle.dumps(error))
        cloudpickle.loads(whole)
    except Exception:
        return bytes(cloudpickle.dumps(PoolwrightError(f"{type(error).__name__}: {error}")))
    return whole


def loaded_error(pickled: bytes) -> BaseException:
    """Return the error that `pickled_error` pickled."""
    import cloudpickle

    error: BaseException = cloudpickle.loads(pickled)
    return error


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C or the end of the process, or closes a generator because of one."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            return True
        error = error.__context__
    return False
