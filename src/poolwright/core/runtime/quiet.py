"""Switches off the usage reporting of libraries."""

from __future__ import annotations

import os

_SWITCHES = {
    "DO_NOT_TRACK": "1",
    "SCARF_NO_ANALYTICS": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # datasets counts loads by name
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime 1.32 keeps a device id and a database of events once imported
    "LIGHTLY_DID_VERSION_CHECK": "True",  # lightly 1.5 asks its server for a newer version when it is imported
}


def silence() -> None:
    """Switch off the usage reporting of every library that has one, before any of them is imported.

    Importing poolwright does it; the environment of the process then has these variables.
    """
    for name, value in _SWITCHES.items():
        os.environ[name] = value
    # Ray's progress bars would write over ours.
    os.environ.setdefault("RAY_TQDM", "0")
