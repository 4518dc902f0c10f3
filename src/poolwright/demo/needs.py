"""What the demo needs beyond the core, checked before anything is drawn."""

from __future__ import annotations

from poolwright.core.errors import EXTRAS, MissingExtra, is_installed

DEMO = "demo"
"""The extra that brings all of it."""

DEMO_EXTRAS = ("classify", "report", "hash", "croissant")
"""What this extra is made of, as in pyproject.toml."""


def check_needs() -> None:
    """Check that all libraries of the demo are installed.

    Raises:
        MissingExtra: naming those that are not, and the one extra that brings them.
    """
    missing = [module for module, extra in EXTRAS.items() if extra in DEMO_EXTRAS and not is_installed(module)]
    if missing:
        raise MissingExtra(", ".join(missing), "the demo", DEMO)
