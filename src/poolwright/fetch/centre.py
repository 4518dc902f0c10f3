"""Define what all processes of a fetch share; a fetch in one process has it to itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from poolwright.fetch.limits import HostLimits
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.queues import HostQueues, Queues


@dataclass(frozen=True)
class HostTexts:
    """What a host asks of crawlers, as texts.

    Attributes:
        robots: robots.txt; '' if it allows everything.
        reserved: rules of TDMRep, as the text of a robots.txt; '' if nothing is reserved.
        unread: why robots.txt could not be read, so that nothing is allowed; '' if it was, or there is none.
    """

    robots: str = ""
    reserved: str = ""
    unread: str = ""


class Centre(Protocol):
    """What all processes of a fetch share: limits of hosts, what hosts ask of crawlers, which shards are finished."""

    def queues(self) -> Queues[Any]:
        """Return the queues of this process, which keep to limits that hold for all processes."""
        ...

    async def host_texts(self, origin: str) -> HostTexts | None:
        """Return what a host says; None if the caller is to read it, and to call `host_read` in any case.

        Args:
            origin: scheme, name and port.
        """
        ...

    async def host_read(self, origin: str, texts: HostTexts | None) -> None:
        """Say what was read; None if the host could not be reached."""
        ...

    async def shard_settled(self, shard: int) -> None:
        """Wait until a shard that another process may be fetching is finished."""
        ...


class OwnCentre:
    """The centre of a fetch in one process; see `Centre`."""

    def __init__(self, options: FetchOptions) -> None:
        self.options = options

    def queues(self) -> Queues[Any]:
        return HostQueues(limits_of(self.options))

    async def host_texts(self, origin: str) -> HostTexts | None:
        return None

    async def host_read(self, origin: str, texts: HostTexts | None) -> None:
        pass

    async def shard_settled(self, shard: int) -> None:
        pass


def limits_of(options: FetchOptions) -> HostLimits:
    """Return the limits that options state."""
    return HostLimits(options.per_host, options.host_delay, options.host_failures)
