"""Verify a release: is everything there, is it what was written, and do its parts agree with each other?

A broken release is reported, never raised: every check gives a name, whether it holds, and words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from poolwright.core.table import RECORD, TableRecord
from poolwright.release.checks.card import check_card
from poolwright.release.checks.croissant import Skip, check_croissant, check_with_mlcroissant
from poolwright.release.checks.data import check_images, check_rows, check_schema
from poolwright.release.checks.domainnet import check_lists
from poolwright.release.checks.geoyfcc import check_subsets
from poolwright.release.checks.glt import check_sets
from poolwright.release.checks.stream import check_stream
from poolwright.release.checksums import SUMS, check_sums, files_of, read_sums
from poolwright.release.layouts.shared.subsets import CLASSES
from poolwright.release.record import RELEASE, ReleaseRecord

_MOST_TOLD = 5


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: short name.
        ok: whether it holds; None where it was skipped.
        words: what was found.
    """

    name: str
    ok: bool | None
    words: str


@dataclass(frozen=True)
class Verification:
    """What was found in a release folder."""

    folder: Path
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed, and any was made."""
        return bool(self.checks) and all(check.ok is not False for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.ok is False)

    @property
    def words(self) -> str:
        """One line: what was checked, or what is wrong."""
        if self.ok:
            return f"{self.folder}: whole; {sum(check.ok is True for check in self.checks)} checks hold"
        return f"{self.folder}: broken: " + "; ".join(f"{check.name}: {check.words}" for check in self.failed)


def verify(folder: Path | str, full: bool = False) -> Verification:
    """Check a release.

    Args:
        folder: of the release.
        full: compare the SHA-256 of every image with its column; else of a sample spread over all files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return Verification(folder, (Check("folder", False, "there is no folder of this name"),))
    return Verification(folder, tuple(_checks(folder, full)))


def _checks(folder: Path, full: bool) -> Iterator[Check]:
    loaded: dict[str, ReleaseRecord | TableRecord] = {}
    yield _check("record", lambda: _load(folder, loaded))
    yield _check("checksums", lambda: _sums(folder))
    release, table = loaded.get(RELEASE), loaded.get(RECORD)
    if not isinstance(release, ReleaseRecord) or not isinstance(table, TableRecord):
        yield Check("contents", None, f"not looked at: {RELEASE} or {RECORD} cannot be read")
        return
    yield _check("schema", lambda: check_schema(folder, release))
    yield _check("counts", lambda: check_rows(folder, release, table))
    yield _check("card", lambda: check_card(folder, release))
    yield _check("croissant", lambda: check_croissant(folder, release, _known_sums(folder)))
    yield _check("mlcroissant", lambda: check_with_mlcroissant(folder))
    if release.images is not None:
        yield _check("images", lambda: check_images(folder, release, full))
    if release.layout == "domainnet":
        yield _check("lists", lambda: check_lists(folder, release))
    if release.layout in ("clear", "avalanche"):
        yield _check("stream", lambda: check_stream(folder, release))
    if release.layout == "geoyfcc" and any(other.path == CLASSES for other in release.others):
        yield _check("subsets", lambda: check_subsets(folder, release))
    if release.layout == "glt":
        yield _check("sets", lambda: check_sets(folder, release))


def _check(name: str, look: Callable[[], tuple[list[str], str]]) -> Check:
    """Run one check. `look` gives what is wrong, and the words for when nothing is."""
    try:
        wrong, words = look()
    except Skip as skipped:
        return Check(name, None, f"skipped: {skipped}")
    except Exception as error:  # a broken file may fail in any way in any reader; the user is told which
        return Check(name, False, f"cannot be checked: {type(error).__name__}: {error}")
    if not wrong:
        return Check(name, True, words)
    more = f"; and {len(wrong) - _MOST_TOLD:,} more" if len(wrong) > _MOST_TOLD else ""
    return Check(name, False, "; ".join(wrong[:_MOST_TOLD]) + more)


def _load(folder: Path, loaded: dict[str, ReleaseRecord | TableRecord]) -> tuple[list[str], str]:
    wrong = []
    for name, load in ((RELEASE, lambda: ReleaseRecord.load(folder)), (RECORD, lambda: _table_record(folder))):
        try:
            loaded[name] = load()
        except FileNotFoundError:
            wrong.append(f"'{name}' is missing")
        except (OSError, ValueError) as error:
            wrong.append(f"'{name}' cannot be read: {str(error).splitlines()[0]}")
    return wrong, "release.json and table.json are whole"


def _table_record(folder: Path) -> TableRecord:
    return TableRecord.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))


def _sums(folder: Path) -> tuple[list[str], str]:
    wrong = check_sums(folder)
    return wrong, f"{len(files_of(folder)):,} files are as {SUMS} says"


def _known_sums(folder: Path) -> dict[str, str]:
    try:
        return read_sums(folder)
    except (OSError, ValueError):
        return {}
