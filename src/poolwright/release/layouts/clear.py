"""CLEAR layout: a stream of time buckets as CLEAR-10 and CLEAR-100 were published.

class_names.txt                                  line i is the name of class i, in alphabetical order
labeled_images/<bucket>/<class>/<uid>.jpg        the image files
labeled_metadata.json                            {bucket: {class: path}}
labeled_metadata/<bucket>/<class>.json           {id: metadata}
all_metadata.json, all_metadata/<bucket>.json    {bucket: path}; {id: metadata} of every image of the stream
features/<name>/features.json                    {bucket: {class: path}}
features/<name>/<bucket>/<class>.pth             {id: tensor}
training_folder/...                              see `training_folder`
metadata/<bucket>.parquet                        the labelled rows of each bucket, in the order of its list

Format of https://github.com/linzhiqiu/continual-learning (Lin et al., The CLEAR Benchmark, arXiv 2201.06289).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import IMAGE, UID, is_groupable, is_vector
from poolwright.core.errors import ReleaseError, StepError, did_you_mean
from poolwright.core.params import Column
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.core.wording import natural_order
from poolwright.release.data.features import CLASS_ID, FILE_NAME
from poolwright.release.layouts.streams.json_objects import EXT, IMG_DIR, IMG_PATH, JsonObjects, MetadataEntries
from poolwright.release.layouts.streams.stream import IMAGES, Stream, bucket_folders
from poolwright.release.layouts.streams.stream_layout import FurtherFiles, StreamLayout
from poolwright.release.layouts.streams.tensors import Features
from poolwright.release.lineage import save_lineage
from poolwright.release.record import OtherFile, ReleaseRecord
from poolwright.release.statistics import Statistics

LABELED, ALL = "labeled_metadata", "all_metadata"
_BATCH_ROWS = 8_192


class Clear(StreamLayout):
    """Images, metadata, features and lists by time bucket and class, as the CLEAR benchmark was published."""

    layout: ClassVar[str] = "clear"
    example: ClassVar[str] = "{table: best, layout: clear, domain: bucket, unlabelled: labelled, to: out/best-clear}"
    tree: ClassVar[str] = """\
class_names.txt                     names of the classes by index, in alphabetical order
labeled_images/3/laptop/<uid>.jpg   image files by bucket and class
labeled_metadata.json               {bucket: {class: path}}
labeled_metadata/3/laptop.json      {uid: metadata}, with CLEAR's names for the fields of YFCC100M
all_metadata/3.json                 the same for all images of the stream, with `unlabelled`; all_metadata.json: paths
features/clip/3/laptop.pth          {uid: tensor}; features/clip/features.json: {bucket: {class: path}}
training_folder/                    as in `avalanche`
train/, test/                       as in `avalanche`
metadata/3.parquet                  all columns, rows in the order of the lists"""

    unlabelled: Column | None = Field(
        default=None,
        description="table of the whole stream, with the same column of buckets: the metadata of all its rows is "
        "released by bucket, including buckets without labels, such as one for pre-training",
    )

    def tables(self) -> tuple[str, ...]:
        """Return the table of the whole stream."""
        return (self.unlabelled,) if self.unlabelled else ()

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns of a stream; also check that the keys of the metadata are distinct."""
        MetadataEntries(schema)
        return super().needs(schema)

    def check_tables(self, schemas: Mapping[str, pa.Schema]) -> None:
        """Check that the stream has buckets."""
        for name, schema in schemas.items():
            if self.domain not in schema.names or not is_groupable(schema.field(self.domain).type):
                raise StepError(
                    f"'unlabelled' names the table '{name}', which has no column '{self.domain}' of strings or "
                    f"integers; {did_you_mean(self.domain, schema.names)}"
                )
            MetadataEntries(schema)

    def further(self, table: Table, folder: Path, stream: Stream) -> FurtherFiles:
        """Return the writer of the metadata and features of each class."""
        return _Labeled(table.schema, folder, stream, self._copied)

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the files of a stream, and the metadata of the whole stream."""
        record = super().write_data(table, folder, statistics)
        others = [*record.others]
        for other in self.others(table):
            others += write_all_metadata(folder, other, self.domain)
            save_lineage(folder, other, table)
        return record.model_copy(update={"others": tuple(others)})

    def check_bucket(self, folder: Path, release: ReleaseRecord, bucket: str, rows: pa.Table) -> Iterator[str]:
        """Check that the JSON files of the labelled images list the images of the metadata."""
        index = _read_json(folder / f"{LABELED}.json")[release.domains[f"{IMAGES}/{bucket}"]]
        wanted: dict[int, dict[str, str]] = defaultdict(dict)
        for row in rows.select([UID, FILE_NAME, CLASS_ID]).to_pylist():
            wanted[row[CLASS_ID]][str(row[UID])] = row[FILE_NAME]
        for number, name in enumerate(release.classes):
            found = {key: entry[IMG_PATH] for key, entry in _read_json(folder / index[name]).items()}
            if found != wanted[number]:
                yield f"'{index[name]}' does not have the {len(wanted[number]):,} images of '{name}' in bucket {bucket}"

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how to read the lists, the metadata, and the buckets without labels."""
        words = "`labeled_metadata/<bucket>/<class>.json` has the metadata of the labelled images by id, with the "
        words += "names that CLEAR gives the fields of YFCC100M; texts are decoded, numbers are numbers, and unknown "
        words += "values are null."
        parts = [super().load_snippet(release), words]
        listed = [f"- `{other.path}`: {other.words}" for other in release.others if other.path.startswith(f"{ALL}/")]
        if listed:
            parts += [
                "`all_metadata` has the metadata of all images of the stream, one line per image:",
                "\n".join(listed),
            ]
        return "\n\n".join(parts)


