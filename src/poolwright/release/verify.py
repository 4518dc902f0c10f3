"""Verify a release: every file is present and unchanged, and its parts agree with each other.

The generic checks do not depend on the layout: record, checksums, schema, counts, card, Croissant. The layout that the
record names reads images back and checks its own lists, arrays and the like. A release without damage is then loaded by
the libraries that its card names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from poolwright.core.errors import PoolwrightError
from poolwright.core.table import RECORD, TableRecord
from poolwright.release.checks.card import check_card
from poolwright.release.checks.croissant import check_croissant
from poolwright.release.checks.data import check_images, check_rows, check_schema
from poolwright.release.checks.loaders import with_datasets, with_mlcroissant
from poolwright.release.checks.loaders.loader import Loader, check_loaders
from poolwright.release.checks.result import Check, Findings, Skip, Verification, run_check
from poolwright.release.checksums import SUMS, check_sums, files_of, read_sums
from poolwright.release.layouts.layout import Layout
from poolwright.release.leaks.check import check_leaks
from poolwright.release.record import RELEASE, ReleaseRecord


def verify(
    folder: Path | str, find_layout: Callable[[str], type[Layout]], full: bool = False, load: bool = True
) -> Verification:
    """Check a release.

    Args:
        folder: folder of the release.
        find_layout: returns the class of a layout by its name; raises PoolwrightError if there is none. The release
            is then checked as far as that is possible without its layout.
        full: compare the SHA-256 of every image with its column, and load every row; otherwise a sample of each.
        load: load the release with the libraries that its card names, as far as they are installed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return Verification(folder, (Check("folder", False, "there is no such folder"),))
    loaded: dict[str, ReleaseRecord | TableRecord] = {}
    checks = [run_check("record", lambda: _load(folder, loaded)), run_check("checksums", lambda: _sums(folder))]
    release, table = loaded.get(RELEASE), loaded.get(RECORD)
    if not isinstance(release, ReleaseRecord) or not isinstance(table, TableRecord):
        checks.append(Check("contents", None, f"not checked: {RELEASE} or {RECORD} cannot be read"))
        return Verification(folder, tuple(checks))
    checks += _content_checks(folder, release, table)
    layout = _layout(release, find_layout)
    checks += [layout] if isinstance(layout, Check) else _layout_checks(folder, release, layout, full)
    if load:
        checks += _loading(folder, release, None if isinstance(layout, Check) else layout, full, checks)
    return Verification(folder, tuple(checks))


def _content_checks(folder: Path, release: ReleaseRecord, table: TableRecord) -> Iterator[Check]:
    yield run_check("schema", lambda: check_schema(folder, release))
    yield run_check("counts", lambda: check_rows(folder, release, table))
    yield run_check("card", lambda: check_card(folder, release))
    yield run_check("croissant", lambda: check_croissant(folder, release, _known_sums(folder)))


def _layout(release: ReleaseRecord, find_layout: Callable[[str], type[Layout]]) -> Layout | Check:
    """Return the layout of a release, or the check that says why there is none."""
    try:
        return layout_of(release, find_layout)
    except Skip as skipped:
        return Check("layout", None, f"skipped: {skipped}")
    except ValueError as error:
        return Check("layout", False, str(error))


def _loading(
    folder: Path, release: ReleaseRecord, layout: Layout | None, full: bool, before: Sequence[Check]
) -> Iterator[Check]:
    """Load a release that has no damage: libraries are not asked to read what is known to be broken."""
    if any(check.ok is False for check in before):
        yield Check("loading", None, "not tried, as the release is damaged")
        return
    loaders = layout.loaders(release) if layout else [Loader("datasets", with_datasets.load)]
    yield from check_loaders([*loaders, Loader("mlcroissant", with_mlcroissant.load)], folder, release, full)


def layout_of(release: ReleaseRecord, find_layout: Callable[[str], type[Layout]]) -> Layout:
    """Return the layout that a release was written with, with the parameters in its record.

    Raises:
        Skip: no layout of that name is installed; the message names the package that provides it, if it is recorded.
        ValueError: the layout does not take the parameters of the record.
    """
    try:
        known = find_layout(release.layout)
    except PoolwrightError:
        packages = [f"'{name}' (version {version} wrote it)" for name, version in release.versions.items()]
        needed = f"install {' and '.join(packages) or 'the package that provides it'}"
        raise Skip(
            f"no layout '{release.layout}' is installed, so images and the layout's own files were not read; {needed}"
        ) from None
    try:
        return known.model_validate(release.parameters)
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"])) or "parameters"
        raise ValueError(
            f"'{RELEASE}' has parameters that layout '{release.layout}' does not take: {location}: {first['msg']}"
        ) from None


def _layout_checks(folder: Path, release: ReleaseRecord, layout: Layout, full: bool) -> Iterator[Check]:
    if release.images is not None:
        yield run_check("images", lambda: check_images(layout.read_images(folder, release, full), release, full))
    yield check_leaks(folder, release, layout, full)
    for name, look in layout.checks(folder, release):
        yield run_check(name, look)


def _load(folder: Path, loaded: dict[str, ReleaseRecord | TableRecord]) -> Findings:
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


def _sums(folder: Path) -> Findings:
    return check_sums(folder), f"{len(files_of(folder)):,} files are as {SUMS} says"


def _known_sums(folder: Path) -> dict[str, str]:
    try:
        return read_sums(folder)
    except (OSError, ValueError):
        return {}
