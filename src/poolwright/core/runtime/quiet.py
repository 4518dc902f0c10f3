"""Usage reporting of libraries, switched off."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

_SWITCHES = {
    "DO_NOT_TRACK": "1",
    "SCARF_NO_ANALYTICS": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "LIGHTLY_DID_VERSION_CHECK": "True",  # lightly 1.5 asks its server for a newer version when it is imported
}


def silence() -> None:
    """Switch off the usage reporting of every library that has one. Call before they are imported."""
    for name, value in _SWITCHES.items():
        os.environ[name] = value
    # Ray's progress bars would write over ours.
    os.environ.setdefault("RAY_TQDM", "0")


def import_daft() -> Any:
    """The daft module, with its usage reporting off."""
    os.environ.update({"DAFT_ANALYTICS_ENABLED": "0"})
    os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
    silence()
    return import_module("daft")
