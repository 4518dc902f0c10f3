"""Functions of units for other processes, which import this module to call them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from poolwright.core.errors import RecipeError


def apart(folder: Path, unit: int) -> int:
    """Return the number of the process; unit 1 fails, 2 is killed, 3 takes a minute."""
    print("not an answer")
    if unit == 1:
        raise RecipeError("broken")
    if unit == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if unit == 3:
        (folder / "begun").touch()
        time.sleep(60)
    return os.getpid()
