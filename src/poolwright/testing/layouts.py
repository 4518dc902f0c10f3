"""Properties that hold for every release layout, as tests for pytest.

    class TestLists(LayoutSuite):
        layout = Lists(by="label")

A subclass is collected by pytest if its name begins with 'Test'. It sets `layout`, and overrides `build_table` if the
layout needs other columns than `example_table` has.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE, IMAGE_PATH, UID, is_text
from poolwright.core.errors import PoolwrightError, RecipeError, ReleaseError, is_installed
from poolwright.core.files import digest_file
from poolwright.core.images.image_files import read_bytes
from poolwright.core.table import Table
from poolwright.release.card.about import About
from poolwright.release.checks.result import Verification, run_check
from poolwright.release.checksums import SUMS, files_of, write_sums
from poolwright.release.data.reading import read_rows
from poolwright.release.layouts.layout import Layout
from poolwright.release.record import RELEASE, ReleaseRecord
from poolwright.release.verify import verify
from poolwright.testing.example_table import example_table

ABOUT = About(title="Contract | suite", license="CC-BY-4.0", authors=("Ada Lovelace",), known_limits=("Made up.",))
_AT_ONCE = 5
"""Files that are damaged at a time: as many as one check names."""
_MOST_DAMAGED = 25
_TABLES: dict[Path, Table] = {}
"""Tables that were made, by the folder that they and their releases are in."""


class LayoutSuite:
    """The properties of a layout with one set of parameters, as tests.

    A release verifies; its rows and images are read back, each once and unchanged; every damage is found and its file
    named; the same table gives the same bytes; another release is replaced only on request.
    """

    layout: Layout
    """The layout, with its parameters."""

    def build_table(self, folder: Path) -> Table:
        """Make a finished table that the layout can write, with others next to it if the layout reads some.

        Args:
            folder: an empty folder.
        """
        return example_table(folder)

    def test_parameters_come_back_from_the_record(self, tmp_path: Path) -> None:
        """The layout that the record describes equals the one that wrote it."""
        _, folder = self._made(tmp_path)
        known = ReleaseRecord.load(folder)
        _hold(known.layout == self.layout.layout, f"the record names layout '{known.layout}'")
        back = type(self.layout).model_validate(known.parameters)
        _hold(back == self.layout, f"the record's parameters make {back!r}, not {self.layout!r}")

    def test_every_parameter_is_described(self) -> None:
        """The class has a docstring and every parameter a description: reference and schema are made from them."""
        _hold(bool(type(self.layout).__doc__), "the class has no docstring")
        bare = [name for name, field in type(self.layout).model_fields.items() if not field.description]
        _hold(not bare, f"parameters without a description: {', '.join(bare)}")

    def test_missing_columns_are_found_before_anything_is_written(self, tmp_path: Path) -> None:
        """Without a column that it needs, the layout refuses the table, or uses another one."""
        schema = self._made(tmp_path)[0].schema
        for name in self.layout.needs(schema):
            less = schema.remove(schema.get_field_index(name))
            try:
                self.layout.check(less)
            except PoolwrightError:
                continue
            _hold(name not in self.layout.needs(less), f"'{name}' is needed, but its absence is not reported")

    def test_a_release_verifies(self, tmp_path: Path) -> None:
        """Every check holds, including the layout's own, and the table is unchanged."""
        table, _ = self._made(tmp_path)
        before = _digests(table.folder)
        self.layout.write(table, tmp_path / "written", ABOUT)
        found = self._verify(tmp_path / "written", full=True)
        _hold(found.ok, found.words)
        _hold(self._verify(tmp_path / "written").ok, "a sample of the images does not verify, although all of them do")
        _hold(_digests(table.folder) == before, "the table was changed")

    def test_it_is_loaded_as_its_card_says(self, tmp_path: Path) -> None:
        """The libraries of its card, as far as they are installed, load the rows of the record."""
        _, folder = self._released(tmp_path)
        release = ReleaseRecord.load(folder)
        for loader in self.layout.loaders(release):
            if is_installed(loader.module):
                check = run_check(loader.module, partial(loader.load, folder, release, False))
                _hold(check.ok is not False, f"{loader.module}: {check.words}")

    def test_every_row_is_read_back(self, tmp_path: Path) -> None:
        """Rows have the values of the table, in all columns of the same name."""
        table, folder = self._made(tmp_path)
        release = ReleaseRecord.load(folder)
        rows = pa.concat_tables((rows for _, rows in read_rows(folder, release)), promote_options="permissive")
        shared = [name for name in rows.column_names if name in table.schema.names and name != IMAGE]
        _hold(bool(shared), "no column of the release has the name of one of the table")
        wanted = Counter(_lines(table.read(shared), shared))
        found = Counter(_lines(_named(rows, release, table), shared))
        lost, more = wanted - found, found - wanted
        _hold(not lost and not more, f"lost: {list(lost)[:2]}; not in the table: {list(more)[:2]}")

    def test_every_image_is_read_back(self, tmp_path: Path) -> None:
        """Each row has its image, once, as in the table or changed as asked; a sample gives some of the same images."""
        table, folder = self._made(tmp_path)
        release = ReleaseRecord.load(folder)
        if release.images is None:
            return
        wanted, found = dict(_source_images(table)), list(self.layout.read_images(folder, release))
        if changes := self.layout.changes():
            made = {uid: changes.apply(data) for uid, data in wanted.items()}
            wanted = {uid: image.data for uid, image in made.items() if not isinstance(image, str)}
        twice = [uid for uid, times in Counter(image.uid for image in found).items() if times > 1]
        _hold(not twice, f"images of {twice[:3]} are read back more than once")
        _hold({image.uid for image in found} == set(wanted), "not every row has its image, or an image has no row")
        other = [image.path for image in found if image.data != wanted[image.uid]]
        _hold(not other, f"the image has other bytes than it should: {other[:3]}")
        sample = list(self.layout.read_images(folder, release, full=False))
        _hold(bool(sample) and all(image in found for image in sample), "a sample is not a subset of all images")

    def test_the_same_table_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """A second release equals the first one, byte for byte, and a second call finds it finished."""
        table, folder = self._released(tmp_path)
        self.layout.write(table, tmp_path / "again", ABOUT)
        one, other = _digests(folder), _digests(tmp_path / "again")
        differ = [name for name in {*one, *other} if one.get(name) != other.get(name)]
        _hold(not differ, f"written twice, these differ: {sorted(differ)[:5]}")
        found = self.layout.write(table, folder, ABOUT)
        _hold(not found.fresh and _digests(folder) == one, "a finished release was written again")

    def test_another_release_is_replaced_only_if_asked(self, tmp_path: Path) -> None:
        """With another card, the folder is refused, then replaced with `overwrite`."""
        table, folder = self._released(tmp_path)
        other, before = About(title="Another"), _digests(folder)
        try:
            self.layout.write(table, folder, other)
        except ReleaseError:
            pass
        else:
            raise AssertionError("another release was replaced without being asked")
        _hold(_digests(folder) == before, "a refused release changed the existing one")
        _hold(self.layout.write(table, folder, other, overwrite=True).fresh, "`overwrite` wrote nothing")
        _hold(self._verify(folder).ok, "the release that replaced another does not verify")

    def test_flipped_bytes_are_found(self, tmp_path: Path) -> None:
        """If a byte of any file changes, verify fails and names the file."""
        self._damage(tmp_path, _flip)

    def test_removed_files_are_found(self, tmp_path: Path) -> None:
        """If any file is gone, verify fails and names it."""
        self._damage(tmp_path, Path.unlink)

    def test_added_files_are_found(self, tmp_path: Path) -> None:
        """If a file appears next to any other, verify fails and names it."""
        _, folder = self._released(tmp_path)
        added = [f"{name}.more" for name in _of_each_kind(folder)][:_AT_ONCE]
        for name in added:
            (folder / name).write_bytes(b"more")
        self._finds(folder, added)

    def test_lost_rows_are_found_though_checksums_were_made_anew(self, tmp_path: Path) -> None:
        """If a data file loses a row and its checksum is right, verify fails and names it."""
        _, folder = self._released(tmp_path)
        for file in ReleaseRecord.load(folder).files[:1]:
            _lose_a_row(folder / file.path)
            write_sums(folder, {})
            self._finds(folder, [file.path])

    def test_changed_files_of_the_layout_are_found_though_checksums_were_made_anew(self, tmp_path: Path) -> None:
        """If a list, an array or an archive changes and its checksum is right, verify fails and names it."""
        _, folder = self._made(tmp_path)
        others = [other.path for other in ReleaseRecord.load(folder).others]
        for names in _chunks([name for name in _of_each_kind(folder) if name in others]):
            damaged = _copy(folder, tmp_path / "damaged")
            for name in names:
                _flip(damaged / name)
            write_sums(damaged, {})
            self._finds(damaged, names)

    def test_a_changed_image_is_found_though_checksums_were_made_anew(self, tmp_path: Path) -> None:
        """If an image file has the bytes of another one and its checksum is right, verify names its row."""
        _, folder = self._released(tmp_path)
        release = ReleaseRecord.load(folder)
        files = [*(file.path for file in release.files), *(other.path for other in release.others)]
        images = list(self.layout.read_images(folder, release)) if release.images else []
        single = [image for image in images if image.path not in files]
        if len(single) > 1:
            shutil.copyfile(folder / single[1].path, folder / single[0].path)
            write_sums(folder, {})
            self._finds(folder, [single[0].path, repr(single[0].uid)], full=True)

    def test_changed_counts_are_found_though_checksums_were_made_anew(self, tmp_path: Path) -> None:
        """If record, statistics, card or Croissant document count other rows, verify fails."""
        _, folder = self._made(tmp_path)
        for name, change in _COUNTS.items():
            damaged = _copy(folder, tmp_path / "damaged")
            text = (damaged / name).read_text(encoding="utf-8")
            changed = change(text)
            _hold(changed != text, f"'{name}' does not have its count of rows")
            (damaged / name).write_text(changed, encoding="utf-8")
            write_sums(damaged, {})
            _hold(not self._verify(damaged).ok, f"'{name}' counts other rows, but verify finds nothing wrong")

    def test_without_the_layout_the_generic_checks_hold(self, tmp_path: Path) -> None:
        """On a machine that lacks the layout, verify reports that and checks the rest."""
        _, folder = self._made(tmp_path)
        found = verify(folder, _unknown, load=False)
        _hold(found.ok, found.words)
        skipped = [check for check in found.checks if check.name == "layout"]
        _hold(bool(skipped) and skipped[0].ok is None, "verify does not report that the layout is missing")

    def _released(self, folder: Path) -> tuple[Table, Path]:
        """Return a table, made once for all tests, and a copy of its release."""
        table, made = self._made(folder)
        return table, _copy(made, folder / "out")

    def _made(self, folder: Path) -> tuple[Table, Path]:
        """Return a table and its release, made once for all tests, which only read them."""
        made = folder.parent / f"{type(self).__module__}.{type(self).__qualname__}"
        if made not in _TABLES:
            shutil.rmtree(made, ignore_errors=True)
            table = self.build_table(made / "table")
            self.layout.write(table, made / "out", ABOUT)
            _TABLES[made] = table
        return _TABLES[made], made / "out"

    def _verify(self, folder: Path, full: bool = False) -> Verification:
        known = {self.layout.layout: type(self.layout)}
        return verify(folder, lambda name: known.get(name) or _unknown(name), full, load=False)

    def _finds(self, folder: Path, names: Iterable[str], full: bool = False) -> None:
        found = self._verify(folder, full)
        unnamed = [name for name in names if name not in found.words]
        _hold(not found.ok and not unnamed, f"verify does not name {unnamed}: {found.words}")

    def _damage(self, tmp_path: Path, change: Callable[[Path], object]) -> None:
        _, folder = self._made(tmp_path)
        for names in _chunks(_of_each_kind(folder)):
            damaged = _copy(folder, tmp_path / "damaged")
            for name in names:
                change(damaged / name)
            self._finds(damaged, [f"'{name}'" for name in names if name not in (SUMS, RELEASE)])


