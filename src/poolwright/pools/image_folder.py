"""Pool `image_folder`: image files in folders, with columns from their paths, captions and EXIF."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PrivateAttr, field_serializer, model_validator

from poolwright.core.columns import IMAGE, IMAGE_PATH, LABEL, LATITUDE, LONGITUDE, TAKEN_AT, TEXT, UID, WELL_KNOWN
from poolwright.core.errors import RecipeError
from poolwright.core.files import ImageRoot, leading_out
from poolwright.core.images.formats import HAS_HEIF, HEIF_EXTENSIONS, IMAGE_FORMATS, is_image_name
from poolwright.core.params import Encoding
from poolwright.core.pool import Part, Pool
from poolwright.core.remote.listing import is_folder
from poolwright.core.remote.schemes import is_url
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.captions import DEFAULT_KEYS, CaptionFiles, caption_columns, caption_files
from poolwright.pools.columns.casting import as_given, given_type, table_of
from poolwright.pools.columns.path_columns import folder_names
from poolwright.pools.columns.path_pattern import Pattern
from poolwright.pools.readers.paths import PathsOrUrls, files_below, join, reading
from poolwright.pools.values.exif import exif_columns

PART_FILES = 512
_CLASSES = (LABEL, "class")
"""Fields of a pattern that name classes."""


class ImageFolder(Pool):
    """Images below a folder, one row per file.

    `uid` and `image_path` are the path relative to the folder, with '/' and the extension, so neither changes when
    files are added. Rows are in the order of these paths. Files and folders whose names begin with '.' are
    left out; linked folders are followed. Of files that links lead out of the folder, nothing is read unless the pool
    says `outside: true`: such images are dropped by the steps that read them, and have no caption and no EXIF.

    With several folders, `uid` and `image_path` begin with what tells the folder from the others, such as 'train/'; the
    rows of one folder follow those of another, and a pattern is matched against the path within the folder.
    """

    kind: ClassVar[str] = "image_folder"
    example: ClassVar[str] = (
        'photos: {read: image_folder, path: data, pattern: "{domain}/{class}/{name}", captions: txt}'
    )
    unique: ClassVar[bool] = True

    @classmethod
    def recognises(cls, path: Path) -> int:
        return int(path.is_dir() and next(files_below(str(path), is_image_name), None) is not None)

    path: PathsOrUrls = Field(
        description="folder, fsspec URL of one, or a list of these; images at any depth, by the extensions of the "
        "formats that are read"
    )
    pattern: str | None = Field(
        default=None,
        description="columns from the path, such as '{domain}/{class}/{name}', matched against the whole relative path "
        "without the extension; '{field}' contains no '/', '{rest}' may, '*' and '**' match what is not wanted",
    )
    unmatched: Literal["error", "drop"] = Field(
        default="error", description="files that the pattern does not match: stop before anything runs, or leave out"
    )
    captions: Literal["txt", "json", "auto"] | None = Field(
        default=None,
        description="give 'text' from a file of the same stem in the same folder: '.txt', '.json' (see text_key), or "
        "'auto': the '.txt' if there is one, else the '.json'; null if there is neither",
    )
    text_key: str | None = Field(
        default=None, description="key of the caption in the '.json' files; default: 'text', else 'caption'"
    )
    json_keys: dict[str, str] = Field(
        default_factory=dict,
        description="further columns from the '.json' files, as column: key; well-known columns get their types, "
        "all others are strings",
    )
    encoding: Encoding = Field(
        default="utf-8",
        description="encoding of caption files without a byte order mark, such as cp1252, latin-1 or shift_jis",
    )
    exif: bool = Field(
        default=False,
        description="give taken_at (UTC if EXIF names no offset), latitude and longitude from EXIF; null if it is "
        "absent or broken",
    )

    _listing: Once[tuple[list[Part], list[str]]] = PrivateAttr(default_factory=Once)
    _several: Once[dict[str, ImageFolder]] = PrivateAttr(default_factory=lambda: Once(travels=True))

    @field_serializer("path")
    def _one_or_several(self, path: tuple[str, ...]) -> str | tuple[str, ...]:
        return path if len(path) > 1 else path[0]

    @property
    def _folder(self) -> str:
        """The folder, if it is the only one."""
        return self.path[0]

    def _folders(self) -> dict[str, ImageFolder]:
        """Return a pool for each of several folders, by what their paths differ in; none if there is one folder."""
        return self._several.get(self._split) if len(self.path) > 1 else {}

    def _split(self) -> dict[str, ImageFolder]:
        names = folder_names(self.path)
        return {name: type(self)(**{**dict(self), "path": folder}) for name, folder in names.items()}

    @model_validator(mode="after")
    def _check(self) -> ImageFolder:
        names = self._names()
        twice = {name for name in names if names.count(name) > 1 or name == IMAGE}
        if twice:
            raise ValueError(f"the column '{min(twice)}' would be given twice; rename the field or the key")
        if self.json_keys and self.captions not in ("json", "auto"):
            raise ValueError("json_keys needs captions: json or captions: auto")
        if self.text_key and self.captions not in ("json", "auto"):
            raise ValueError("text_key needs captions: json or captions: auto")
        return self

    def _pattern(self) -> Pattern | None:
        return Pattern.parse(self.pattern) if self.pattern is not None else None

    def _names(self) -> list[str]:
        pattern = self._pattern()
        names = [UID, IMAGE_PATH, *(pattern.names if pattern else ())]
        names += [TEXT] if self.captions else []
        names += list(self.json_keys)
        return names + ([TAKEN_AT, LATITUDE, LONGITUDE] if self.exif else [])

    def arrow_schema(self) -> pa.Schema:
        for folder in self._folders().values() or (self,):
            folder._look()
        return self._schema()

    def _schema(self) -> pa.Schema:
        return pa.schema([pa.field(name, self._type(name)) for name in self._names()])

    def _type(self, name: str) -> pa.DataType:
        if name in (TAKEN_AT, LATITUDE, LONGITUDE) and self.exif:
            return WELL_KNOWN[name].type
        return given_type(name, pa.string(), f"{self._folder}: '{name}'")

    def _look(self) -> None:
        """Check that there is at least one image, without listing all."""
        if not is_folder(self._folder):
            what = "is a file, not a folder" if os.path.exists(self._folder) else "no such folder"
            raise RecipeError(f"{self._folder}: {what}")
        if next(files_below(self._folder, is_image_name), None) is None:
            raise RecipeError(f"{self._folder}: no images here; looked for {', '.join(_shown())} at any depth")

    def parts(self) -> list[Part]:
        """Return parts of `PART_FILES` images. The folder is listed once per pool object.

        Raises:
            RecipeError: no images, or the pattern does not match files and `unmatched` is 'error'.
            InputError: a folder cannot be listed, a link leads nowhere, a name is not UTF-8.
        """
        return list(self._listing.get(self._list)[0])

    def remarks(self) -> list[str]:
        return list(self._listing.get(self._list)[1])

    def _list(self) -> tuple[list[Part], list[str]]:
        """Return the parts, and what to say of files that are not read."""
        if folders := self._folders():
            return _of_all(folders)
        self._look()
        kinds, passed = self._caption_kinds(), Counter[str]()

        def wanted(name: str) -> bool:
            extension = _extension(name)
            is_wanted = is_image_name(name) or extension in kinds
            if not is_wanted:
                passed[f".{extension}" if extension else "without extension"] += 1
            return is_wanted

        found = list(files_below(self._folder, wanted))
        images = self._matched(sorted(name for name in found if is_image_name(name)))
        captions: dict[str, list[str]] = {}
        beside = [name for name in found if not is_image_name(name)]
        out = self._leading_out(beside)
        for name in beside:
            if name not in out:
                captions.setdefault(_stem(name), []).append(name)
        starts = range(0, max(len(images), 1), PART_FILES)
        parts = [self._part(index, images[at : at + PART_FILES], captions) for index, at in enumerate(starts)]
        return parts, [*passed_over(passed), *_led_out(out)]

    def _leading_out(self, names: Sequence[str]) -> set[str]:
        """Return those of the files that symbolic links lead out of the folder, and that are not to be read."""
        if self.outside or is_url(self._folder):
            return set()
        files = dict(zip((join(self._folder, name) for name in names), names, strict=True))
        return {files[file] for file in leading_out([self._folder], files)}

    def _part(self, index: int, images: Sequence[str], captions: Mapping[str, Sequence[str]]) -> Part:
        caption_names = sorted({name for image in images for name in captions.get(_stem(image), ())})
        files = tuple(join(self._folder, name) for name in (*images, *caption_names))
        name = f"{images[0]} .. {images[-1]}" if len(images) > 1 else "".join(images)
        return Part(index=index, name=name or self._folder, files=files, rows=len(images))

    def _caption_kinds(self) -> tuple[str, ...]:
        if self.captions == "txt":
            return ("txt",)
        if self.captions == "auto":
            return ("txt", "json")
        return ("json",) if self.captions else ()

    def _matched(self, images: list[str]) -> list[str]:
        pattern = self._pattern()
        if pattern is None:
            return images
        matched = [name for name in images if pattern.fields(_stem(name)) is not None]
        if len(matched) < len(images) and (self.unmatched == "error" or not matched):
            kept = set(matched)
            others = [name for name in images if name not in kept]
            shown = ", ".join(f"'{name}'" for name in others[:3]) + (", ..." if len(others) > 3 else "")
            raise RecipeError(
                f"{self._folder}: the pattern '{pattern.text}' does not match {len(others):,} of {len(images):,} "
                f"images: {shown}; change the pattern, or leave them out with 'unmatched: drop'"
            )
        return matched

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        schema = self._schema()
        fields = [schema.field(name) for name in columns]
        if folders := self._folders():
            name = part.detail["folder"]
            for table in folders[name].read(part, columns, batch_rows):
                yield _prefixed(table, f"{name}/")
            return
        offset = len(join(self._folder, ""))
        names = [file[offset:] for file in part.files]
        count = part.rows or 0
        captions = caption_files(names[count:])
        with reading(part):
            for at in range(0, count, batch_rows):
                images = names[at : min(at + batch_rows, count)]
                found = self._columns(images, captions, set(columns))
                arrays = [as_given(found[field.name], field.name, field.type) for field in fields]
                yield table_of(arrays, fields, len(images))

    def _columns(self, images: Sequence[str], captions: CaptionFiles, wanted: set[str]) -> dict[str, pa.Array]:
        """Return the wanted columns, and some that come with them, of images by their relative paths."""
        texts: dict[str, Sequence[str | None]] = {UID: images, IMAGE_PATH: images}
        pattern = self._pattern()
        if pattern and wanted.intersection(pattern.names):
            rows = [pattern.fields(_stem(image)) or () for image in images]
            texts.update(zip(pattern.names, zip(*rows, strict=True), strict=True))
        if (self.captions and TEXT in wanted) or wanted.intersection(self.json_keys):
            keys = (self.text_key,) if self.text_key else DEFAULT_KEYS
            texts.update(caption_columns(self._folder, images, captions, keys, self.json_keys, self.encoding))
        found = {name: pa.array(values, pa.string()) for name, values in texts.items()}
        if self.exif and wanted & {TAKEN_AT, LATITUDE, LONGITUDE}:
            found.update(exif_columns(self._folder, images, self._leading_out(images)))
        return found

    def class_names(self) -> dict[str, set[str]]:
        if folders := self._folders():
            each = [folder.class_names() for folder in folders.values()]
            return {column: set().union(*(names.get(column, ()) for names in each)) for column in each[0]}
        pattern = self._pattern()
        names = [file[len(join(self._folder, "")) :] for part in self.parts() for file in part.files[: part.rows]]
        rows = [pattern.fields(_stem(name)) or () for name in names] if pattern else []
        found = zip(pattern.names if pattern else (), map(set, zip(*rows, strict=True)), strict=False)
        return {column: values for column, values in found if column in _CLASSES}

    def image_root(self) -> ImageRoot:
        return {name: folder._folder for name, folder in self._folders().items()} or self._folder


def _of_all(folders: Mapping[str, ImageFolder]) -> tuple[list[Part], list[str]]:
    parts = [
        part.model_copy(update={"name": f"{name}: {part.name}", "detail": {"folder": name}})
        for name, folder in folders.items()
        for part in folder.parts()
    ]
    remarks = [f"{name}: {remark}" for name, folder in folders.items() for remark in folder.remarks()]
    return [part.model_copy(update={"index": index}) for index, part in enumerate(parts)], remarks


def _prefixed(table: pa.Table, prefix: str) -> pa.Table:
    """Return rows whose uids and image paths begin with the folder."""
    for at, name in enumerate(table.column_names):
        if name in (UID, IMAGE_PATH):
            values = pc.binary_join_element_wise(prefix, table.column(at), "")
            table = table.set_column(at, table.schema.field(at), values)
    return table


def passed_over(kinds: Counter[str]) -> Iterator[str]:
    """Yield a sentence on files that are not read, by ending; none if there are none."""
    if kinds:
        shown = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(10))
        more = f" and {len(kinds) - 10:,} other kinds" if len(kinds) > 10 else ""
        heif = not HAS_HEIF and any(kinds[f".{extension}"] for extension in HEIF_EXTENSIONS)
        hint = "; those of HEIF are after pip install 'poolwright[heif]'" if heif else ""
        yield f"{kinds.total():,} other files of the folder are not read: {shown}{more}{hint}"


def _led_out(names: Collection[str]) -> Iterator[str]:
    if names:
        yield (
            f"caption files not read, as links lead out of the folder: {len(names):,}, such as {min(names)}; "
            "see 'outside' of the pool"
        )


def _extension(name: str) -> str:
    return posixpath.splitext(name)[1][1:].lower()


def _shown() -> list[str]:
    return [extension for extensions in IMAGE_FORMATS.values() for extension in extensions]


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0]
