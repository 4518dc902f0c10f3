"""Importing heavy libraries with their usage reporting off, and with one thread a unit of work."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

_SWITCHES = {
    "DO_NOT_TRACK": "1",
    "DAFT_ANALYTICS_ENABLED": "0",
    "SCARF_NO_ANALYTICS": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # datasets counts loads by name
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime 1.32 keeps a device id and a database of events from its import on
    "LIGHTLY_DID_VERSION_CHECK": "True",  # lightly 1.5 asks its server for a newer version when it is imported
}


def silence() -> None:
    """Switch off the usage reporting of every library that has one, before any of them is imported.

    Importing poolwright does it; the environment of the process then has these variables.
    """
    for name, value in _SWITCHES.items():
        os.environ[name] = value
    # Daft's and Ray's progress bars would write over ours.
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    os.environ.setdefault("RAY_TQDM", "0")


class _Unit(threading.local):
    """Whether the calling thread works on a unit."""

    active = False


_unit = _Unit()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Work on a unit: PyTorch, imported already or in here, gets one thread.

    Parallelism is across units; more threads within each would be slower and change last bits.
    """
    before, _unit.active = _unit.active, True
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        _unit.active = before


def import_torch() -> Any:
    """The torch module; with one thread where it is first imported in a unit.

    Raises:
        ImportError: torch is not installed.
    """
    fresh = "torch" not in sys.modules
    torch = import_module("torch")
    if fresh and _unit.active:
        torch.set_num_threads(1)
    return torch


def import_daft() -> Any:
    """The daft module, with its usage reporting off."""
    silence()
    return import_module("daft")
