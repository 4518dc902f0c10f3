"""Keep to the limits of hosts: requests at once, pauses between them, rests that they ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class _Host:
    active: int = 0
    starting: int = 0
    not_before: float = 0.0
    failures: int = 0
    pause: float = 0.0


class HostLimits:
    """What is in progress at each host, and when it may be asked again. Times are in seconds of the caller's clock.

    A turn with a pause is on its way to the process that makes the request between `begin` and `started`. No other turn
    of the host is given out meanwhile, so that pauses are those between requests, wherever they are made.

    Args:
        per_host: requests to one host at once.
        pause: seconds between two requests to one host.
        failures: number of failures in a row after which a host is down.
    """

    def __init__(self, per_host: int, pause: float, failures: int) -> None:
        self.per_host, self.pause, self.failures = per_host, pause, failures
        self._hosts: dict[str, _Host] = {}
        self._down: set[str] = set()

    def free_at(self, host: str) -> float | None:
        """Return the time from which a host may be asked; None if requests in progress must end or start first."""
        state = self._hosts.get(host)
        if state is None:
            return 0.0
        return None if state.starting or state.active >= self.per_host else state.not_before

    def begin(self, host: str) -> float:
        """Begin a request; call `done` for it. Return the pause that follows; if there is one, call `started` too."""
        state = self._host(host)
        pause = max(self.pause, state.pause)
        state.active += 1
        state.starting += pause > 0
        return pause

    def started(self, host: str, now: float) -> None:
        """Mark a request that is followed by a pause as started."""
        state = self._hosts[host]
        state.starting -= 1
        state.not_before = max(state.not_before, now + max(self.pause, state.pause))

    def done(self, host: str, reached: bool | None = None) -> None:
        """Mark a request as done.

        Args:
            host: host of the request.
            reached: whether the host answered, or could not be reached; None if unknown.
        """
        state = self._hosts[host]
        state.active -= 1
        if reached is not None:
            state.failures = 0 if reached else state.failures + 1
            if state.failures >= self.failures:
                self._down.add(host)
        if state == _Host():
            del self._hosts[host]

    def hold(self, host: str, until: float) -> None:
        """Ask a host for nothing until `until`."""
        state = self._host(host)
        state.not_before = max(state.not_before, until)

    def slow(self, host: str, pause: float) -> None:
        """Leave at least this many seconds between two requests to a host."""
        state = self._host(host)
        state.pause = max(state.pause, pause)

    def is_down(self, host: str) -> bool:
        """Whether a host is to be skipped."""
        return host in self._down

    def _host(self, host: str) -> _Host:
        return self._hosts.setdefault(host, _Host())
