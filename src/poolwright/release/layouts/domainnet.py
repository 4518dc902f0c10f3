"""DomainNet layout: images by domain and class, with the lists that DomainNet loaders read.

domain_net/<domain>/<class>/<uid>.jpg   images; domain and class in lower case, without spaces
domain_net/<domain>_train.txt           lines `path index`, separated by one space, such as `africa/zebra/123.jpg 4`
domain_net/<domain>_test.txt
class_names.txt, domains.txt            line i is the name of class i; folders of the domains
metadata/<split>.parquet                the rows of each split, in the order of the table

DomainBed takes every folder of `domain_net`, which is the name it looks for, for a domain.

Format of the lists: http://ai.bu.edu/M3SDA/. Its loaders split a line at white space, so no path has any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import CONTINENT, IMAGE, IMAGE_PATH, LABEL, LABEL_INDEX, SHA256, UID
from poolwright.core.errors import StepError
from poolwright.core.params import Column
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.release.card.markdown import fenced
from poolwright.release.card.sections.loading import FOLDER_WORDS
from poolwright.release.data.features import (
    CLASS_ID,
    FILE_NAME,
    require,
    require_folders,
    with_features,
    with_meanings,
)
from poolwright.release.data.image_changes import ListedImages
from poolwright.release.data.image_files import MetadataFile, released_rows, write_image
from poolwright.release.data.images import ImageReader
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.data.naming import split_order
from poolwright.release.data.splits import by_split, split_values, table_splits, with_split
from poolwright.release.layouts.layout import Layout, LayoutCheck
from poolwright.release.layouts.shared.domain_lists import CLASS_NAMES, DOMAINS, ROOT, check_lists
from poolwright.release.layouts.shared.domains import DomainClass, DomainFolders
from poolwright.release.layouts.shared.listed_images import (
    LIST_BATCH_ROWS,
    listed_columns,
    listed_meanings,
    listed_schema,
)
from poolwright.release.record import OtherFile, ReleasedFile, ReleaseRecord
from poolwright.release.statistics import Statistics


class DomainNet(Layout):
    """Lists of paths and class indices by domain and split, as in DomainNet, with the images."""

    layout: ClassVar[str] = "domainnet"
    example: ClassVar[str] = "{table: best, layout: domainnet, domain: continent, to: out/best-domainnet}"
    tree: ClassVar[str] = """\
