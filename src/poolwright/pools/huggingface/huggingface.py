"""Pool `huggingface`: a dataset of the Hugging Face Hub, cloned, downloaded, saved by `datasets`, or read by its id."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import pyarrow as pa
from pydantic import Field, PrivateAttr

from poolwright.core.columns import IMAGE, IMAGE_PATH
from poolwright.core.errors import RecipeError
from poolwright.core.files import ImageRoot
from poolwright.core.pool import Part, PathOrUrl, Pool
from poolwright.core.remote.failures import reaching
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.casting import DeclaredTypes
from poolwright.pools.columns.path_columns import FILE_NAME
from poolwright.pools.huggingface.data_files import IMAGES, METADATA, TARS
from poolwright.pools.huggingface.pictures import RepositoryPictures
from poolwright.pools.huggingface.repository import Repository, open_repository
from poolwright.pools.huggingface.rows import RepositoryRows
from poolwright.pools.huggingface.tars import RepositoryTars
from poolwright.pools.labelled import FileOrigin
from poolwright.pools.readers.paths import base_name, join, open_text, suffix
from poolwright.pools.webdataset.webdataset import WebDatasetPool

_SHOWN_BY = ("state.json", "dataset_dict.json", "dataset_infos.json", "metadata.csv", "metadata.jsonl")
"""Files by which a folder shows to be one of Hugging Face."""


class HuggingFacePool(Pool):
    """Rows of a dataset of the Hugging Face Hub, with the names, splits and pictures that `datasets` gives them.

    Read are folders of a dataset repository, its folder or snapshot in the cache of the Hub, folders that
    `save_to_disk` wrote, and ids such as hf://datasets/USER/NAME@REVISION, of which only the parts that steps need are
    fetched. Data files are Parquet, Arrow, CSV, TSV, JSON Lines, image files with or without `metadata.csv`, `.jsonl`
    or `.parquet`, and WebDataset tars. The `configs` of the card, README.md, name the files of each config and split;
    without them splits follow from the names of files and folders, as in `datasets`.

    Every row has its `config` and `split`, unless the rows have columns of these names. Indices of classes become their
    names, those of the card before those of the files. The column of images, or the file that `file_name` names, is the
    picture of the row; if there are several, `image` chooses, and `check` names those that are not read. `uid` is the
    column of that name, else the path of the image file, the key of a sample in a tar, or
    '<path in the repository>:<row>'.
    """

    kind: ClassVar[str] = "huggingface"
    example: ClassVar[str] = "birds: {read: huggingface, path: hf://datasets/USER/birds, splits: [train]}"

    path: PathOrUrl = Field(description="folder of the dataset, or hf://datasets/USER/NAME, perhaps with @REVISION")
    configs: list[str] | None = Field(default=None, min_length=1, description="the configs to read; default: all")
    splits: list[str] | None = Field(default=None, min_length=1, description="the splits to read; default: all")
    image: str | None = Field(
        default=None,
        description="column of the image, such as mask; for image files, mask stands for 'mask_file_name' of the "
        "metadata, and for tars it is the extension; default: 'image', or the only one",
    )
    uid: str | None = Field(
        default=None,
        description="source column with the id of each row, or 'row' to number the rows; default: the column 'uid', "
        "else the numbers",
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="source column by its name in this pool, such as {text: caption}; others keep their names",
    )
    keep: list[str] | None = Field(
        default=None, description="the only columns to give, by the names they have in this pool; 'uid' is always given"
    )
    types: DeclaredTypes = Field(
        default_factory=dict, description="Arrow type by source column, as in the pool `table`"
    )
    images: PathOrUrl | None = Field(
        default=None, description="folder or URL of the files that structs of images name without holding their bytes"
    )

    _found: Once[Repository] = PrivateAttr(default_factory=Once)
    _inner: Once[Pool] = PrivateAttr(default_factory=lambda: Once(travels=True))

    _folder: Once[Path | None] = PrivateAttr(default_factory=lambda: Once(travels=True))

    @classmethod
    def recognises(cls, path: Path) -> int:
        card = path / "README.md"
        described = card.is_file() and "dataset_info:" in card.read_text(encoding="utf-8", errors="replace")[:10_000]
        saved = any((path / name).is_file() for name in _SHOWN_BY)
        return 3 * (described or saved)

    def keep_in(self, folder: Path) -> Self:
        kept = self.model_copy()
        kept._inner, kept._folder = Once(travels=True), Once(travels=True)
        kept._folder.get(lambda: folder)
        return kept

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool; lists the files, and reads the card and all footers.

        Raises:
            RecipeError: there is no such dataset, config, split or column, or configs differ in their columns.
            InputError: no file can be read.
        """
        return self._pool().arrow_schema()

    def parts(self) -> list[Part]:
        return self._pool().parts()

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        return self._pool().read(part, columns, batch_rows)

    def remarks(self) -> list[str]:
        return [*self._repository().remarks, *self._pool().remarks()]

    def class_names(self) -> Mapping[str, Collection[str]]:
        return self._pool().class_names()

    def image_root(self) -> ImageRoot:
        return self._pool().image_root()

    def known_images(self) -> bool:
        return self._pool().known_images()

    def _repository(self) -> Repository:
        with reaching(self.path):
            return self._found.get(lambda: open_repository(self.path, self.configs, self.splits))

    def _pool(self) -> Pool:
        """Return the pool of the data files."""
        return self._inner.get(self._open)

    def _open(self) -> Pool:
        found = self._repository()
        if found.kind == TARS:
            return self._tars(found)
        if found.kind != IMAGES:
            return self._rows(found, [name for one in found.splits for name in one.files])
        metadata = [name for one in found.splits for name in one.files if base_name(name) in METADATA]
        return self._rows(found, metadata) if metadata else self._pictures(found)

    def _tars(self, found: Repository) -> Pool:
        origin = FileOrigin(found.root, found.labels, found.features.classes)
        samples = WebDatasetPool(
            path=tuple(origin.labels),
            image=self.image or "",
            uid=self.uid,
            columns=self.columns,
            keep=None if self.keep is None else [name for name in self.keep if name not in ("config", "split")],
            types=self.types,
            outside=self.outside,
        )
        folder = self._folder.get(lambda: None)
        return RepositoryTars.of(samples if folder is None else samples.keep_in(folder), self.keep, origin)

    def _pictures(self, found: Repository) -> Pool:
        given = {"image": self.image, "columns": self.columns, "uid": self.uid, "types": self.types}
        for name, value in given.items():
            if value:
                raise RecipeError(f"{self.path}: image files without metadata have no columns; leave out '{name}'")
        return RepositoryPictures.of(found)

    def _rows(self, found: Repository, names: Sequence[str]) -> Pool:
        """Return the pool of files with rows: data, or metadata of image files."""
        files = [join(found.root, name) for name in names]
        columns, images, is_metadata = dict(self.columns), self.images, found.kind == IMAGES
        if is_metadata:
            columns.setdefault(IMAGE_PATH, f"{self.image}_{FILE_NAME}" if self.image else FILE_NAME)
            images = found.root
        delimiter = found.options.get("delimiter", found.options.get("sep"))
        kind = suffix(files[0]) if is_metadata else found.kind
        _check_lines(files[0], kind)
        pool = RepositoryRows(
            path=tuple(files),
            format=kind,
            columns=columns,
            keep=self.keep,
            uid=self.uid,
            types=self.types,
            images=images,
            picture=None if is_metadata or IMAGE in columns else self.image,
            delimiter=delimiter if kind in ("csv", "tsv") else None,
            outside=self.outside,
        )
        return pool.of(FileOrigin(found.root, found.labels, found.features.classes, found.features.images))


def _check_lines(file: str, kind: str) -> None:
    """Check that a file called .json holds lines of JSON.

    Raises:
        RecipeError: it holds one array.
    """
    if kind != "jsonl" or suffix(file) != "json":
        return
    with open_text(file) as lines:
        if lines.read(1_024).lstrip().startswith(b"["):
            raise RecipeError(f"{file}: holds one array of JSON; save it as lines, an object in each (JSON Lines)")
