"""Unites the rows of several pools and tables: one source after the other, with the columns of all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import (
    CLASS_INDEX,
    IMAGE,
    IMAGE_PATH,
    LABEL_INDEX,
    ROW_ERROR,
    UID,
    WELL_KNOWN,
    declared_type,
    described,
    is_vector,
    united_field,
)
from poolwright.core.errors import BadPart, RecipeError, did_you_mean
from poolwright.core.files import ImageRoot
from poolwright.core.pool import FOLLOWED, Part
from poolwright.core.rows import cast_or_null, one_array
from poolwright.core.wording import some
from poolwright.recipe.tables import UnionBody
from poolwright.run.sources.source import VIRTUAL, Piece, Source, with_image

_NUMBERS = (LABEL_INDEX, CLASS_INDEX)
"""Columns whose numbers mean what a source says: those of two sources are not the same classes."""


@dataclass(frozen=True)
class Member:
    """One source of a union.

    Attributes:
        name: its name in the recipe.
        source: its rows.
        first: index in the union of its first part.
        changed: columns with another type in the union.
        checked: those of them whose values may not fit, which is an error of the row.
    """

    name: str
    source: Source
    first: int
    changed: tuple[str, ...]
    checked: tuple[str, ...]


@dataclass(frozen=True)
class UnionSource(Source):
    """The rows of several sources, part by part; images are read from the source of the row.

    Attributes:
        members: the sources, in order.
        uid_prefix: whether uids begin with the name of their source.
        column: column with the name of the source; None if there is none.
        words: what to say of how the sources were united.
    """

    members: tuple[Member, ...] = ()
    uid_prefix: bool = False
    column: str | None = None
    words: tuple[str, ...] = ()

    def read_piece(self, piece: Piece, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        """Yield the rows of a piece in batches, with exactly `columns`.

        Raises:
            BadPart: the part cannot be read.
        """
        member = self._member(piece.part)
        wanted = dict.fromkeys([*columns, *(member.checked if ROW_ERROR in columns else ())])
        known = set(member.source.schema.names) - {self.column}
        stored = [name for name in wanted if name in known] or [UID]
        try:
            own = Piece(piece.part - member.first, piece.start, piece.stop)
            for table in member.source.read_piece(own, stored, batch_rows):
                yield self._united(member, table, columns)
        except BadPart as bad:
            raise BadPart(piece.part, self.parts[piece.part].name, bad.reason) from None

    def remarks(self) -> tuple[str, ...]:
        found = {
            remark if remark == FOLLOWED else f"{member.name}: {remark}": None
            for member in self.members
            for remark in member.source.remarks()
        }
        return (*self.words, *found)

    def class_names(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for member in self.members:
            for column, names in member.source.class_names().items():
                found.setdefault(column, set()).update(names)
        return found

    def pool_kinds(self) -> tuple[str, ...]:
        return tuple(kind for member in self.members for kind in member.source.pool_kinds())

    def rows_by_source(self, part_rows: Mapping[int, int]) -> dict[str, int]:
        ends = [*(member.first for member in self.members[1:]), len(self.parts)]
        return {
            member.source.name: sum(part_rows.get(part, 0) for part in range(member.first, end))
            for member, end in zip(self.members, ends, strict=True)
        }

    def _member(self, part: int) -> Member:
        return self.members[bisect_right([member.first for member in self.members], part) - 1]

    def _united(self, member: Member, table: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return rows of a source as rows of the union."""
        if not columns:
            return table.select([])
        fields = [self.schema.field(name) for name in columns]
        arrays = [self._column(member, table, field) for field in fields]
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def _column(self, member: Member, table: pa.Table, field: pa.Field) -> pa.Array:
        if field.name == self.column:
            return pa.repeat(pa.scalar(member.name, field.type), len(table))
        if field.name == ROW_ERROR:
            return _errors(member, table, self.schema)
        if field.name not in table.column_names:
            return pa.nulls(len(table), field.type)
        values = _cast(one_array(table.column(field.name)), field.type)
        prefixed = (field.name == UID and self.uid_prefix) or (field.name == IMAGE_PATH and self._is_rooted(member))
        return _prefixed(values, member.name) if prefixed else values

    def _is_rooted(self, member: Member) -> bool:
        return isinstance(self.image_root, Mapping) and self.image_root != member.source.image_root