domain_net/africa/zebra/<uid>.jpg   image files by domain and class; left out by `images: none`
domain_net/africa_train.txt         one line per image: `africa/zebra/<uid>.jpg 4`, path and class index
class_names.txt, domains.txt        names of the classes by index; folders of the domains
metadata/train.parquet              all columns, rows in the order of the lists"""

    domain: Column = Field(default=CONTINENT, description="column whose values are the domains")
    by: Column = Field(default=LABEL, description="column of the class names")
    index: Column | None = Field(
        default=None,
        description="column of integers that distinguishes classes of the same name; default label_index, if 'by' is "
        "label and the table has it",
    )
    images: ListedImages = Field(
        default="copy",
        description="copy the image files, or write only lists of their image_path, for users who have the images; a "
        "mapping copies changed images",
    )

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: uid, domain, class, and the images or their paths."""
        require_folders(self.layout, self.domain, self.by, schema)
        images = listed_columns(schema, self.layout, self.images != "none")
        return tuple(dict.fromkeys([UID, self.domain, self.by, *self._index(schema), *images]))

    def class_name(self) -> str | None:
        """Return the column `by`."""
        return self.by

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the images, the lists, and the rows of each split."""
        splits = table_splits(table, statistics)
        index = self._index(table.schema)
        paths = IMAGE_PATH if self.images == "none" else None
        folders = DomainFolders(table, splits, self.domain, self.by, index[0] if index else None, paths)
        reader = ImageReader.of(table, self.layout, self.changes()) if self.images != "none" else None
        copied, known = reader is not None, reader.schema if reader else table.schema
        schema = with_features(readable_schema(listed_schema(known, (), copied), table), CLASS_ID, folders.classes)
        lists = _Lists(folder / ROOT, [folders.list_name(domain, split) for domain, split in folders.lists()])
        writers = {name: MetadataFile(folder / "metadata" / f"{name}.parquet", schema) for name in splits.values()}
        try:
            for rows, cells, given in self._batches(table, folder, folders, reader, schema):
                files = given[FILE_NAME].to_pylist()
                lists.add(cells, files, folders, splits, split_values(rows))
                released = released_rows(rows, schema, given)
                for name, part, _ in by_split(released, [0] * len(files), split_values(rows), splits):
                    writers[name].write(part)
        finally:
            for writer in writers.values():
                writer.close()
        others = [*lists.files(), *_names(folder, folders)]
        files = [
            ReleasedFile(path=f"metadata/{name}.parquet", split=name, rows=writers[name].rows)
            for name in sorted(writers, key=split_order)
        ]
        record = self.record(table, schema, files, splits, reader, folders.classes, CLASS_ID)
        record = record.model_copy(update={"domains": folders.domains_by_folder(), "others": tuple(others)})
        return with_meanings(record, listed_meanings(f"in `{ROOT}`" if copied else None))

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to read the lists."""
        start = f"`{ROOT}`" if self.images != "none" else "your folder of images, which are not in the release"
        code = (
            f'for line in open("{release.others[0].path}", encoding="utf-8"):\n'
            f"    path, index = line.split()  # path below {start}\n\n"
            'names = open("class_names.txt", encoding="utf-8").read().splitlines()  # names[int(index)]'
        )
        words = "The lists are those of DomainNet, `<domain>_<split>.txt` with lines `path class_index`: code that "
        words += "reads DomainNet reads them. `domains.txt` names the domains and `class_names.txt` the classes. "
        words += f"The folder `{ROOT}` has the domains and lists alone: it is the one to name to loaders. DomainBed, "
        words += "which takes every folder in it for a domain, finds it with `--data_dir` set to the folder above."
        rows = f'load_dataset("{FOLDER_WORDS}")'
        more = f"`metadata/` has all columns of the rows, in the order of the lists; `{rows}` of `datasets` reads it."
        return f"{words}\n\n{fenced(code, 'python')}\n\n{more}"

    def image_folders(self, release: ReleaseRecord) -> Sequence[str]:
        """Return the folders of the domains."""
        return [f"{ROOT}/{domain}" for domain in release.domains]

    def image_root(self, file: ReleasedFile) -> str:
        """Return the folder of the domains."""
        return ROOT

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """Check that lists, class names and metadata agree."""
        yield "lists", lambda: check_lists(folder, release, self.domain)

    def _index(self, schema: pa.Schema) -> list[str]:
        if self.index is None:
            return [LABEL_INDEX] if self.by == LABEL and LABEL_INDEX in schema.names else []
        require(self.index, schema, "'index'")
        if not pa.types.is_integer(schema.field(self.index).type):
            raise StepError(
                f"'index: {self.index}' has type {schema.field(self.index).type}; it must be a column of integers"
            )
        return [self.index]

    def _batches(
        self, table: Table, folder: Path, folders: DomainFolders, reader: ImageReader | None, schema: pa.Schema
    ) -> Iterator[tuple[Rows, list[DomainClass], dict[str, pa.Array]]]:
        """Yield rows, their domains and classes, and the columns that the release adds."""
        names = [name for name in schema.names if name in (reader.schema if reader else table.schema).names]
        wanted = with_split(list(dict.fromkeys([*names, *self.needs(table.schema)])), table.schema)
        if reader is None:
            for rows in table.batches([name for name in wanted if name != IMAGE], LIST_BATCH_ROWS):
                cells = list(folders.of(rows))
                yield rows, cells, _given(cells, rows.strings(IMAGE_PATH), folders)
            return
        for rows, images, digests in reader.batches([name for name in wanted if name not in (IMAGE, IMAGE_PATH)]):
            cells = list(folders.of(rows))
            named = zip(folders.files(rows, cells), images, strict=True)
            files: list[str | None] = [write_image(folder / ROOT, inner, stem, data) for (inner, stem), data in named]
            yield rows, cells, {**_given(cells, files, folders), SHA256: pa.array(digests, pa.string())}


def _given(cells: Sequence[DomainClass], files: Sequence[str | None], folders: DomainFolders) -> dict[str, pa.Array]:
    ids = [folders.class_ids[kind] for _, kind in cells]
    return {FILE_NAME: pa.array(files, pa.string()), CLASS_ID: pa.array(ids, pa.int64())}


class _Lists:
    """The lists of all domains and splits, including those without rows."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.counts = dict.fromkeys(names, 0)
        folder.mkdir()
        for name in names:
            (folder / name).touch()

    def add(
        self,
        cells: Sequence[DomainClass],
        files: Sequence[str],
        folders: DomainFolders,
        splits: dict[str | None, str],
        values: Sequence[str | None],
    ) -> None:
        lines: dict[str, list[str]] = defaultdict(list)
        for (domain, kind), file, value in zip(cells, files, values, strict=True):
            lines[folders.list_name(domain, splits[value])].append(f"{file} {folders.class_ids[kind]}\n")
        # Opened anew for each batch, as there may be more lists than a process may hold open.
        for name, found in lines.items():
            self.counts[name] += len(found)
            with (self.folder / name).open("a", encoding="utf-8", newline="\n") as out:
                out.writelines(found)

    def files(self) -> list[OtherFile]:
        return [
            OtherFile(path=f"{ROOT}/{name}", type="text/plain", words=f"{rows:,} lines of path and class index")
            for name, rows in self.counts.items()
        ]


def _names(folder: Path, folders: DomainFolders) -> list[OtherFile]:
    made = {
        CLASS_NAMES: (folders.classes, "Names of the classes by index"),
        DOMAINS: (tuple(folders.domains.values()), "Folders of the domains, with which the names of the lists begin"),
    }
    for name, (lines, _) in made.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return [OtherFile(path=name, type="text/plain", words=words) for name, (_, words) in made.items()]
