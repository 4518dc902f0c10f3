"""Open DuckDB for expressions: no files, no network, no settings, one cursor for each evaluation at a time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from poolwright.core.errors import StepError

_MEMORY = "4GB"
"""Bound on the memory of all expressions of a process together."""

_OPTIMIZERS = frozenset({"expression_rewriter", "common_subexpressions", "in_clause"})
"""Optimizer passes that help a projection of one table; the others take a third of the time of a small batch."""

_SETTINGS = {
    "threads": "1",  # units run in parallel threads already
    "memory_limit": f"'{_MEMORY}'",
    "temp_directory": "''",
    "TimeZone": "'UTC'",
    "ieee_floating_point_ops": "false",  # a division by zero is not infinity,
    "error_on_division_by_zero": "false",  # but null
    "python_enable_replacements": "false",  # Python variables are not tables
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "enable_external_access": "false",
    "lock_configuration": "true",
}
"""Settings in the order in which they are made; `lock_configuration` is the last."""


class ExpressionSession:
    """A cursor, used by one thread at a time.

    Attributes:
        cursor: of the process's database.
        kept: objects that its user keeps with it, such as bound expressions.
    """

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self.kept: dict[Any, Any] = {}


class _Sessions:
    """The process's database, and its idle sessions.

    Sessions are not thread-local: threads of other pools may end, and lose their locals, after every call.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.free: list[ExpressionSession] = []
        self.database: Any = None

    def taken(self) -> ExpressionSession:
        with self.lock:
            if self.free:
                return self.free.pop()
            self.database = self.database or _opened()
            return ExpressionSession(self.database.cursor())


def _opened() -> Any:
    import duckdb

    connection = duckdb.connect(":memory:")
    passes = connection.execute("select name from duckdb_optimizers()").fetchall()
    disabled = ",".join(name for (name,) in passes if name not in _OPTIMIZERS)
    connection.execute(f"set global disabled_optimizers = '{disabled}'")
    for name, value in _SETTINGS.items():
        connection.execute(f"set global {name} = {value}")
    return connection


_SESSIONS = _Sessions()
_INHERITED: list[_Sessions] = []


_LIMIT: ContextVar[tuple[float, float] | None] = ContextVar("limit", default=None)
"""Seconds that the evaluations of this thread may take together, and the time at which they end."""


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Interrupt the evaluations in this context, all together, after some seconds; never if it is None."""
    before = _LIMIT.set(None if seconds is None else (seconds, time.monotonic() + seconds))
    try:
        yield
    finally:
        _LIMIT.reset(before)


@contextmanager
def session() -> Iterator[ExpressionSession]:
    """Give exclusive use of a session.

    Raises:
        StepError: the time limit of this context has passed, before or during the evaluation.
    """
    sessions = _SESSIONS
    taken = sessions.taken()
    try:
        with _interrupted(taken):
            yield taken
    finally:
        sessions.free.append(taken)


@contextmanager
def _interrupted(taken: ExpressionSession) -> Iterator[None]:
    import duckdb

    limit = _LIMIT.get()
    if limit is None:
        yield
        return
    seconds, until = limit
    too_slow = StepError(f"it took more than {seconds:g} seconds and was interrupted")
    left = until - time.monotonic()
    if left <= 0:
        raise too_slow
    timer = threading.Timer(left, taken.cursor.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException:
        raise too_slow from None
    finally:
        timer.cancel()
        timer.join()  # a late interrupt must not meet the next evaluation


def answers(query: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Return all rows of an internal query."""
    with session() as taken:
        rows: list[tuple[Any, ...]] = taken.cursor.execute(query, list(parameters)).fetchall()
        return rows


def _after_fork() -> None:
    """Let a forked process open a database of its own, and never close its parent's."""
    global _SESSIONS
    _INHERITED.append(_SESSIONS)
    _SESSIONS = _Sessions()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
