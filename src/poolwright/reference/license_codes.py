"""Convert licences as sources write them to codes, and decide which are allowed.

Codes are those of SPDX (https://spdx.org/licenses) in lower case, from `spdx_licenses.csv`; families of Creative
Commons without a version stand for all versions. Licences that were ported to a jurisdiction end in its code.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path

from poolwright.core.errors import did_you_mean

SPDX_FILE = Path(__file__).with_name("spdx_licenses.csv")

_PUBLIC_DOMAIN = ("cc0", "pdm", "us-gov", "public-domain-work", "no-known-restrictions", "cc-pddc")
NAMED: dict[str, tuple[str, ...]] = {
    "public-domain": _PUBLIC_DOMAIN,
    "attribution": (*_PUBLIC_DOMAIN, "cc-by"),
    "open": (*_PUBLIC_DOMAIN, "cc-by", "cc-by-sa"),
    "noncommercial": (*_PUBLIC_DOMAIN, "cc-by", "cc-by-sa", "cc-by-nc", "cc-by-nc-sa"),
    "creative-commons": ("cc0", "pdm", "cc-by", "cc-by-sa", "cc-by-nd", "cc-by-nc", "cc-by-nc-sa", "cc-by-nc-nd"),
}
"""Named sets. `open` follows the Open Definition; `noncommercial` allows non-commercial adaptations."""

_CC = ("cc-by", "cc-by-sa", "cc-by-nd", "cc-by-nc", "cc-by-nc-sa", "cc-by-nc-nd")
_OTHER = ("cc0", "pdm", "us-gov", "public-domain-work", "no-known-restrictions", "all-rights-reserved")
_VERSIONS = {"cc0": ("1.0",), "pdm": ("1.0",)} | dict.fromkeys(_CC, ("1.0", "2.0", "2.1", "2.5", "3.0", "4.0"))

_NAMES = {
    "all rights reserved": "all-rights-reserved",
    "copyright": "all-rights-reserved",
    "in copyright": "all-rights-reserved",
    "pd": "public-domain-work",
    "public domain": "public-domain-work",
    "public domain work": "public-domain-work",
    "public domain mark": "pdm",
    "public domain dedication": "cc0-1.0",
    "cc zero": "cc0",
    "creative commons zero": "cc0",
    "no known restrictions": "no-known-restrictions",
    "no known copyright": "no-known-restrictions",
    "no known copyright restrictions": "no-known-restrictions",
    "united states government work": "us-gov",
    "us government work": "us-gov",
    "u.s. government work": "us-gov",
}
_PAGES = (
    (re.compile(r"flickr\.com/(?:photos/)?commons(?:/usage)?"), "no-known-restrictions"),
    (re.compile(r"rightsstatements\.org/(?:vocab|page)/nkc\b"), "no-known-restrictions"),
    (re.compile(r"rightsstatements\.org/(?:vocab|page)/inc\b"), "all-rights-reserved"),
    (re.compile(r"usa\.gov/(?:copyright|government-(?:works|copyright))"), "us-gov"),
)
FLICKR = (
    "all-rights-reserved",
    "cc-by-nc-sa-2.0",
    "cc-by-nc-2.0",
    "cc-by-nc-nd-2.0",
    "cc-by-2.0",
    "cc-by-sa-2.0",
    "cc-by-nd-2.0",
    "no-known-restrictions",
    "us-gov",
    "cc0-1.0",
    "pdm-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nd-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "cc-by-nc-nd-4.0",
)
"""Codes by Flickr's number of a licence, from 0: flickr.photos.licenses.getInfo as answered on 2025-06-19."""

_URL = re.compile(
    r"creativecommons\.org/(?:licenses|publicdomain)/([a-z+-]+)(?:/(\d\.\d))?(?:/(igo|scotland|[a-z]{2})(?![a-z]))?"
)
_SPDX_URL = re.compile(r"(?:spdx\.org/licenses|opensource\.org/licenses?)/([\w.+-]+?)(?:\.(?:html|json|txt|php))?/?$")
_BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")
_TAIL = re.compile(r"(?:[\s,]+(?:(?:public )?licen[cs]e|deed|legal ?code|public domain dedication))+$")
_PARTS = re.compile(
    r"attribution|non-?commercial|no-?deriv(?:ative)?s?(?:\s+works)?|share-?alike|"
    r"\b(?:by|nc|nd|sa|zero)\b|public domain"
)
_FILLERS = {"cc", "creative", "commons", "international", "unported", "generic", "universal", "version", "v", "mark"}
_PORTS = {"igo", "scotland"}
_PORT = re.compile(r"-(?:igo|scotland|[a-z]{2})$")  # of a code


