"""Make names that are safe on every file system, and split names that every reader accepts."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable

from poolwright.core.wording import natural_order

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|\Z)", re.IGNORECASE)
# 'all' stands for every split together in readers; the others are folders of a release.
_TAKEN = frozenset(("", "all", "data", "figures", "lineage", "states"))
_SPACES = re.compile(r"\s+")
_LONGEST = 120  # bytes; with a hash and an extension well within the 255 that file systems allow


def safe_name(name: str) -> str:
    """Return the name as one part of a path, which Windows, macOS and Linux accept and which leads nowhere else."""
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", name).encode("utf-8", "replace").decode("utf-8"))
    name = _shortened(name).strip(" ").rstrip(". ")
    name = f"_{name[1:]}" if name.startswith((".", "-", "~", "=", "+", "@")) else name
    return f"_{name}" if not name or _RESERVED.match(name) else name


def safe_names(names: Iterable[str], shown: Callable[[str], str] = str, taken: Iterable[str] = ()) -> dict[str, str]:
    """Return a safe name for each name, no two equal even if case is ignored.

    Names that would collide get a short hash of the original name, except one that is safe as it is. The result does
    not depend on the order of `names`.

    Args:
        shown: returns the part of a name to show.
        taken: safe names that are in use already.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        alike[_folded(safe_name(shown(name)))].append(name)
    reserved = {_folded(name) for name in taken}
    safe: dict[str, str] = {}
    for key, group in alike.items():
        first = next((name for name in group if safe_name(shown(name)) == name and key not in reserved), None)
        for name in group:
            alone = len(group) == 1 and key not in reserved
            plain = safe_name(shown(name))
            safe[name] = plain if alone or name == first else f"{plain}-{_hash(name)}"
    return safe


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def unspaced(text: str) -> str:
    """Return the text with '_' for white space, at which readers of lists of paths split a line."""
    return _SPACES.sub("_", text.strip())


def split_names(values: Iterable[str | None]) -> dict[str | None, str]:
    """Return a split name for each value of the column `split`: letters, digits and '_', as readers require."""
    wanted: dict[str | None, str] = {}
    for value in values:
        plain = re.sub(r"\W+", "_", unicodedata.normalize("NFC", value or "")).strip("_")
        wanted[value] = "unassigned" if value is None else f"{plain}_split" if plain.casefold() in _TAKEN else plain
    groups: dict[str, list[str | None]] = defaultdict(list)
    for value, name in wanted.items():
        groups[name.casefold()].append(value)
    for group in groups.values():
        if len(group) > 1:
            keep = next((value for value in group if value == wanted[value]), None)
            for value in group:
                if keep is None or value != keep:
                    wanted[value] = f"{wanted[value]}_{_hash(value or '')}"
    return wanted


def split_order(name: str) -> tuple[int, list[tuple[int, str]]]:
    """Sort key: training before validation before test before others, and 2 before 10."""
    rank = {"train": 0, "validation": 1, "val": 1, "valid": 1, "dev": 1, "test": 2}.get(name.casefold(), 3)
    return rank, natural_order(name)


def _shortened(name: str) -> str:
    return name.encode("utf-8")[:_LONGEST].decode("utf-8", "ignore")


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
