"""Verify a release before it is pushed and after it is pulled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from poolwright.release.checks.result import Verification
from poolwright.release.layouts.layout import Layout
from poolwright.release.verify import verify


def verify_quietly(folder: Path, find_layout: Callable[[str], type[Layout]]) -> Verification:
    """Verify a release without the warnings that libraries print meanwhile: the result has them."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        return verify(folder, find_layout)
    finally:
        logging.disable(before)