def _prefixed(values: pa.Array, name: str) -> pa.Array:
    """Return 'NAME/VALUE'; what is null or empty stays so."""
    joined = pc.binary_join_element_wise(pa.scalar(name, values.type), values, pa.scalar("/", values.type))
    return pc.if_else(pc.equal(values, ""), values, joined)


def _cast(values: pa.Array, dtype: pa.DataType) -> pa.Array:
    if values.type == dtype:
        return values
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return cast_or_null(values, dtype)


def _errors(member: Member, table: pa.Table, schema: pa.Schema) -> pa.Array:
    """Return per row what is wrong with it in its source, or which value does not fit the column of the union."""
    names = table.column_names
    found = one_array(table.column(ROW_ERROR)) if ROW_ERROR in names else pa.nulls(len(table), pa.string())
    for name in member.checked:
        values = one_array(table.column(name))
        cast = _cast(values, schema.field(name).type)
        if cast.null_count > values.null_count:
            lost = pc.and_(values.is_valid(), cast.is_null())
            words = [
                f"{name}: {str(value)[:60]} is no {schema.field(name).type}" if wrong else None
                for value, wrong in zip(values.to_pylist(), lost.to_pylist(), strict=True)
            ]
            found = pc.coalesce(found, pa.array(words, pa.string()))
    return found


def union_source(union: UnionBody, sources: Mapping[str, Source]) -> UnionSource:
    """Make the source of the rows of several sources, by their names in the recipe.

    Raises:
        RecipeError: the sources cannot be united: a column has no common type, vectors are of several encoders, a
            declared column does not exist, or a source has a column of the name that is to say where rows come from.
    """
    columns, left_out = _columns_of(union, sources)
    virtual = all(IMAGE not in source.schema.names or source.virtual_image for source in sources.values())
    fields = [_united(union, name, found) for name, found in columns.items() if not (virtual and name in VIRTUAL)]
    changed = {name: _changed(source, fields) for name, source in sources.items()}
    checked = {name: _checked(source, changed[name], fields) for name, source in sources.items()}
    if any(checked.values()) and ROW_ERROR not in columns:
        fields.append(pa.field(ROW_ERROR, WELL_KNOWN[ROW_ERROR].type))
    if union.source is not None:
        fields.append(described(pa.field(union.source, pa.string()), "Pool or table that the row comes from"))
    schema, virtual_image = with_image(pa.schema(fields)) if virtual else (pa.schema(fields), False)
    members, parts = list[Member](), list[Part]()
    for name, source in sources.items():
        members.append(Member(name, source, len(parts), changed[name], checked[name]))
        parts += [part.model_copy(update={"name": f"{name}: {part.name}"}) for part in source.parts]
    return UnionSource(
        name=", ".join(source.name for source in sources.values()),
        schema=schema,
        parts=tuple(part.model_copy(update={"index": index}) for index, part in enumerate(parts)),
        image_root=_root(sources),
        unique=_unique(union, sources) and not any(checked.values()),
        virtual_image=virtual_image,
        part_units=all(source.part_units for source in sources.values()),
        members=tuple(members),
        uid_prefix=union.uid_prefix,
        column=union.source,
        words=(*_remarks(sources, columns, changed, schema), *left_out),
    )


Found = Mapping[str, pa.Field]
"""Field of a column by the name of its source."""


def _columns_of(union: UnionBody, sources: Mapping[str, Source]) -> tuple[dict[str, Found], list[str]]:
    """Return the columns that some source has, and what to say of those that are left out."""
    found: dict[str, dict[str, pa.Field]] = {}
    for name, source in sources.items():
        for field in source.schema:
            found.setdefault(field.name, {})[name] = field
    unknown = next((name for name in union.columns if name not in found), None)
    if unknown is not None:
        raise RecipeError(f"no source has the column '{unknown}' of 'columns'; {did_you_mean(unknown, found)}")
    if union.source in found:
        raise RecipeError(
            f"'{next(iter(found[union.source]))}' has a column '{union.source}' itself; name the one with the pool or "
            f"table of a row otherwise, as in {{union: [{', '.join(sources)}], source: origin}}, or leave it out with "
            "source: null"
        )
    words = []
    for name in _NUMBERS:
        if len(found.get(name, ())) > 1 and name not in union.columns:
            words.append(
                f"'{name}' is left out: a number may be one class in {some(list(found.pop(name)), 5)} each. Number the "
                f"names of the classes with 'renumber', or keep the numbers with columns: {{{name}: int32}}"
            )
    return dict(found), words