def _hold(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _unknown(name: str) -> type[Layout]:
    raise RecipeError(f"unknown layout '{name}'")


def _digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): digest_file(path) for path in folder.rglob("*") if path.is_file()}


def _copy(folder: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    return Path(shutil.copytree(folder, to, copy_function=shutil.copyfile))


def _of_each_kind(folder: Path) -> list[str]:
    """List one file of each extension in each folder of a release."""
    kinds: dict[tuple[str, str], str] = {}
    for name in files_of(folder):
        path = Path(name)
        kinds.setdefault((path.parent.as_posix(), path.suffix if path.parent.name else path.name), name)
    step = -(-len(kinds) // _MOST_DAMAGED)
    return list(kinds.values())[::step]


def _chunks(names: list[str]) -> Iterator[list[str]]:
    yield from (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data) or b"\n")


def _lose_a_row(path: Path) -> None:
    if path.suffix == ".csv":
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:-1]))
    else:
        rows = pq.read_table(path)
        pq.write_table(rows.slice(0, len(rows) - 1), path)


def _lines(rows: pa.Table, columns: list[str]) -> Iterator[str]:
    """Yield each row as text, so that rows compare equal whatever types readers give them."""
    for row in rows.select(columns).to_pylist():
        yield repr([_plain(row[name]) for name in columns])


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"  # CSV does not keep the widths of numbers
    return str(value) if value is not None and not isinstance(value, list) else value


