"""Define objects that live in other processes for a time, for work that keeps state, such as connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from poolwright.core.errors import PoolwrightError


class NodeLost(PoolwrightError):
    """The process of a remote object has ended, perhaps with its node."""


class RemoteObject(Protocol):
    """An object in a process of its own. It can be given to other remote objects."""

    async def call(self, method: str, *given: Any) -> Any:
        """Call a coroutine method; several calls may be in progress at once.

        Raises:
            NodeLost: the process has ended.
            Exception: the error that the method raised, with its type.
        """
        ...


class Nodes(Protocol):
    """The nodes of a cluster, or cores of this machine. Remote objects end with the process that started them.

    Attributes:
        here: whether all places are on this machine.
        optional: whether the calling process may do the work itself if there is little.
    """

    here: bool
    optional: bool

    def places(self) -> list[str]:
        """Return the ids of the nodes that may be given work now; one may be named several times."""
        ...

    def start(self, place: str | None, make: Callable[..., Any], *given: Any) -> RemoteObject:
        """Start a process with the object that `make(*given)` returns there.

        Args:
            place: from `places`; it occupies a CPU of the node. None for next to the calling process, without a CPU.
            make: is given `given`, which may contain remote objects at its top level.
        """
        ...

    def end(self, remote: RemoteObject) -> None:
        """End the process of an object, if it has not ended."""
        ...
