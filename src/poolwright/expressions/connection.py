"""Open DuckDB for expressions: no files, no network, no settings, one cursor for each thread."""

from __future__ import annotations

import os
import threading
from typing import Any

_MEMORY = "4GB"
"""Bound on what all expressions of a process hold at a time."""

_OPTIMIZERS = frozenset({"expression_rewriter", "common_subexpressions", "in_clause"})
"""Passes that help a projection of one table; the others take a third of the time of a small batch."""

_SETTINGS = {
    "threads": "1",  # units run in parallel threads already
    "memory_limit": f"'{_MEMORY}'",
    "temp_directory": "''",
    "TimeZone": "'UTC'",
    "ieee_floating_point_ops": "false",  # a division by zero is no infinity,
    "error_on_division_by_zero": "false",  # but null
    "python_enable_replacements": "false",  # no Python variable is a table
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "enable_external_access": "false",
    "lock_configuration": "true",
}
"""Settings in the order in which they are made; `lock_configuration` is the last."""


class _Connections:
    """The process's database, and a cursor of it for each thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.local = threading.local()
        self.database: Any = None

    def kept(self) -> dict[Any, Any]:
        if not hasattr(self.local, "kept"):
            self.local.kept = {}
        found: dict[Any, Any] = self.local.kept
        return found

    def cursor(self) -> Any:
        found = getattr(self.local, "cursor", None)
        if found is None:
            with self.lock:
                self.database = self.database or _opened()
                found = self.local.cursor = self.database.cursor()
        return found


def _opened() -> Any:
    import duckdb

    connection = duckdb.connect(":memory:")
    passes = connection.execute("select name from duckdb_optimizers()").fetchall()
    disabled = ",".join(name for (name,) in passes if name not in _OPTIMIZERS)
    connection.execute(f"set global disabled_optimizers = '{disabled}'")
    for name, value in _SETTINGS.items():
        connection.execute(f"set global {name} = {value}")
    return connection


_CONNECTIONS = _Connections()
_INHERITED: list[_Connections] = []


def cursor() -> Any:
    """This thread's cursor."""
    return _CONNECTIONS.cursor()


def kept() -> dict[Any, Any]:
    """What this thread keeps with its cursor, such as bound expressions."""
    return _CONNECTIONS.kept()


def _after_fork() -> None:
    """Let a forked process open a database of its own, and never close its parent's."""
    global _CONNECTIONS
    _INHERITED.append(_CONNECTIONS)
    _CONNECTIONS = _Connections()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