def _named(rows: pa.Table, release: ReleaseRecord, table: Table) -> pa.Table:
    """Return the rows with names of classes instead of indices, if the table has names."""
    column = release.class_column
    if column not in table.schema.names or not is_text(table.schema.field(column).type):
        return rows
    position = rows.schema.get_field_index(column)
    names = [None if index is None else release.classes[index] for index in rows.column(position).to_pylist()]
    return rows.set_column(position, column, pa.array(names, pa.string()))


def _source_images(table: Table) -> Iterator[tuple[str, bytes]]:
    """Yield (uid, bytes) of every row's image: from the column `image`, or the file that `image_path` names."""
    if IMAGE in table.schema.names:
        for row in table.read([UID, IMAGE]).to_pylist():
            value = row[IMAGE]
            yield str(row[UID]), value["bytes"] if isinstance(value, dict) else value
        return
    for row in table.read([UID, IMAGE_PATH]).to_pylist():
        data = read_bytes(table.image_root, row[IMAGE_PATH])
        assert isinstance(data, bytes), data
        yield str(row[UID]), data


def _one_more_row(text: str) -> str:
    document = json.loads(text)
    document["rows"] += 1
    return json.dumps(document)


def _one_more_in_card(text: str) -> str:
    return text.replace("num_examples: ", "num_examples: 1", 1)


def _one_more_in_croissant(text: str) -> str:
    return text.replace('"splits/rows": ', '"splits/rows": 1', 1)


_COUNTS: dict[str, Callable[[str], str]] = {
    "release.json": _one_more_row,
    "statistics.json": _one_more_row,
    "README.md": _one_more_in_card,
    "croissant.json": _one_more_in_croissant,
}