def _united(union: UnionBody, name: str, found: Found) -> pa.Field:
    if name in union.columns:
        return _declared(name, union.columns[name], found)
    try:
        return united_field(found)
    except RecipeError as error:
        vectors = all(is_vector(field.type) for field in found.values())
        advice = "leave it out of all but one" if vectors else f"declare its type, such as columns: {{{name}: string}}"
        raise RecipeError(f"{error}; {advice}") from None


def _declared(name: str, alias: str, found: Found) -> pa.Field:
    dtype = declared_type(name, alias)
    for source, field in found.items():
        try:
            _cast(pa.nulls(0, field.type), dtype)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise RecipeError(f"'{name}' is {field.type} in {source}, which cannot become {dtype}") from None
    return pa.field(name, dtype)


def _changed(source: Source, fields: Sequence[pa.Field]) -> tuple[str, ...]:
    own = source.schema
    return tuple(
        field.name
        for field in fields
        if field.name in own.names and own.field(field.name).type != field.type and field.name != ROW_ERROR
    )


def _checked(source: Source, changed: Sequence[str], fields: Sequence[pa.Field]) -> tuple[str, ...]:
    """Return the columns with values that may not fit the wider type, such as integers above 2^53 among doubles."""
    wanted = {field.name: field.type for field in fields}
    return tuple(name for name in changed if not _always_fits(source.schema.field(name).type, wanted[name]))


def _always_fits(one: pa.DataType, other: pa.DataType) -> bool:
    if pa.types.is_dictionary(one):
        one = one.value_type
    if pa.types.is_null(one) or one == other:
        return True
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    if all(any(kind(dtype) for kind in texts) for dtype in (one, other)):
        return bool(one != pa.binary() or other == pa.large_binary())
    if is_vector(one) and is_vector(other):
        return True
    if pa.types.is_floating(other):
        whole = pa.types.is_integer(one) and pa.types.is_float64(other) and one.bit_width <= 32
        return bool(pa.types.is_floating(one) or whole)
    signs = pa.types.is_unsigned_integer(one) or pa.types.is_signed_integer(other)
    return bool(pa.types.is_integer(one) and pa.types.is_integer(other) and one.bit_width < other.bit_width and signs)


def _root(sources: Mapping[str, Source]) -> ImageRoot:
    """Return what image paths are relative to: of each source, unless it is the same for all."""
    roots = {name: source.image_root for name, source in sources.items() if IMAGE_PATH in source.schema.names}
    if all(root == next(iter(roots.values())) for root in roots.values()):
        return next(iter(roots.values()), None)
    found: dict[str, str | None] = {}
    for name, root in roots.items():
        inner = {f"{name}/{below}": one for below, one in root.items()} if isinstance(root, Mapping) else {name: root}
        found |= inner
    return found


def _unique(union: UnionBody, sources: Mapping[str, Source]) -> bool:
    return all(source.unique for source in sources.values()) and (union.uid_prefix or len(sources) == 1)


def _remarks(
    sources: Mapping[str, Source],
    columns: Mapping[str, Found],
    changed: Mapping[str, Sequence[str]],
    schema: pa.Schema,
) -> list[str]:
    """Return a sentence per column that has another type than in a source, and per source that lacks columns."""
    words = []
    for name, found in columns.items():
        types = [f"{field.type} in {source}" for source, field in found.items() if name in changed[source]]
        if types:
            words.append(f"'{name}' is {schema.field(name).type}: {some(types, 5)}")
    stored = [name for name, one in sources.items() if IMAGE in one.schema.names and not one.virtual_image]
    copied = [name for name, one in sources.items() if one.virtual_image] if stored else []
    if copied:
        words.append(
            f"image files of {some(copied)} are copied into the table, as {some(stored)} has images in its rows"
        )
    silent = {*VIRTUAL, ROW_ERROR}
    for source, one in sources.items():
        missing = [f"'{name}'" for name in columns if name not in {*one.schema.names, *silent}]
        if missing:
            words.append(f"null in the rows of {source}, which has no such column: {some(missing, 12)}")
    return words
