"""Convert licences as sources write them to codes, and decide which are allowed.

Codes are those of SPDX (https://spdx.org/licenses) in lower case; families of Creative Commons without a
version stand for all versions.
"""

from __future__ import annotations

import re
from functools import lru_cache

from poolwright.core.errors import did_you_mean

_PUBLIC_DOMAIN = ("cc0", "pdm", "us-gov", "public-domain-work")
NAMED: dict[str, tuple[str, ...]] = {
    "public-domain": _PUBLIC_DOMAIN,
    "attribution": (*_PUBLIC_DOMAIN, "cc-by"),
    "open": (*_PUBLIC_DOMAIN, "cc-by", "cc-by-sa"),
    "noncommercial": (*_PUBLIC_DOMAIN, "cc-by", "cc-by-sa", "cc-by-nc", "cc-by-nc-sa"),
    "creative-commons": ("cc0", "pdm", "cc-by", "cc-by-sa", "cc-by-nd", "cc-by-nc", "cc-by-nc-sa", "cc-by-nc-nd"),
}
"""Named sets. `open` follows the Open Definition; `noncommercial` allows non-commercial adaptations."""

_CC = ("cc-by", "cc-by-sa", "cc-by-nd", "cc-by-nc", "cc-by-nc-sa", "cc-by-nc-nd")
_SOFTWARE = ("mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "odbl-1.0", "odc-by-1.0", "pddl-1.0", "gfdl-1.3")
_OTHER = ("cc0", "pdm", "us-gov", "public-domain-work", "all-rights-reserved")
_NAMES = {
    "all rights reserved": "all-rights-reserved",
    "copyright": "all-rights-reserved",
    "public domain": "public-domain-work",
    "public domain work": "public-domain-work",
    "public domain mark": "pdm",
    "public domain mark 1.0": "pdm-1.0",
    "public domain dedication": "cc0-1.0",
    "public domain dedication (cc0)": "cc0-1.0",
    "no known copyright restrictions": "public-domain-work",
    "united states government work": "us-gov",
    "u.s. government work": "us-gov",
}
_URL = re.compile(r"(?:https?://)?(?:www\.)?creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)(?:/([\d.]+))?")
_PARTS = re.compile(r"attribution|non-?commercial|no-?deriv(?:ative)?s?(?:\s+works)?|share-?alike|\b(?:by|nc|nd|sa)\b")
_FILLERS = {"cc", "creative", "commons", "international", "unported", "generic", "version", "v"}


@lru_cache(maxsize=4096)
def code_of(text: str) -> str | None:
    """Return the code of a licence as a source writes it; None if it is not recognised."""
    text = " ".join(text.strip().lower().split())
    found = _URL.search(text)
    if found:
        return _from_url(*found.groups())
    text = text.removesuffix(" license").removesuffix(" licence")
    if text in _NAMES:
        return _NAMES[text]
    dashed = re.sub(r"[\s_]+", "-", text)
    if _family(dashed) in (*_CC, *_OTHER) or dashed in _SOFTWARE:
        return dashed
    if dashed.startswith("cc-zero"):
        return dashed.replace("cc-zero", "cc0")
    return _from_words(text)


def _from_url(kind: str, name: str, version: str | None) -> str | None:
    number = f"-{version}" if version else ""
    if kind == "licenses":
        return f"cc-{name}{number}" if f"cc-{name}" in _CC else None
    return {"zero": f"cc0{number}", "mark": f"pdm{number}"}.get(name)


def _from_words(text: str) -> str | None:
    """Parse text such as 'Attribution-NonCommercial-ShareAlike' or 'Creative Commons Attribution 4.0 International'."""
    words = {_short(word) for word in _PARTS.findall(text)}
    rest = set(re.findall(r"[^\W\d_]+", _PARTS.sub(" ", text)))
    if "by" not in words or not ("attribution" in text or rest & {"cc", "creative"}):
        return None
    # Any other word makes it a sentence, not a licence; two letters are the country of a ported licence.
    if any(word not in _FILLERS and not ("cc" in rest and len(word) == 2) for word in rest):
        return None
    family = "-".join(["cc", *(part for part in ("by", "nc", "nd", "sa") if part in words)])
    version = re.search(r"\d\.\d", text)
    if family not in _CC:
        return None
    return f"{family}-{version.group()}" if version else family


def _short(word: str) -> str:
    if word.startswith("attribution"):
        return "by"
    if word.startswith("non"):
        return "nc"
    if word.startswith("no"):
        return "nd"
    return "sa" if word.startswith("sh") else word


def _family(code: str) -> str:
    return re.sub(r"-\d+(\.\d+)?$", "", code)


def allowed(code: str, entry: str) -> bool:
    """Whether a licence is allowed by one entry of a list: a named set, a code, or a family of codes."""
    entry = entry.strip().lower()
    if entry in NAMED:
        return _family(code) in NAMED[entry]
    wanted = code_of(entry)
    return wanted is not None and (code == wanted or _family(code) == wanted)


def check_code(entry: str) -> None:
    """Check an entry of a list of allowed licences.

    Raises:
        ValueError: it is neither a named set nor a known code nor '=text'.
    """
    if entry.startswith("=") or entry.strip().lower() in NAMED or code_of(entry) is not None:
        return
    known = (*NAMED, *_CC, *_OTHER, *_SOFTWARE)
    raise ValueError(
        f"'{entry}' is not a known licence; {did_you_mean(entry.lower(), known)}; '={entry}' allows exactly this text"
    )
