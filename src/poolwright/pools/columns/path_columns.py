"""Make columns, and the ids of numbered rows, from the paths of the files of a pool."""

from __future__ import annotations

import glob
import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa

from poolwright.core.columns import WELL_KNOWN
from poolwright.core.errors import RecipeError
from poolwright.pools.columns.casting import as_given
from poolwright.pools.columns.path_pattern import Pattern
from poolwright.pools.readers.paths import base_name, stem

FILE_NAME = "file_name"
"""Column of the image file in files of metadata that Hugging Face's ImageFolder reads."""

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def folder_names(folders: Sequence[str]) -> dict[str, str]:
    """Return folders by what their paths differ in: {'train': '/data/train', 'val': '/data/val'}.

    Raises:
        RecipeError: a folder is named twice, or holds another.
    """
    paths = [[part for part in folder.split("/") if not part.endswith(":")] for folder in folders]
    common = next(
        (at for at, parts in enumerate(zip(*paths, strict=False)) if len(set(parts)) > 1), len(min(paths, key=len))
    )
    found = {"/".join(filter(None, path[common:])): folder for path, folder in zip(paths, folders, strict=True)}
    for name, folder in found.items():
        inner = next(
            (one for other, one in found.items() if one != folder and f"{other}/".startswith(f"{name}/")), None
        )
        if not name or inner or len(found) < len(folders):
            raise RecipeError(f"{folder}: is named twice, or holds another folder of 'path'; name each folder once")
    return found


def root_of(paths: Sequence[str], files: Sequence[str]) -> str:
    """Return the folder that the paths of files are relative to: the one that a recipe names, or their common one."""
    (path, *others) = paths
    if not others and path not in files:
        return path if not glob.has_magic(path) else glob_root(path)
    folders = {posixpath.dirname(file) for file in files}
    return posixpath.commonpath(folders) if len({folder.startswith("/") for folder in folders}) == 1 else ""


def glob_root(path: str) -> str:
    """Return the folder of a glob that has no sign of a pattern."""
    parts = path.split("/")
    return "/".join(parts[: next(at for at, part in enumerate(parts) if glob.has_magic(part))]) or "/"


def row_prefixes(files: Sequence[str]) -> list[str]:
    """Return what the uids of numbered rows begin with: the stem of the file, or its path if two stems are alike."""
    stems = [stem(file) for file in files]
    if len(set(stems)) == len(stems):
        return stems
    folder = posixpath.commonpath([posixpath.dirname(file) or "." for file in files])
    below = [posixpath.relpath(posixpath.dirname(file) or ".", folder) for file in files]
    found = [posixpath.normpath(posixpath.join(path, name)) for path, name in zip(below, stems, strict=True)]
    twice = [name for name, times in Counter(found).items() if times > 1]
    if twice:
        one, other, *_ = (file for file, name in zip(files, found, strict=True) if name == twice[0])
        raise RecipeError(f"{one} and {other} have one stem, so 'uid: row' would number two rows alike; rename one")
    return found


@dataclass(frozen=True)
class FolderColumns:
    """Columns from the paths of files.

    Attributes:
        fields: of the columns.
        texts: by file, the values as texts.
        named: whether a pattern of the recipe names them; otherwise folders called 'name=value' do.
    """

    fields: tuple[pa.Field, ...]
    texts: Mapping[str, Mapping[str, str | None]]
    named: bool

    @classmethod
    def of(cls, paths: Sequence[str], files: Sequence[str], pattern: str | None) -> FolderColumns:
        """Find the columns.

        Raises:
            RecipeError: the pattern does not match a file.
        """
        root, parsed = root_of(paths, files), None if pattern is None else Pattern.parse(pattern)
        texts: dict[str, Mapping[str, str | None]] = {}
        for file in files:
            path = _relative(file, root)
            texts[file] = _hive(path) if parsed is None else _matched(parsed, file, path)
        names = list(dict.fromkeys(name for found in texts.values() for name in found))
        fields = [pa.field(name, _type(name, [found.get(name) for found in texts.values()])) for name in names]
        return cls(tuple(fields), texts, parsed is not None)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [field.name for field in self.fields]

    def kept(self, taken: Collection[str], keep: Collection[str] | None) -> tuple[pa.Field, ...]:
        """Return the columns that a recipe keeps; folders give no column that the files have.

        Raises:
            RecipeError: the pattern names a column that the files have.
        """
        both = [name for name in self.names if name in taken]
        if both and self.named:
            raise RecipeError(f"the files have a column '{both[0]}' already; give that field of 'pattern' another name")
        wanted = set(self.names) - set(both)
        return tuple(field for field in self.fields if field.name in wanted and (keep is None or field.name in keep))


def _relative(file: str, root: str) -> str:
    inside = root and file.startswith(f"{root.rstrip('/')}/")
    return file[len(root) :].lstrip("/") if inside else file if not root else base_name(file)


def below(file: str, root: str) -> str:
    """Return the folder, relative to `root`, that 'file_name' in a file is relative to; '' for `root` itself.

    Hugging Face's ImageFolder has it relative to the file of metadata.
    """
    return posixpath.dirname(_relative(file, root)) if stem(file) == "metadata" else ""


def path_details(
    files: Sequence[str], root: str, texts: Mapping[str, Mapping[str, str | None]], numbered: bool
) -> Iterator[dict[str, object]]:
    """Yield what the rows of each file have from its path, as the details of a part.

    Args:
        root: folder that the paths are relative to.
        texts: values of columns from the path, by file; empty if there are none.
        numbered: whether the uids of rows are their numbers.
    """
    prefixes = row_prefixes(files) if numbered else map(stem, files)
    for file, prefix in zip(files, prefixes, strict=True):
        found: dict[str, object] = {"folders": texts[file]} if texts else {}
        if prefix != stem(file):
            found["prefix"] = prefix
        if folder := below(file, root):
            found["below"] = folder
        yield found


def _matched(pattern: Pattern, file: str, path: str) -> Mapping[str, str | None]:
    values = pattern.fields(posixpath.join(posixpath.dirname(path), stem(path)))
    if values is None:
        raise RecipeError(f"{file}: the pattern '{pattern.text}' does not match; write '*' and '**' for what varies")
    return dict(zip(pattern.names, values, strict=True))


def _hive(path: str) -> Mapping[str, str | None]:
    pairs = [part.split("=", 1) for part in posixpath.dirname(path).split("/") if "=" in part]
    return {unquote(name): None if value == _NO_VALUE else unquote(value) for name, value in pairs if name}


def _type(name: str, texts: Sequence[str | None]) -> pa.DataType:
    if name in WELL_KNOWN:
        return WELL_KNOWN[name].type
    from poolwright.pools.text.inference import Inference

    seen = Inference()
    seen.see_texts(text for text in texts if text is not None)
    return seen.type() if pa.types.is_int64(seen.type()) else pa.string()


def folder_values(field: pa.Field, text: str | None, rows: int) -> pa.Array:
    """Return the value of a column of `folder_columns` for `rows` rows of a file."""
    (value,) = as_given(pa.array([text], pa.string()), field.name, field.type)
    return pa.repeat(value, rows)
