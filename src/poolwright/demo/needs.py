"""What the demo needs beyond the core, checked before anything is drawn."""

from __future__ import annotations

from importlib.util import find_spec

from poolwright.core.errors import EXTRAS, MissingExtra

DEMO = "demo"
"""The extra that brings all of it."""

DEMO_EXTRAS = ("report", "hash", "croissant")
"""What this extra is made of, as in pyproject.toml."""


def check_needs() -> None:
    """Check that all libraries of the demo are installed.

    Raises:
        MissingExtra: naming those that are not, and the one extra that brings them.
    """
    missing = [module for module, extra in EXTRAS.items() if extra in DEMO_EXTRAS and not _installed(module)]
    if missing:
        raise MissingExtra(", ".join(missing), "the demo", DEMO)


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # `sys.modules` has None, or something without a spec, under this name
        return False