class _Labeled:
    """Metadata and features of the labelled rows, one file per bucket and class."""

    def __init__(self, schema: pa.Schema, folder: Path, stream: Stream, copied: bool) -> None:
        kept = [field for field in schema if field.name != IMAGE and not is_vector(field.type)]
        self._entries = MetadataEntries(pa.schema(kept))
        self._folder, self._stream, self._copied = folder, stream, copied
        self._objects = JsonObjects(folder)
        self._ids: dict[tuple[int, int], list[str]] = defaultdict(list)

    def add(self, rows: Rows, start: int, files: Sequence[str]) -> None:
        paths = [{IMG_PATH: file, IMG_DIR: ".", **self._extension(file)} for file in files]
        added: dict[tuple[int, int], list[tuple[str, str]]] = defaultdict(list)
        for row, entry in enumerate(self._entries.of(rows, paths), start):
            cell = int(self._stream.bucket_of[row]), int(self._stream.class_of[row])
            added[cell].append(entry)
            self._ids[cell].append(entry[0])
        for cell, entries in added.items():
            self._objects.add(self._path(LABELED, cell, "json"), entries)

    def finish(self, features: Features) -> list[OtherFile]:
        # A class without rows in a bucket has an empty file: readers look for every class.
        for bucket in range(len(self._stream.folders)):
            rows = self._stream.listed(bucket)
            for kind in self._class_indices():
                self._objects.add(self._path(LABELED, (bucket, kind), "json"), [])
                of_class, ids = rows[self._stream.class_of[rows] == kind], self._ids[bucket, kind]
                for name in features.names:
                    path = self._folder / self._path(f"features/{name}", (bucket, kind), "pth")
                    features.save_mapping(path, name, of_class, ids)
        self._objects.finish()
        written = [self._write_index(f"{LABELED}.json", LABELED, "json", "Metadata of the labelled images")]
        for name in features.names:
            words = f"Features {name} of the labelled images"
            written.append(self._write_index(f"features/{name}/features.json", f"features/{name}", "pth", words))
        return written

    def _extension(self, file: str) -> dict[str, str]:
        return {EXT: file.rpartition(".")[2]} if self._copied else {}

    def _class_indices(self) -> range:
        return range(len(self._stream.classes))

    def _path(self, top: str, cell: tuple[int, int], suffix: str) -> str:
        return f"{top}/{self._stream.folders[cell[0]]}/{self._stream.class_folders[cell[1]]}.{suffix}"

    def _write_index(self, path: str, top: str, suffix: str, words: str) -> OtherFile:
        """Write {bucket: {class: path}}."""
        index: dict[str, Any] = {
            value: {
                self._stream.classes[kind]: self._path(top, (bucket, kind), suffix) for kind in self._class_indices()
            }
            for bucket, value in enumerate(self._stream.buckets)
        }
        (self._folder / path).write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return OtherFile(path=path, type="application/json", words=f"{words}: files by bucket and class")


def write_all_metadata(folder: Path, table: Table, bucket: str) -> list[OtherFile]:
    """Write the metadata of all rows of a table by bucket, in batches.

    Raises:
        ReleaseError: a row has no bucket.
    """
    entries, objects = MetadataEntries(table.schema), JsonObjects(folder)
    paths: dict[str, str] = {}
    for rows in table.batches([bucket]):
        for value in rows.column(bucket).unique().cast(pa.string()).to_pylist():
            if value is None:
                raise ReleaseError(
                    f"table '{table.name}', which 'unlabelled' names, has rows without '{bucket}'; drop them in a "
                    f"step: `where: {bucket} is not null`"
                )
            paths[value] = ""
    for value, name in bucket_folders(table.name, bucket, list(paths)).items():
        paths[value] = f"{ALL}/{name}.json"
    for rows in table.batches(list(dict.fromkeys([*entries.columns, bucket])), _BATCH_ROWS):
        values = np.array(rows.strings(bucket))
        for value in np.unique(values).tolist():
            members = Rows(rows.table.take(pa.array(np.flatnonzero(values == value))))
            objects.add(paths[value], entries.of(members))
    counts = objects.finish()
    ordered = {value: paths[value] for value in sorted(paths, key=natural_order)}
    (folder / f"{ALL}.json").write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8", newline="\n")
    return [
        OtherFile(path=f"{ALL}.json", type="application/json", words="Metadata of all images: files by bucket"),
        *(
            OtherFile(path=path, type="application/json", words=f"metadata of {counts[path]:,} images")
            for path in ordered.values()
        ),
    ]


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
