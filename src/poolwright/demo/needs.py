"""Check the libraries that the demo needs beyond the core, before anything is drawn."""

from __future__ import annotations

from poolwright.core.errors import EXTRAS, MissingExtra, is_installed

DEMO = "demo"
"""The extra that installs all of them."""

DEMO_EXTRAS = ("classify", "report", "hash", "croissant")
"""The extras that it consists of, as in pyproject.toml."""


def check_needs() -> None:
    """Check that all libraries of the demo are installed.

    Raises:
        MissingExtra: some are not; the message names them and the extra that installs them.
    """
    missing = [module for module, extra in EXTRAS.items() if extra in DEMO_EXTRAS and not is_installed(module)]
    if missing:
        raise MissingExtra(", ".join(missing), "the demo", DEMO)
