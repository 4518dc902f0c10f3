"""Map the columns of a source to the columns of a pool."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.class_labels import class_labels, named_type, names_of_labels
from poolwright.core.columns import IMAGE, IMAGE_PATH, UID, WELL_KNOWN, vector_model, wider_type, with_classes
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.rows import cast_or_null, one_array
from poolwright.core.wording import some
from poolwright.pools.columns import vectors
from poolwright.pools.columns.casting import as_given, check_values, given_type, plain, plain_type
from poolwright.pools.columns.vectors import MadeBy
from poolwright.pools.values.images import images_of_structs

ROW = "row"
"""Instead of a column of uids: number the rows."""

UNNAMED = "unnamed"
"""Name of a column without one."""

TWO_POOLS = "read the files as two pools, and unite these in a table with 'from: [ONE, OTHER]'"
"""What to do with files whose columns differ."""

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class ColumnRequest:
    """The columns that a recipe asks for.

    Attributes:
        columns: source column by given name.
        uid: source column of the uid, `ROW`, or None for the one that `columns` or the source calls 'uid'.
        keep: given columns to keep; None for all.
        vectors: encoder by given vector column of the source.
        sidecars: names of columns that do not come from the source, whatever columns it has: vectors from files next
            to it, and those that are made of other columns.
        folders: names of columns that come from the paths of files.
        also: given columns that are read besides those to keep, if there are such: others are made of them.
        numbered: whether rows are numbered if no column is called 'uid'.
        classes: names of classes by source column, which replace those of the source.
        without: source columns that are not given, unless they are mapped.
    """

    columns: Mapping[str, str]
    uid: str | None
    keep: Sequence[str] | None
    vectors: Mapping[str, MadeBy]
    sidecars: Sequence[str]
    folders: Sequence[str] = ()
    also: Sequence[str] = ()
    numbered: bool = False
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: Sequence[str] = ()


@dataclass(frozen=True)
class Given:
    """One column of a pool.

    Attributes:
        field: its name, type and metadata.
        source: source column; None for row numbers.
        how: 'value' of the source column; 'bytes' or 'path' of a struct as Hugging Face writes images;
            'vector' of a list; 'class' name of an index, or names of a list of them; 'row' number.
        classes: the names, for 'class'.
        drift: what to say if its type differs between files; '' if it does not.
    """

    field: pa.Field
    source: str | None
    how: Literal["value", "bytes", "path", "vector", "class", "row"]
    classes: tuple[str, ...] = ()
    drift: str = ""

    def values(self, column: pa.ChunkedArray, root: str = "") -> pa.Array:
        """Make the column from its source column.

        Args:
            column: the source column.
            root: folder of the files that a struct of an image names; empty if they are not read.
        """
        array = one_array(column)
        if self.how == "bytes" and root:
            return as_given(images_of_structs(array, root), self.field.name, self.field.type)
        if self.how in ("bytes", "path"):
            array = array.flatten()[array.type.get_field_index(self.how)]
        if pa.types.is_null(array.type):
            return pa.nulls(len(array), self.field.type)
        if self.how == "vector":
            return vectors.vectors_of_lists(plain(array), self.field.type.list_size)
        if self.how == "class":
            return _named(plain(array), self.classes)
        return as_given(array, self.field.name, self.field.type)


def sources_of(names: Sequence[str], wanted: ColumnRequest, where: str) -> dict[str, str | None]:
    """Return the source column by given name, `uid` first, then in source order; None for numbered rows.

    A source column whose name is given to another one is left out, unless it is mapped itself. One without a name, such
    as the index that pandas writes to CSV, is called `unnamed`.

    Raises:
        RecipeError: the recipe names a column that does not exist, or there is no uid.
    """
    called = [name or ("" if "" in wanted.columns.values() else UNNAMED) for name in names]
    twice = {name for name in called if called.count(name) > 1} if len(set(called)) < len(names) else set()
    if twice:
        raise RecipeError(f"{where}: two columns are called '{min(twice)}'; rename one of them")
    for given, source in wanted.columns.items():
        if source not in names:
            raise RecipeError(f"{where}: no column '{source}' for '{given}'; {_there(source, names)}")
    by_source: dict[str, list[str]] = {}
    for given, source in wanted.columns.items():
        by_source.setdefault(source, []).append(given)
    found: dict[str, str | None] = {UID: _uid_source(names, wanted, where)}
    for name in names:
        if name in by_source:
            found.update((given, name) for given in by_source[name] if given != UID)
        elif name not in (*wanted.columns, UID, *wanted.sidecars, *wanted.without) and not _PANDAS_INDEX.fullmatch(
            name
        ):
            found[name or UNNAMED] = name
    return found


def _uid_source(names: Sequence[str], wanted: ColumnRequest, where: str) -> str | None:
    if wanted.uid == ROW:
        return None
    source = wanted.uid or wanted.columns.get(UID) or (UID if UID in names else None)
    if source is None and wanted.numbered:
        return None
    if source is None:
        raise RecipeError(
            f"{where}: no column 'uid'; name one with 'uid: COLUMN', or number the rows with 'uid: row' "
            f"(there are: {some(names, 30)})"
        )
    if source not in names:
        raise RecipeError(f"{where}: no column '{source}' for the uid; {_there(source, names)}")
    return source


def _there(name: str, names: Sequence[str]) -> str:
    return f"{did_you_mean(name, names)} (there are: {some(names, 30)})"


def row_uids(prefix: str, row: int, count: int) -> pa.Array:
    """Return the uids '<prefix>:<row>' of `count` rows from `row` on."""
    numbers = pa.array(range(row, row + count), pa.int64()).cast(pa.string())
    return pc.binary_join_element_wise(pa.scalar(prefix), numbers, pa.scalar(":"))


def map_columns(
    schema: pa.Schema, wanted: ColumnRequest, where: str, first: Callable[[list[str]], pa.Table]
) -> list[Given]:
    """Return the columns from a source of this schema; those from files next to it are not included.

    Args:
        schema: of the source.
        wanted: the columns that the recipe asks for.
        where: the source, for errors.
        first: reads the first rows of these source columns; one without any value may be left out.

    Raises:
        RecipeError: a column is missing, cannot be what its name says, or has no vectors.
    """
    sources = sources_of(schema.names, wanted, where)
    found: list[Given] = []
    for name, source in sources.items():
        if source is None:
            found.append(Given(pa.field(UID, WELL_KNOWN[UID].type), None, "row"))
        else:
            found += _given(name, schema.field(source), sources, where)
    classes = {**class_labels(schema), **wanted.classes}
    found = [_with_classes(given, schema, classes) for given in _only(found, wanted, where)]
    looked = {str(given.source) for given in found if _needs_look(given, schema, wanted)}
    rows = first(sorted(looked)) if looked else pa.table({})
    return [_looked_at(given, rows, wanted, schema, where) if given.source in looked else given for given in found]


def _given(name: str, field: pa.Field, sources: Mapping[str, str | None], where: str) -> list[Given]:
    if name == IMAGE and is_image_struct(field.type):
        found = [Given(pa.field(IMAGE, WELL_KNOWN[IMAGE].type), field.name, "bytes")]
        if field.type.get_field_index("path") >= 0 and IMAGE_PATH not in sources:
            found.append(Given(pa.field(IMAGE_PATH, WELL_KNOWN[IMAGE_PATH].type), field.name, "path"))
        return found
    dtype = given_type(name, field.type, f"{where}: column '{field.name}'")
    return [Given(pa.field(name, dtype), field.name, "value")]


def _with_classes(given: Given, schema: pa.Schema, classes: Mapping[str, tuple[str, ...]]) -> Given:
    """Return the column with the names of classes, unless it is to be an index."""
    names = classes.get(given.source or "")
    is_index = given.field.name in WELL_KNOWN and not pa.types.is_string(given.field.type)
    if not names or given.how != "value" or is_index or given.field.name == UID:
        return given
    kind = named_type(plain_type(schema.field(given.source).type)) or given.field.type
    return Given(with_classes(pa.field(given.field.name, kind), names), given.source, "class", names)


def _named(labels: pa.Array, classes: tuple[str, ...]) -> pa.Array:
    """Return the names of indices. A text is a name already, or the digits of an index."""
    if not pa.types.is_string(labels.type):
        return names_of_labels(labels, classes)
    known = pc.is_in(labels, value_set=pa.array(classes, pa.string()))
    named = names_of_labels(cast_or_null(labels, pa.int64()), classes)
    return pc.if_else(known, labels, pc.coalesce(named, labels))


def drifts(columns: Sequence[Given]) -> list[str]:
    """Return a sentence on every column whose type differs between the files of a pool."""
    return [column.drift for column in columns if column.drift]


def class_names(columns: Sequence[Given]) -> dict[str, tuple[str, ...]]:
    """Return the names of classes that the source declares, by column."""
    return {given.field.name: given.classes for given in columns if given.how == "class"}


def is_image_struct(dtype: pa.DataType) -> bool:
    """Whether a column of this type holds image files as `datasets` stores them: bytes, and perhaps a path."""
    if not pa.types.is_struct(dtype) or dtype.get_field_index("bytes") < 0:
        return False
    return plain_type(dtype.field(dtype.get_field_index("bytes")).type) in (pa.binary(), pa.string(), pa.null())


def _only(found: list[Given], wanted: ColumnRequest, where: str) -> list[Given]:
    names = [given.field.name for given in found]
    for name in wanted.vectors:
        if name not in names:
            raise RecipeError(f"{where}: no column '{name}' with vectors; {_there(name, names)}")
    if wanted.keep is None:
        return found
    for name in wanted.keep:
        if name not in (*names, *wanted.sidecars, *wanted.folders):
            raise RecipeError(f"{where}: 'keep' names '{name}', which does not exist; {_there(name, names)}")
    return [given for given in found if given.field.name in (UID, *wanted.keep, *wanted.also)]


def _needs_look(given: Given, schema: pa.Schema, wanted: ColumnRequest) -> bool:
    """Whether the types alone do not show what the column is."""
    if given.how != "value":
        return False
    name, dtype = given.field.name, schema.field(given.source).type
    source = plain_type(dtype)
    if name in WELL_KNOWN:
        return source != given.field.type and not pa.types.is_string(given.field.type)
    if isinstance(dtype, pa.FixedShapeTensorType) and len(dtype.shape) != 1:
        return False
    return name in wanted.vectors or vectors.is_list_of_floats(source)


def _looked_at(given: Given, rows: pa.Table, wanted: ColumnRequest, schema: pa.Schema, where: str) -> Given:
    """Return the column after a look at its first values: whether they fit the name, or are embeddings."""
    if given.how != "value":
        return given
    name, source = given.field.name, str(given.source)
    at = f"{where}: column '{source}'"
    values = plain(one_array(rows.column(source))) if source in rows.column_names else pa.array([])
    if name in WELL_KNOWN:
        check_values(values, name, at)
        return given
    is_list = vectors.is_list_of_floats(given.field.type) and len(values)
    width = vectors.width_of(values) if is_list else None
    if name in wanted.vectors and not width:
        raise RecipeError(f"{at}: is {given.field.type}, whose first rows are not vectors of one width")
    known = name in wanted.vectors or vector_model(schema.field(source)) is not None
    if not width or (not known and width < vectors.LEAST_WIDTH):
        return given
    field = vectors.field_of(name, width, wanted.vectors.get(name), schema.field(source))
    return replace(given, field=field, how="vector")


def check_same(
    given: Sequence[Given],
    first: tuple[pa.Schema, pa.Schema],
    other: pa.Schema,
    wanted: ColumnRequest,
    files: tuple[str, str],
) -> None:
    """Check that another file of a pool gives the same columns.

    Args:
        given: columns from the first file.
        first: schema of the first file, as it is and with the widest types of all files.
        other: schema of the other one.
        files: names of both.

    Raises:
        RecipeError: with both files and the column.
    """
    where = f"{files[0]} and {files[1]} differ"
    advice = f"; name the columns to 'keep', or {TWO_POOLS}"
    for column in given:
        if column.source is None:
            continue
        if other.get_field_index(column.source) < 0:
            raise RecipeError(f"{where}: the second has no column '{column.source}'{advice}")
        one, two = (schema.field(column.source).type for schema in (first[1], other))
        if not _alike(column, one, two, files[1]):
            one = first[0].field(column.source).type
            raise RecipeError(
                f"{where}: column '{column.source}' is {one} in the first and {two} in the second{advice}"
            )
    if wanted.keep is None:
        more = set(sources_of(other.names, wanted, files[1])) - {column.field.name for column in given} - {UID}
        if more:
            raise RecipeError(f"{where}: only the second has the column '{min(more)}'{advice}")


def check_classes(given: Sequence[Given], other: pa.Schema, wanted: ColumnRequest, files: tuple[str, str]) -> None:
    """Check that another file of a pool has the same names of classes, if it has any.

    Raises:
        RecipeError: with both files and the column.
    """
    known = {**class_labels(other), **wanted.classes}
    for column in given:
        if column.how == "class" and known.get(str(column.source), column.classes) != column.classes:
            raise RecipeError(
                f"{files[0]} and {files[1]} differ: the classes of '{column.source}' have other names in the second; "
                f"{TWO_POOLS}"
            )


def _alike(column: Given, one: pa.DataType, two: pa.DataType, where: str) -> bool:
    if one == two or pa.types.is_null(two):
        return True
    if column.how == "vector":
        two = plain_type(two)
        fixed = pa.types.is_fixed_size_list(two)
        return bool(vectors.is_list_of_floats(two) and (not fixed or two.list_size == column.field.type.list_size))
    if column.how in ("bytes", "path"):
        return is_image_struct(two)
    if column.how == "class":
        return bool(named_type(plain_type(two)) == column.field.type)
    if column.field.name not in WELL_KNOWN and wider_type(plain_type(one), plain_type(two)) == column.field.type:
        return True
    return bool(given_type(column.field.name, two, where) == column.field.type)
