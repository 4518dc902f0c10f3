"""Pool `image_folder`: image files in folders, with columns from their paths, captions and EXIF."""

from __future__ import annotations

import codecs
import os
import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field, PrivateAttr, field_validator, model_validator

from poolwright.core.columns import IMAGE, IMAGE_PATH, LABEL, LATITUDE, LONGITUDE, TAKEN_AT, TEXT, UID, WELL_KNOWN
from poolwright.core.errors import RecipeError
from poolwright.core.files import leading_out
from poolwright.core.images.formats import IMAGE_FORMATS, is_image_name
from poolwright.core.pool import Part, PathOrUrl, Pool
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.captions import DEFAULT_KEYS, CaptionFiles, caption_columns, caption_files
from poolwright.pools.columns.casting import as_given, given_type, table_of
from poolwright.pools.columns.path_pattern import Pattern
from poolwright.pools.readers.paths import file_system, files_below, is_url, join, reading
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
    """

    kind: ClassVar[str] = "image_folder"
    example: ClassVar[str] = (
        'photos: {read: image_folder, path: data, pattern: "{domain}/{class}/{name}", captions: txt}'
    )
    unique: ClassVar[bool] = True

    path: PathOrUrl = Field(
        description="folder, or fsspec URL of one; images at any depth, by the extensions of the formats that are read"
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
    encoding: str = Field(
        default="utf-8",
        description="encoding of caption files without a byte order mark, such as cp1252, latin-1 or shift_jis",
    )
    exif: bool = Field(
        default=False,
        description="give taken_at (UTC if EXIF names no offset), latitude and longitude from EXIF; null if it is "
        "absent or broken",
    )

    _listing: Once[tuple[list[Part], list[str]]] = PrivateAttr(default_factory=Once)

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, encoding: str) -> str:
        try:
            return codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"'{encoding}' is no encoding; use utf-8, cp1252, latin-1, utf-16 or shift_jis") from None

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
        self._look()
        return self._schema()

    def _schema(self) -> pa.Schema:
        return pa.schema([pa.field(name, self._type(name)) for name in self._names()])

    def _type(self, name: str) -> pa.DataType:
        if name in (TAKEN_AT, LATITUDE, LONGITUDE) and self.exif:
            return WELL_KNOWN[name].type
        return given_type(name, pa.string(), f"{self.path}: '{name}'")

    def _look(self) -> None:
        """Check that there is at least one image, without listing all."""
        if is_url(self.path):
            system, top = file_system(self.path)
            if not system.isdir(top):
                raise RecipeError(f"{self.path}: no such folder")
        elif not os.path.isdir(self.path):
            what = "is a file, not a folder" if os.path.exists(self.path) else "no such folder"
            raise RecipeError(f"{self.path}: {what}")
        if next(files_below(self.path, is_image_name), None) is None:
            raise RecipeError(f"{self.path}: no images here; looked for {', '.join(_shown())} at any depth")

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
        self._look()
        kinds, passed = self._caption_kinds(), Counter[str]()

        def wanted(name: str) -> bool:
            extension = _extension(name)
            is_wanted = is_image_name(name) or extension in kinds
            if not is_wanted:
                passed[f".{extension}" if extension else "without extension"] += 1
            return is_wanted

        found = list(files_below(self.path, wanted))
        images = self._matched(sorted(name for name in found if is_image_name(name)))
        captions: dict[str, list[str]] = {}
        beside = [name for name in found if not is_image_name(name)]
        out = self._leading_out(beside)
        for name in beside:
            if name not in out:
                captions.setdefault(_stem(name), []).append(name)
        starts = range(0, max(len(images), 1), PART_FILES)
        parts = [self._part(index, images[at : at + PART_FILES], captions) for index, at in enumerate(starts)]
        return parts, [*_passed_over(passed), *_led_out(out)]

    def _leading_out(self, names: Sequence[str]) -> set[str]:
        """Return those of the files that symbolic links lead out of the folder, and that are not to be read."""
        if self.outside or is_url(self.path):
            return set()
        files = dict(zip((join(self.path, name) for name in names), names, strict=True))
        return {files[file] for file in leading_out([self.path], files)}

    def _part(self, index: int, images: Sequence[str], captions: Mapping[str, Sequence[str]]) -> Part:
        caption_names = sorted({name for image in images for name in captions.get(_stem(image), ())})
        files = tuple(join(self.path, name) for name in (*images, *caption_names))
        name = f"{images[0]} .. {images[-1]}" if len(images) > 1 else "".join(images)
        return Part(index=index, name=name or self.path, files=files, rows=len(images))

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
                f"{self.path}: the pattern '{pattern.text}' does not match {len(others):,} of {len(images):,} images: "
                f"{shown}; change the pattern, or leave them out with 'unmatched: drop'"
            )
        return matched

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        schema = self._schema()
        fields = [schema.field(name) for name in columns]
        offset = len(join(self.path, ""))
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
            texts.update(caption_columns(self.path, images, captions, keys, self.json_keys, self.encoding))
        found = {name: pa.array(values, pa.string()) for name, values in texts.items()}
        if self.exif and wanted & {TAKEN_AT, LATITUDE, LONGITUDE}:
            found.update(exif_columns(self.path, images, self._leading_out(images)))
        return found

    def class_names(self) -> dict[str, set[str]]:
        pattern = self._pattern()
        names = [file[len(join(self.path, "")) :] for part in self.parts() for file in part.files[: part.rows]]
        rows = [pattern.fields(_stem(name)) or () for name in names] if pattern else []
        found = zip(pattern.names if pattern else (), map(set, zip(*rows, strict=True)), strict=False)
        return {column: values for column, values in found if column in _CLASSES}

    def image_root(self) -> str | None:
        return self.path


def _passed_over(kinds: Counter[str]) -> Iterator[str]:
    if kinds:
        shown = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(10))
        more = f" and {len(kinds) - 10:,} other kinds" if len(kinds) > 10 else ""
        yield f"{kinds.total():,} other files of the folder are not read: {shown}{more}"


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
