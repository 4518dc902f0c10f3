"""Has an object in a process of its own, and calls its methods for other processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poolwright.run.engine.errors import noted, pickled_error
from poolwright.run.engine.sharing import FolderProbe, check_here


class Holder:
    """Has one object and calls its methods.

    Args:
        probe: of the folder that this process must see, if there is one.
        make: makes the object, of `given`; if it fails, every call does.
    """

    def __init__(self, probe: FolderProbe | None, make: Callable[..., Any], *given: Any) -> None:
        self._failed, self._object = b"", None
        try:
            if probe is not None:
                check_here(probe)
            self._object = make(*given)
        except Exception as error:
            self._failed = pickled_error(noted(error))

    async def call(self, method: str, *given: Any) -> tuple[bytes, Any]:
        """Return the pickled error of a method if it failed, else nothing; and its result."""
        if self._failed:
            return self._failed, None
        try:
            return b"", await getattr(self._object, method)(*given)
        except Exception as error:
            return pickled_error(noted(error)), None
