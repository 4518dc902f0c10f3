"""Loaders that fail, and one that looks around, for another process: it imports this module."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from poolwright.release.checks.result import Findings
from poolwright.release.record import ReleaseRecord


def crash(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    os.kill(os.getpid(), 9)
    return [], ""


def connect(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    socket.create_connection(("127.0.0.1", 9))
    return [], ""


def connect_here(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    try:
        socket.create_connection(("192.0.2.1", 9), timeout=1)
    except OSError as error:
        return [], str(error)
    return ["a connection to another machine was made"], ""


def chain(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    try:
        raise KeyError("the cause,\non two lines")
    except KeyError as error:
        raise RuntimeError("something went wrong") from error


def look(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    (Path.cwd() / "left").write_text("behind")
    names = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_DATASETS_CACHE", "HF_TOKEN")
    return [], json.dumps([*(os.environ.get(name) for name in names), str(Path.cwd()), full])


def wait(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    time.sleep(60)
    return [], ""
