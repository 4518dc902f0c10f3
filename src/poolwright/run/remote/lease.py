"""Hold a remote run folder, or its studio: an object names the owner and until when, and is renewed while it runs."""

from __future__ import annotations

import os
import socket
import time
from secrets import token_hex
from typing import Any

from poolwright.core.errors import PoolwrightError
from poolwright.run.remote.store import RunStore

LEASE, STUDIO = "run.lease", "studio.lease"
VALID, RENEWED = 180.0, 30.0
"""Seconds for which a lease holds, and after which its owner renews it."""

SETTLED = 0.5
"""Seconds between writing a lease and reading it: of two that are written at once, the later one counts."""


class Lease:
    """A lease on a remote run folder.

    Args:
        store: the run folder.
        name: of the lease: `STUDIO` for the one process that asks people.

    Raises:
        PoolwrightError: another process holds it.
    """

    def __init__(self, store: RunStore, name: str = LEASE) -> None:
        self._store, self._name = store, name
        self._owner, self._renewed = token_hex(8), 0.0
        if (found := store.read(name)) and not _is_over(found):
            raise self._held_by(found)
        self._write()
        time.sleep(SETTLED)
        self.check()

    def check(self) -> None:
        """Check that the lease is still this one; renew it if it is time.

        Raises:
            PoolwrightError: another process has taken it over, since it was not renewed in time.
        """
        found = self._store.read(self._name)
        if found is None or found.get("owner") != self._owner:
            raise self._held_by(found or {})
        if time.monotonic() - self._renewed >= RENEWED / 2:
            self._write()

    def end(self) -> None:
        """Give the run folder back."""
        found = self._store.read(self._name)
        if found and found.get("owner") == self._owner:
            self._store.remove(self._name)

    def _write(self) -> None:
        until = time.time() + VALID
        who = {"owner": self._owner, "process": os.getpid(), "host": socket.gethostname(), "until": until}
        self._store.write(self._name, who)
        self._renewed = time.monotonic()

    def _held_by(self, found: dict[str, Any]) -> PoolwrightError:
        left = max(float(found.get("until", 0)) - time.time(), 0)
        return PoolwrightError(
            f"{self._store.url}: another {'studio' if self._name == STUDIO else 'process'} is using it "
            f"(process {found.get('process')} on {found.get('host')}); "
            f"wait for it, or stop it first: what it has not renewed is free in {left:.0f} s"
        )


def _is_over(found: dict[str, Any]) -> bool:
    """Whether a lease has ended: its time is over, or its process on this machine has."""
    if float(found.get("until", 0)) <= time.time():
        return True
    return found.get("host") == socket.gethostname() and not _is_running(int(found.get("process", 0)))


def _is_running(process: int) -> bool:
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
