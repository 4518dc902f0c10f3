"""Look up the widths of published architectures, which only building a network would tell otherwise."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def known_widths(library: str) -> dict[str, int]:
    """Return the dimensions of a vector of the models of 'timm' or 'torchvision', without their head, by architecture.

    Source: `tools/make_widths.py`, which builds each network. An architecture never changes its width, since its
    published weights must fit; one that is newer than the table is not in it.
    """
    found: dict[str, int] = {}
    for line in files(__package__).joinpath("widths.txt").read_text(encoding="utf-8").splitlines():
        name, width, *architectures = line.split()
        if name == library:
            found |= dict.fromkeys(architectures, int(width))
    return found