def allows_more(stated: str, other: str) -> bool:
    """Whether a licence allows what another one does not: to leave out the author, sell, change, or license anew.

    Licences that are not recognised are not compared: False.
    """
    ours, theirs = (_limits(code_of(text)) for text in (stated, other))
    return ours is not None and theirs is not None and not theirs <= ours


def _limits(code: str | None) -> frozenset[str] | None:
    """Return what a licence asks for or forbids, as the parts of Creative Commons' names; None if it is not known."""
    if code is None:
        return None
    if code == "all-rights-reserved":
        return frozenset(("by", "nc", "nd", "sa", "all"))
    if code.startswith(_PUBLIC_DOMAIN):
        return frozenset()
    if code.startswith("cc-by"):
        return frozenset(code.split("-")) & {"by", "nc", "nd", "sa"}
    return next((frozenset(limits) for name, limits in _OPEN_LIMITS.items() if code.startswith(name)), None)


_OPEN_LIMITS = {
    **dict.fromkeys(("mit", "apache-2.0", "bsd-", "odc-by", "cdla-permissive", "isc"), ("by",)),
    **dict.fromkeys(("pddl", "unlicense", "0bsd"), ()),
    **dict.fromkeys(("odbl", "cdla-sharing"), ("by", "sa")),
}
"""What licences for data and software, by how their codes begin, ask for."""


@lru_cache(maxsize=4096)
def code_of(text: str) -> str | None:
    """Return the code of a licence as a source writes it; None if it is not recognised.

    A number alone is none: what it means depends on the source, see `FLICKR`.
    """
    text = " ".join(text.strip().lower().replace("\u2013", "-").replace("\u2014", "-").split())
    found = _URL.search(text)
    if found:
        name, version, port = found.groups()
        return _existing({"zero": "cc0", "mark": "pdm"}.get(name, f"cc-{name}"), version, port)
    page = next((code for pattern, code in _PAGES if pattern.search(text)), None)
    spdx = _SPDX_URL.search(text)
    if page or spdx or "://" in text:
        return page or (_spdx().get(_folded(spdx[1])) if spdx else None)
    bare = _TAIL.sub("", _BRACKETS.sub("", text))
    return _named(text) or _named(bare) or _from_parts(bare) or _from_words(bare)


def code_of_flickr(number: str) -> str | None:
    """Return the code of a licence by Flickr's number of it; None if it is not known."""
    at = int(number)
    return FLICKR[at] if at < len(FLICKR) else None


def _named(text: str) -> str | None:
    folded = _folded(text)
    code = folded if folded in _OTHER else None
    return code or _NAMES.get(text) or _NAMES.get(folded.replace("-", " ")) or _spdx().get(folded)


@lru_cache(maxsize=1)
def _spdx() -> Mapping[str, str]:
    """Return the code by the folded identifier and name of each licence on the SPDX list."""
    lines = SPDX_FILE.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    codes = {row["id"]: row["id"].lower().replace("cc-pdm", "pdm") for row in rows}
    names = {_folded(row["name"]): codes[row["id"]] for row in rows if not row["deprecated"]}
    return names | {_folded(row["id"]): codes[row["id"]] for row in rows}


def _folded(text: str) -> str:
    """Return a text in lower case with '-' for all that is neither letter, digit nor '+': 'cc-by-4-0'."""
    words = re.sub(r"[^a-z0-9+]+", "-", text.lower()).strip("-").removesuffix("-license").removesuffix("-licence")
    return re.sub(r"-(?:version-|v)(?=\d)", "-", words)


