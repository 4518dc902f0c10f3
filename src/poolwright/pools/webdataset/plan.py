"""Plan how a `webdataset` pool is read: names and types of columns, from the first samples of every tar."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_ERROR, ROW_ERROR, SHA256, TEXT, UID, WELL_KNOWN
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.wording import some
from poolwright.pools.columns.mapping import ColumnRequest, Given
from poolwright.pools.columns.path_columns import FolderColumns
from poolwright.pools.columns.shards import renamed
from poolwright.pools.img2dataset_digests import REMARK, SOURCE_SHA256
from poolwright.pools.readers.paths import (
    DAMAGE,
    Unreadable,
    damage_of,
    map_files,
    raise_if_unreachable,
)
from poolwright.pools.readers.tar_members import TarMember, TarScan, key_of, open_tar
from poolwright.pools.text.json_lines import BadLine, load_line
from poolwright.pools.text.text_plan import TextLayout, object_columns
from poolwright.pools.webdataset.samples import KEY, Place, Wanted, document_of, image_problem, kind_of
from poolwright.pools.webdataset.tars import expand_braces

TAR_KEY = "tar/key"
"""Instead of a column of uids: the name of the tar before the key."""

IMAGES = (IMAGE, IMAGE_ERROR)

_MEMBERS = 20_000  # looked at in all tars together
_LEAST_MEMBERS = 16
_MOST_EXTENSIONS = 64


@dataclass(frozen=True)
class SamplePlan:
    """All that reading needs besides a part.

    Attributes:
        given: columns of the values of samples.
        layout: types of the values of samples.
        folders: columns from the paths of tars.
        images: those of the columns of images that the recipe keeps.
        wanted: what is read of every sample.
        documents: names of values that are in the JSON of samples.
        remarks: what users should know of.
    """

    given: tuple[Given, ...]
    layout: TextLayout
    folders: tuple[pa.Field, ...]
    images: tuple[str, ...]
    wanted: Wanted
    documents: frozenset[str]
    remarks: tuple[str, ...]

    def fields(self) -> list[pa.Field]:
        """Return the fields of all columns."""
        values = [given.field for given in self.given]
        images = [pa.field(name, WELL_KNOWN[name].type) for name in self.images]
        return [*values, *images, *self.folders, pa.field(ROW_ERROR, pa.string())]


@dataclass
class Head:
    """The first samples of a tar.

    Attributes:
        documents, values: of each sample, from its JSON and from other files.
        keys: of the samples.
        extensions: samples that have a file, by extension.
        other_bytes: whether a picture has another digest than its JSON says; None if that is not known.
        damage: why the tar cannot be read; '' if it can.
    """

    documents: list[dict[str, Any]] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    extensions: Counter[str] = field(default_factory=Counter)
    other_bytes: bool | None = None
    damage: str = ""


def read_heads(tars: Sequence[str], wanted: Wanted) -> list[Head]:
    """Read the first samples of tars.

    Raises:
        InputError: no tar can be read.
    """
    most = max(_LEAST_MEMBERS, _MEMBERS // len(tars))
    heads = map_files(lambda tar: _read_head(tar, most, wanted), tars, tars[0])
    if all(head.damage and not head.keys for head in heads):
        raise InputError(f"{tars[0]}: {heads[0].damage}; no tar of the pool can be read")
    return heads


def _read_head(tar: str, most: int, wanted: Wanted) -> Head:
    head = Head()
    try:
        with open_tar(tar) as file:
            samples: dict[str, dict[str, Place]] = {}
            for key, extension, member in _files(islice(TarScan(tar, file), most), wanted.last):
                samples.setdefault(key, {}).setdefault(extension, (member.offset, member.size))
            for key, files in samples.items():

                def read(extension: str, files: Mapping[str, Place] = files) -> bytes:
                    file.seek(files[extension][0])
                    return file.read(files[extension][1])

                _look_at(head, key, files, read, wanted)
    except Unreadable as error:
        head.damage = error.reason
    except DAMAGE as error:
        raise_if_unreachable(error, tar)
        head.damage = f"cannot be read: {damage_of(error)}"
    return head


def _files(members: Iterator[TarMember], last: bool) -> Iterator[tuple[str, str, TarMember]]:
    for member in members:
        key, extension = key_of(member.name, last)
        if extension:
            yield key, extension, member


def _look_at(head: Head, key: str, files: Mapping[str, Place], read: Any, wanted: Wanted) -> None:
    head.keys.add(key)
    head.extensions.update(list(files))
    try:
        document = load_line(document_of(files, read))
    except BadLine:
        document = {}
    head.documents.append(document)
    head.values.append(wanted.values(files, read)[0])
    pictures = wanted.pictures(files)
    has_digest = head.other_bytes is None and isinstance(document.get(SHA256), str)
    if has_digest and pictures and image_problem(files[pictures[0]]) is None:
        head.other_bytes = hashlib.sha256(read(pictures[0])).hexdigest() != document[SHA256].lower()


@dataclass(frozen=True)
class SampleRequest:
    """What a recipe asks for: the parameters of the pool that columns depend on."""

    wanted: Wanted
    uid: str | None
    columns: Mapping[str, str]
    keep: Sequence[str] | None
    types: Mapping[str, pa.DataType]
    pattern: str | None


def plan_samples(paths: Sequence[str], tars: Sequence[str], heads: Sequence[Head], asked: SampleRequest) -> SamplePlan:
    """Return the columns of a pool, and how to read them.

    Raises:
        RecipeError: a column is missing, or cannot be what its name says.
    """
    documents = {name for head in heads for document in head.documents for name in document}
    extensions: Counter[str] = sum((head.extensions for head in heads), Counter())
    _check_extensions(tars[0], extensions, asked.wanted)
    shadowed = frozenset(name for name in documents & set(extensions) if asked.wanted.gives_value(name))
    wanted = replace(asked.wanted, shadowed=shadowed)
    rows = [
        {KEY: "", **{name: value for name, value in values.items() if name not in shadowed}, **document}
        for head in heads
        for document, values in zip(head.documents, head.values, strict=True)
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    reencoded = SOURCE_SHA256 not in names and any(head.other_bytes for head in heads)
    folders = FolderColumns.of([one for path in paths for one in expand_braces(path)], tars, asked.pattern)
    request = ColumnRequest(
        columns=_renames(names, reencoded) | dict(asked.columns),
        uid=_uid(names, asked),
        keep=asked.keep,
        vectors={},
        sidecars=IMAGES,
        folders=folders.names,
    )
    first = next(tar for tar, head in zip(tars, heads, strict=True) if head.keys or not head.damage)
    given, layout = object_columns(first, rows or [{KEY: ""}], request, asked.types)
    given = [column for column in given if column.field.name != KEY]
    images = tuple(name for name in IMAGES if asked.keep is None or name in (*asked.keep, *_needed(asked.keep)))
    return SamplePlan(
        given=tuple(given),
        layout=layout,
        folders=folders.kept([*(column.field.name for column in given), *images], asked.keep),
        images=images,
        wanted=wanted,
        documents=frozenset(documents) | (set(asked.types) - set(extensions)),
        remarks=tuple(_remarks(extensions, wanted, reencoded)),
    )


def _check_extensions(tar: str, extensions: Collection[str], wanted: Wanted) -> None:
    if len(extensions) > _MOST_EXTENSIONS and not wanted.last:
        shown = some([f"'.{extension}'" for extension in sorted(extensions)], 3)
        raise RecipeError(
            f"{tar}: keys end at the first dot, and the files of the first samples then have {len(extensions):,} "
            f"extensions: {shown}; if keys have dots, end them at the last one with 'dot: last'"
        )


def _needed(keep: Collection[str]) -> tuple[str, ...]:
    return (IMAGE_ERROR,) if IMAGE in keep else ()


def _renames(names: Sequence[str], reencoded: bool) -> dict[str, str]:
    text = next((name for name in ("txt", "caption") if name in names), "txt")
    return renamed(names, {TEXT: text, "key": KEY}) | ({SOURCE_SHA256: SHA256} if reencoded else {})


def _uid(names: Sequence[str], asked: SampleRequest) -> str:
    if asked.uid is None:
        return UID if UID in names or UID in asked.columns else KEY
    return KEY if asked.uid == TAR_KEY or (asked.uid == "key" and "key" not in names) else asked.uid


def has_tar_in_uid(asked: str | None, plan: SamplePlan, heads: Sequence[Head]) -> bool:
    """Whether uids have the name of the tar before the key: two tars have one key, or the recipe says so."""
    if not any(given.field.name == UID and given.source == KEY for given in plan.given):
        return False
    keys = [head.keys for head in heads]
    return asked == TAR_KEY or (asked is None and len(set().union(*keys)) < sum(map(len, keys)))


def _remarks(extensions: Mapping[str, int], wanted: Wanted, reencoded: bool) -> Iterator[str]:
    others = [f".{name}" for name in sorted(extensions) if not wanted.is_read(name)]
    if others:
        dots = any(kind_of(name.rpartition(".")[2]) == "image" for name in extensions if "." in name)
        yield f"files {some(others)} of samples are not read" + (
            "; if keys have dots, 'dot: last' ends them at the last one" if dots and not wanted.last else ""
        )
    if wanted.shadowed:
        shown = some([f".{name}" for name in sorted(wanted.shadowed)])
        yield f"files {shown} of samples are not read, since their JSON has values of these names"
    if not any(name == wanted.image or (not wanted.image and kind_of(name) == "image") for name in extensions):
        yield "the first samples have no image; 'image' names the extension of the picture, such as 'image: rgb.png'"
    if reencoded:
        yield REMARK
