"""Check the libraries that the demo needs beyond the core, before anything is drawn."""

from __future__ import annotations

from importlib.util import find_spec

from poolwright.core.errors import EXTRAS, MissingExtra

DEMO = "demo"
"""The extra that installs all of them."""

DEMO_EXTRAS = ("report", "hash", "croissant")
"""The extras that it consists of, as in pyproject.toml."""


def check_needs() -> None:
    """Check that all libraries of the demo are installed.

    Raises:
        MissingExtra: some are not; the message names them and the extra that installs them.
    """
    missing = [module for module, extra in EXTRAS.items() if extra in DEMO_EXTRAS and not _installed(module)]
    if missing:
        raise MissingExtra(", ".join(missing), "the demo", DEMO)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # `sys.modules` has None, or something without a spec, under this name
        return False