_CODE = re.compile(
    r"(?:(cc0|ccby|cc|creative-commons|by|pdm|cc-zero|cc-pdm)(?=-|\d|$))-?((?:zero|by|nc|nd|sa)(?:-(?:by|nc|nd|sa))*)?"
    r"-?(?:v-?)?(\d-\d)?(?:-(?:unported|international|generic|universal))?-?(igo|scotland|[a-z]{2})?"
)


def _from_parts(text: str) -> str | None:
    """Parse codes such as 'CC_BY_NC_4_0', 'by-nc-sa', 'CC0 1.0' and 'CC BY-SA 3.0 DE'."""
    found = _CODE.fullmatch(_folded(text))
    if found is None:
        return None
    head, parts, version, port = found.groups()
    number = version.replace("-", ".") if version else None
    words = {*(parts or "").split("-"), *({"by"} if head in ("by", "ccby") else ())} - {""}
    if head == "by" and len(words) < 2 and not number:
        return None
    if head in ("cc0", "cc-zero", "pdm", "cc-pdm") or words == {"zero"}:
        family = "pdm" if head.endswith("pdm") else "cc0"
        return _existing(family, number, port) if not words - {"zero"} else None
    return _existing(_family_of(words), number, port)


def _from_words(text: str) -> str | None:
    """Parse text such as 'Attribution-NonCommercial-ShareAlike' or 'Creative Commons Attribution 4.0 International'."""
    words = {_short(word) for word in _PARTS.findall(text)}
    rest = set(re.findall(r"[^\W\d_]+", _PARTS.sub(" ", text)))
    zero = (words <= {"zero", "public domain"} and "zero" in text.split()) or "cc0" in text.split()
    mark = words == {"public domain"} and "mark" in rest
    if not zero and not mark and ("by" not in words or not ("attribution" in text or rest & {"cc", "creative"})):
        return None
    # Any other word makes it a sentence, not a licence; two letters are the country of a ported licence.
    others = [word for word in rest if word not in _FILLERS]
    if any(word not in _PORTS and not ("cc" in rest and len(word) == 2) for word in others) or len(others) > 1:
        return None
    family = "cc0" if zero else "pdm" if mark else _family_of(words)
    version = re.search(r"\d\.\d", text)
    return _existing(family, version.group() if version else None, others[0] if others else None)


def _family_of(words: Collection[str]) -> str:
    return "-".join(["cc", *(part for part in ("by", "nc", "nd", "sa") if part in words)])


def _existing(family: str, version: str | None, port: str | None) -> str | None:
    """Return the code of a licence of Creative Commons; None if there is no such version of it."""
    words = family.split("-")
    family = _family_of(words) if words[0] == "cc" else family
    if family not in _VERSIONS or (version is not None and version not in _VERSIONS[family]):
        return None
    if port is None:
        return f"{family}-{version}" if version else family
    is_ported = version is not None and family in _CC and version != "4.0" and (port != "igo" or version == "3.0")
    return f"{family}-{version}-{port}" if is_ported else None


def _short(word: str) -> str:
    if word.startswith("attribution"):
        return "by"
    if word.startswith("non"):
        return "nc"
    if word.startswith("no"):
        return "nd"
    return "sa" if word.startswith("sh") else word


def _family(code: str) -> str:
    return re.sub(r"-\d+(\.\d+)?(?:-(?:igo|scotland|[a-z]{2}))?$", "", code)


def allowed(code: str, entry: str) -> bool:
    """Whether a licence is allowed by one entry of a list: a named set, a code, or a family of codes."""
    entry = entry.strip().lower()
    if entry in NAMED:
        return _family(code) in NAMED[entry]
    wanted = code_of(entry)
    return wanted is not None and (code == wanted or _family(code) == wanted or _PORT.sub("", code) == wanted)


def check_code(entry: str) -> None:
    """Check an entry of a list of allowed licences.

    Raises:
        ValueError: it is neither a named set nor a known code nor '=text'.
    """
    if entry.startswith("=") or entry.strip().lower() in NAMED or code_of(entry) is not None:
        return
    known = (*NAMED, *_CC, *_OTHER, *_spdx().values())
    raise ValueError(
        f"'{entry}' is not a known licence; {did_you_mean(entry.lower(), known)}; '={entry}' allows exactly this text"
    )
