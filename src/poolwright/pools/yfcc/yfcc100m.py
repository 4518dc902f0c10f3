"""Pool `yfcc100m`: metadata of YFCC100M as Yahoo released it, with its expansion packs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PrivateAttr, model_validator

from poolwright.core.columns import IMAGE, IMAGE_ERROR, IMAGE_PATH, ROW_ERROR, UID, URL, WELL_KNOWN
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.pool import Part, PathOrUrl, Pool
from poolwright.core.remote.schemes import is_url
from poolwright.pools.columns import image_paths
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.casting import table_of
from poolwright.pools.columns.image_paths import ImagePath
from poolwright.pools.readers.line_index_build import check_first_lines
from poolwright.pools.readers.paths import PathsOrUrls, find_files, reading, stem
from poolwright.pools.yfcc import companions as yfcc_companions
from poolwright.pools.yfcc import lines as yfcc_lines
from poolwright.pools.yfcc.companions import AUTOTAGS, EXIF, HASH, PLACES, Companions
from poolwright.pools.yfcc.database import cut_database, find_databases
from poolwright.pools.yfcc.line_files import SUFFIXES, check_lines, cut_lines, find_datasets, numbered_lines
from poolwright.pools.yfcc.zips import IMAGE_FIELDS, IMAGE_ROWS, ZipImages, find_zips, with_zips

_PHOTO = "photo_id"


class Yfcc100m(Pool):
    """Photos and videos of YFCC100M, one per line of `yfcc100m_dataset`, whole or in ten files, packed or not.

    Lines have 23 fields, or a line number before them, a hash after the photo id, or both. Text is URL-decoded, empty
    fields are null, and so is a value that does not fit its column, such as an impossible date. `uid` is the photo
    id. A malformed line is dropped at admission, with the uid '<file stem>:<line>', counted from 1.

    `taken_at` is the wall time of the camera read as UTC, since its zone is unknown; `taken` is its text.

    The package `yfcc100m` (https://pypi.org/project/yfcc100m/) keeps metadata in a SQLite database, read with
    `metadata:`, and images in up to 4,096 zip files named by the first three digits of the hash, read with `images:`
    and no `image_path`. They give `image`, read out of the zips only when a step asks for it, and `image_error`: an
    image that no zip has is a missing file, one in a damaged zip an unreadable file, and the zip is named.
    """

    kind: ClassVar[str] = "yfcc100m"
    example: ClassVar[str] = """\
flickr:
  read: yfcc100m
  path: data/yfcc100m_dataset-*.bz2
  places: data/yfcc100m_places.bz2
  images: data/images
  image_path: "{hash[0:3]}/{hash[3:6]}/{hash}.jpg\""""

    path: PathsOrUrls | None = Field(
        default=None,
        description="file, glob, folder (all its files called yfcc100m_dataset...), fsspec URL, or a list of these; "
        "packed files (.gz, .bz2, .xz, .zst) are unpacked each time they are read: unpacking them once saves time",
    )
    metadata: PathsOrUrls | None = Field(
        default=None,
        description="instead of 'path': the SQLite database that the package yfcc100m downloads as "
        "yfcc100m_dataset.sql, under any name",
    )
    keep: list[str] | None = Field(
        default=None, description="the only columns to give; 'uid' is always given; only these are decoded"
    )
    images: PathOrUrl | None = Field(
        default=None,
        description="folder or URL of the images; without 'image_path', the folder of zip files that the package "
        "yfcc100m wrote",
    )
    image_path: ImagePath | None = Field(
        default=None,
        description="image file of a row below 'images', such as '{photo_id}.jpg' or "
        "'{hash[0:3]}/{hash[3:6]}/{hash}.jpg'; names columns",
    )
    places: PathsOrUrls | None = Field(
        default=None, description="expansion pack yfcc100m_places: gives 'places' and 'country'"
    )
    autotags: PathsOrUrls | None = Field(default=None, description="expansion pack yfcc100m_autotags: gives 'autotags'")
    exif: PathsOrUrls | None = Field(default=None, description="expansion pack yfcc100m_exif: gives 'exif'")
    hashes: PathsOrUrls | None = Field(
        default=None, description="expansion pack yfcc100m_hash: gives 'hash' if lines have none"
    )
    index: PathOrUrl | None = Field(
        default=None,
        description="folder for the indexes of large files and expansion packs, made once; default: next to each file",
    )

    _files: Once[list[str]] = PrivateAttr(default_factory=Once)
    _packs: Once[dict[str, list[str]]] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _companions: Once[Companions] = PrivateAttr(default_factory=Once)
    _parts: Once[list[Part]] = PrivateAttr(default_factory=Once)
    _zips: Once[dict[str, tuple[str, ...]]] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _schema: Once[pa.Schema] = PrivateAttr(default_factory=lambda: Once(travels=True))

    @model_validator(mode="after")
    def _check_images(self) -> Yfcc100m:
        if self.image_path is not None and self.images is None:
            raise ValueError("'image_path' needs 'images', the folder or URL that it is relative to")
        if (self.path is None) == (self.metadata is None):
            raise ValueError("give 'path', the files of lines, or 'metadata', the SQLite database: one of the two")
        return self

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool; checks the first lines.

        Raises:
            RecipeError: a file is missing, a column in `keep` or `image_path` does not exist, or no line is valid.
        """
        return self._schema.get(self._make_schema)

    def parts(self) -> list[Part]:
        """Return ranges of about 32 MB of local files; one part, of unknown length, for each packed file and URL.

        Cutting a file means reading it once; the cuts of a large one are stored as its index is.
        """
        return list(self._parts.get(self._make_parts))

    def image_root(self) -> str | None:
        return None if self._found_zips() else self.images

    def known_images(self) -> bool:
        return IMAGE in self.arrow_schema().names

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        fields = [self.arrow_schema().field(name) for name in columns]
        needed = self._needed(columns)
        companions = self._companions_for(needed)
        batch_rows = min(batch_rows, IMAGE_ROWS) if self._in_zips and IMAGE in columns else batch_rows
        with reading(part), ZipImages(self._found_zips()) as images:
            for numbers, lines in numbered_lines(part, batch_rows, HASH in needed):
                found = self._columns(lines, needed, companions, (stem(part.files[0]), numbers))
                if self._in_zips and (IMAGE in columns or IMAGE_ERROR in columns):
                    found.update(images.of(found[HASH], found[URL]))
                yield table_of([found[name] for name in columns], fields, len(lines))

    @property
    def _in_zips(self) -> bool:
        return self.images is not None and self.image_path is None

    def _found_zips(self) -> dict[str, tuple[str, ...]]:
        return self._zips.get(lambda: find_zips(str(self.images)) if self._in_zips else {})

    def _columns(
        self, lines: pa.Array, needed: Sequence[str], companions: Companions | None, at: tuple[str, np.ndarray]
    ) -> dict[str, pa.Array]:
        """Make the columns of lines; `at` is the stem of their file and the number of each."""
        written = [name for name in needed if name in yfcc_lines.FIELDS]
        found, errors = yfcc_lines.parse(lines, written)
        if companions is not None:
            joined = companions.columns(found[_PHOTO], needed)
            if HASH in joined and HASH in found:
                joined[HASH] = pc.coalesce(found[HASH], joined[HASH])
            found.update(joined)
        found[UID], found[ROW_ERROR] = _uids(found[_PHOTO], errors, at), _located(errors, at[1])
        if self.image_path is not None and IMAGE_PATH in needed:
            found[IMAGE_PATH] = image_paths.fill(self.image_path, found, len(lines))
        return found

    def _needed(self, columns: Sequence[str]) -> list[str]:
        """Return the columns that are needed to make `columns`."""
        of_path = image_paths.columns(self.image_path) if self.image_path and IMAGE_PATH in columns else []
        by_hash = [HASH, URL] if self._in_zips and {IMAGE, IMAGE_ERROR} & set(columns) else []
        return list(dict.fromkeys([_PHOTO, *columns, *of_path, *by_hash]))

    def _companions_for(self, needed: Sequence[str]) -> Companions | None:
        given = {field.name for pack in self._found_packs() for field in yfcc_companions.FIELDS[pack]}
        return self._opened() if given & set(needed) else None

    def _opened(self) -> Companions:
        return self._companions.get(lambda: Companions.open(self._found_packs(), self.index))

    def _found_packs(self) -> dict[str, list[str]]:
        return self._packs.get(self._find_packs)

    def _find_packs(self) -> dict[str, list[str]]:
        named = {PLACES: self.places, AUTOTAGS: self.autotags, EXIF: self.exif, HASH: self.hashes}
        found = {pack: find_files(paths, SUFFIXES) for pack, paths in named.items() if paths is not None}
        for file in chain(*found.values()):
            if is_url(file) and self.index is None:
                raise RecipeError(f"{file}: is indexed before it is read; name a local folder with 'index: FOLDER'")
        return found

    def _listed(self) -> list[str]:
        return self._files.get(
            lambda: find_databases(self.metadata) if self.metadata else find_datasets(self.path or ())
        )

    def _make_schema(self) -> pa.Schema:
        fields = {UID: _known(UID), ROW_ERROR: _known(ROW_ERROR), **yfcc_lines.FIELDS}
        for pack, files in self._found_packs().items():
            fields.update((field.name, field) for field in yfcc_companions.FIELDS[pack])
            check_first_lines(files[0])
        files = self._listed()
        if not self.metadata:
            check_lines(files)
        if self._found_zips():
            fields.update((field.name, field) for field in IMAGE_FIELDS)
        if self.image_path is not None:
            self._check_image_path(fields)
            fields[IMAGE_PATH] = _known(IMAGE_PATH)
        if self.keep is None:
            return pa.schema(list(fields.values()))
        for name in self.keep:
            if name not in fields:
                where = (self.path or self.metadata or ("",))[0]
                raise RecipeError(f"{where}: 'keep' names '{name}', which does not exist; {_there(name, fields)}")
        keep = [UID, ROW_ERROR, *self.keep, *([IMAGE_ERROR] if IMAGE in self.keep else [])]
        return pa.schema([field for name, field in fields.items() if name in keep])

    def _check_image_path(self, fields: Mapping[str, pa.Field]) -> None:
        if self.images is not None and not is_url(self.images) and not os.path.isdir(self.images):
            raise RecipeError(f"{self.images}: no such folder of images")
        image_paths.check(str(self.image_path), {name: field.type for name, field in fields.items()})

    def _make_parts(self) -> list[Part]:
        packs = list(chain(*self._found_packs().values()))
        parts: list[Part] = []
        for file in self._listed():
            for name, some in cut_database(file) if self.metadata else cut_lines(file, self.index):
                parts.append(Part(index=len(parts), name=name, files=(file, *packs), **some))
        return with_zips(parts, self._found_zips()) if self.known_images() else parts


def _known(name: str) -> pa.Field:
    return pa.field(name, WELL_KNOWN[name].type)


def _there(name: str, fields: Collection[str]) -> str:
    return f"{did_you_mean(name, fields)} (there are: {', '.join(fields)})"


def _uids(photos: pa.Array, errors: pa.Array, at: tuple[str, np.ndarray]) -> pa.Array:
    """Return the photo ids; '<file stem>:<line>' for bad lines."""
    uids = photos.cast(pa.string())
    if errors.null_count == len(errors):
        return uids
    return pc.coalesce(uids, _joined(at[0], ":", pa.array(at[1]).cast(pa.string())))


def _located(errors: pa.Array, numbers: np.ndarray) -> pa.Array:
    """Append the number of the line to the errors."""
    if errors.null_count == len(errors):
        return errors
    return _joined(errors, "; line ", pa.array(numbers).cast(pa.string()))


def _joined(*pieces: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*pieces, "")
