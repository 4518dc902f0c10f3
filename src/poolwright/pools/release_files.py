"""Find the files of a release: what its record and checksums say, and whether they are as they were released."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from poolwright.core.columns import LABEL
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.remote.failures import reaching
from poolwright.core.remote.files import open_file
from poolwright.core.remote.listing import info_of
from poolwright.core.remote.schemes import is_url
from poolwright.pools.readers.paths import join

RECORD, SUMS = "release.json", "SHA256SUMS"
KEY = "key"
"""Column of the key of a row's image in the tar next to its data file."""

_FORMAT = 1
_TYPES = (
    "string",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "float32",
    "float64",
    "date32",
)


@dataclass(frozen=True)
class ReleaseFolder:
    """What the record and the checksums of a release say.

    Attributes:
        root: folder or URL.
        record: the content of release.json.
        sums: SHA-256 by file.
    """

    root: str
    record: Mapping[str, Any]
    sums: Mapping[str, str]

    @property
    def files(self) -> dict[str, str]:
        """The data files, with the value of the column `split` that they stand for."""
        names = self.record["split_names"]
        return {file["path"]: names.get(file["split"], file["split"]) for file in self.record["files"]}

    @property
    def tars(self) -> dict[str, str]:
        """The tar with the images of each data file, next to it, if its rows have their keys."""
        names = {name: f"{posixpath.splitext(name)[0]}.tar" for name in self.files if KEY in self.columns}
        return {name: tar for name, tar in names.items() if tar in self.sums}

    @property
    def columns(self) -> dict[str, str]:
        """The types of the columns, as text."""
        return {column["name"]: column["type"] for column in self.record["columns"]}

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Names of the classes by column: of the column of names if there is one, which then keeps their order."""
        column, names = self.record.get("class_column"), tuple(self.record.get("classes") or ())
        named = self.record["parameters"].get("by") or LABEL
        if not column or not names:
            return {}
        return (
            {column: (), named: names} if named != column and self.columns.get(named) == "string" else {column: names}
        )

    @property
    def types(self) -> dict[str, str]:
        """The types of the columns as Arrow spells them, as far as CSV files can have them."""
        spelled = {"date32[day]": "date32"}
        return {
            name: spelled.get(kind, kind) for name, kind in self.columns.items() if spelled.get(kind, kind) in _TYPES
        }


def open_release(path: str) -> ReleaseFolder:
    """Read the record and the checksums of a release.

    Raises:
        RecipeError: there is no release, or its record cannot be read.
    """
    root = path.rstrip("/")
    record, sums = (_text(root, name) for name in (RECORD, SUMS))
    try:
        data = json.loads(record)
        if data["format"] != _FORMAT:
            raise RecipeError(f"{join(root, RECORD)}: is of another version of poolwright; release the table again")
        found = ReleaseFolder(root, data, _sums(sums))
        missing = next((name for name in found.files if name not in found.sums), None)
        _ = found.types, found.classes, data["layout"], data["images"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RecipeError(f"{path}: {RECORD} or {SUMS} is damaged; check the release with: poolwright verify") from None
    if missing:
        raise RecipeError(f"{path}: '{missing}' is not in {SUMS}; check the release with: poolwright verify")
    return found


def _text(root: str, name: str) -> str:
    try:
        with reaching(root), open_file(join(root, name)) as file:
            return file.read().decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise RecipeError(f"{root}: no release here ({name} is missing); {RECORD} marks one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{join(root, name)}: cannot be read: {error}") from None


def _sums(text: str) -> dict[str, str]:
    """Return the SHA-256 of each file; names with a backslash or line end have it escaped, as in `sha256sum`."""
    found = {}
    for line in text.split("\n"):
        digest, mark, name = line.removeprefix("\\").partition("  ")
        if line.startswith("\\"):
            name = name.replace("\\\\", "\0").replace("\\n", "\n").replace("\\r", "\r").replace("\0", "\\")
        if line and (not mark or len(digest) != 64):
            raise ValueError(line)
        found[name] = digest
    return found


def check_files(found: ReleaseFolder) -> None:
    """Compare the data files, and the tars of their images, with their checksums.

    Raises:
        InputError: one is missing or differs.
    """
    with ThreadPoolExecutor(4) as threads:
        names = [*found.files, *found.tars.values()]
        digests = dict(zip(names, threads.map(lambda name: _digest(join(found.root, name)), names), strict=True))
    wrong = [name for name, digest in digests.items() if digest != found.sums[name]]
    if wrong:
        more = f" (and {len(wrong) - 1} more files)" if len(wrong) > 1 else ""
        what = "is missing" if digests[wrong[0]] is None else "is not as it was released"
        raise InputError(
            f"{join(found.root, wrong[0])}{more}: the release is damaged: the file {what}, by its SHA-256 in {SUMS}; "
            "bring back the file, or the whole release"
        )


def _digest(file: str) -> str | None:
    """Return the SHA-256 of a file, of large files of the Hub without reading them; None if there is none."""
    try:
        if is_url(file):
            known = info_of(file).digest or ""
            if known.startswith("sha256:"):
                return known.removeprefix("sha256:")
        with reaching(file), open_file(file) as source:
            return hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]
    except FileNotFoundError:
        return None
