"""Pool `commonpool`: shards of DataComp's CommonPool, metadata and embeddings, as published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, PrivateAttr

from poolwright.core.columns import HEIGHT, UID, WIDTH
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.pool import Part, PathOrUrl, Pool
from poolwright.core.remote.listing import is_file
from poolwright.core.rows import one_array
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.mapping import ColumnRequest, class_names, drifts
from poolwright.pools.columns.shards import (
    Shard,
    find_arrays,
    find_numbered,
    read_shard,
    renamed,
    shard_parts,
    source_names,
)
from poolwright.pools.columns.sidecar_vectors import VectorFiles
from poolwright.pools.columns.table_plan import ReadPlan, parquet_columns
from poolwright.pools.columns.uid_pairs import Subset, UidArray, pairs_of_hex
from poolwright.pools.columns.vectors import MadeBy
from poolwright.pools.readers.numpy_files import read_headers
from poolwright.pools.readers.parquet import read_footer
from poolwright.pools.readers.paths import PathsOrUrls, Unreadable, base_name, map_files, reading

MODELS = {
    "b32_img": "ViT-B-32/openai",
    "b32_txt": "ViT-B-32/openai",
    "l14_img": "ViT-L-14/openai",
    "l14_txt": "ViT-L-14/openai",
}
"""Encoder by array: OpenAI's weights, by the names open_clip gives them."""

RENAMES = {WIDTH: "original_width", HEIGHT: "original_height"}

Array = Literal["b32_img", "b32_txt", "l14_img", "l14_txt"]


class CommonPool(Pool):
    """Shards of CommonPool or DataComp: `<shard>.parquet` and `<shard>.npz`, in the same row order.

    Gives the published columns, `original_width` and `original_height` as `width` and `height`, and the arrays
    `b32_img`, `b32_txt`, `l14_img` and `l14_txt` as vectors of unit length, with the encoder that made them. Only what
    steps need is read. A shard with more or fewer rows than vectors, or whose uids differ from an array `uid` in the
    `.npz`, is quarantined. Columns that a release does not have are left out.
    """

    kind: ClassVar[str] = "commonpool"
    example: ClassVar[str] = "pool: {read: commonpool, path: data/commonpool, vectors: [l14_img]}"

    path: PathsOrUrls = Field(
        description="folder (all .parquet files in it, at any depth), glob, .parquet file, fsspec URL, or a list of "
        "these; shard 2 comes before shard 10"
    )
    vectors: list[Array] | None = Field(
        default=None,
        description="the only arrays to give; empty for metadata without .npz; default: all of the first shard",
    )
    keep: list[str] | None = Field(
        default=None, description="the only columns to give, by the names they have in this pool; 'uid' is always given"
    )
    subset: PathOrUrl | None = Field(
        default=None,
        description="sorted .npy of uids as DataComp writes its subsets (dtype u8,u8); only these rows belong to "
        "the pool: others are neither read as rows nor counted as dropped; a uid that is not 32 hex digits is in no "
        "subset",
    )

    _plan: Once[ReadPlan] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _shards: Once[list[Shard]] = PrivateAttr(default_factory=Once)
    _parts: Once[list[Part]] = PrivateAttr(default_factory=Once)
    _subset: Once[Subset] = PrivateAttr(default_factory=Once)

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool; reads all Parquet footers, and the headers of one `.npz`.

        Raises:
            RecipeError: a file, column or array is missing, or two shards differ in a column.
            InputError: no shard can be read.
        """
        return pa.schema(self._planned().fields())

    def parts(self) -> list[Part]:
        """Return one part per shard; large shards are cut into runs of about 131,072 rows if no array is packed.

        The arrays of all shards are opened, and their lengths compared. With `subset`, the length of a part is
        unknown until it is read.
        """
        return list(self._parts.get(self._make_parts))

    def class_names(self) -> dict[str, tuple[str, ...]]:
        return class_names(self._planned().given)

    def remarks(self) -> list[str]:
        return drifts(self._planned().given)

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        if self.subset is None and "uids" not in part.detail:
            yield from read_shard(self._planned(), part, columns, batch_rows)
            return
        with reading(part), ExitStack() as stack:
            subset = self._subset.get(lambda: Subset(str(self.subset))) if self.subset else None
            uids = stack.enter_context(UidArray(**part.detail["uids"])) if "uids" in part.detail else None

            def mine(table: pa.Table, row: int) -> npt.NDArray[np.bool_] | None:
                found = one_array(table.column(UID))
                if uids is not None:
                    uids.check(found, row)
                return _inside(subset, found) if subset is not None else None

            yield from read_shard(self._planned(), part, columns, batch_rows, mine, UID)

    def _planned(self) -> ReadPlan:
        return self._plan.get(self._make_plan)

    def _found(self) -> list[Shard]:
        return self._shards.get(self._find)

    def _find(self) -> list[Shard]:
        files = find_numbered(self.path, ("parquet",))
        footers = map_files(read_footer, files, files[0])
        return [
            Shard(file, footer, dict.fromkeys(MODELS, _npz(file)), base_name(file))
            for file, footer in zip(files, footers, strict=True)
        ]

    def _make_plan(self) -> ReadPlan:
        if self.subset is not None:
            self._subset.get(lambda: Subset(str(self.subset)))
        shards = self._found()
        files, footers = [shard.table for shard in shards], [shard.footer for shard in shards]
        arrays = self._arrays(shards)
        wanted = ColumnRequest(renamed(source_names(footers), RENAMES), None, self.keep, {}, tuple(arrays))
        given = parquet_columns(files, footers, wanted)
        made_by = {name: MadeBy(model=model) for name, model in MODELS.items()}
        sidecars = find_arrays(shards, {name: name for name in arrays}, made_by) if arrays else {}
        return ReadPlan("parquet", tuple(given), sidecars)

    def _arrays(self, shards: Sequence[Shard]) -> list[str]:
        """Return the arrays to give, after checking that every shard has its file of arrays."""
        asked = [name for name in MODELS if self.vectors is None or name in self.vectors]
        kept = [name for name in asked if self.keep is None or name in self.keep]
        if not kept:
            return []
        _check_files([shard.table for shard in shards])
        if self.vectors is not None or self.keep is not None:
            return kept
        known = _known(shards)
        return [name for name in kept if name in known]

    def _make_parts(self) -> list[Part]:
        sidecars, shards = self._planned().sidecars, self._found()
        further = (self.subset,) if self.subset is not None else ()
        by_table = {shard.table: replace(shard, arrays=dict.fromkeys(sidecars, _npz(shard.table))) for shard in shards}
        made = map_files(lambda file: _parts_of(by_table[file], sidecars, further), list(by_table), shards[0].table)
        parts = [part for found in made for part in found]
        rows = {"rows": None} if self.subset is not None else {}
        return [part.model_copy(update={"index": index, **rows}) for index, part in enumerate(parts)]


def _npz(table: str) -> str:
    """Return the file of arrays of a shard."""
    return table[: table.rindex(".")] + ".npz"


def _check_files(tables: Sequence[str]) -> None:
    there = map_files(is_file, [_npz(table) for table in tables], tables[0])
    lost = [table for table, is_there in zip(tables, there, strict=True) if not is_there]
    if lost:
        more = f", nor for {len(lost) - 1:,} more shards" if len(lost) > 1 else ""
        raise RecipeError(
            f"{lost[0]}: there is no {base_name(_npz(lost[0]))} with its vectors{more}; download it, or read the "
            "metadata alone with 'vectors: []'"
        )


def _known(shards: Sequence[Shard]) -> set[str]:
    """Return the names of the arrays in the first file that can be read."""
    damage: Unreadable | None = None
    for shard in shards:
        try:
            return set(read_headers(_npz(shard.table)))
        except Unreadable as error:
            damage = damage or error
    raise damage or InputError("no shard has vectors")


def _parts_of(shard: Shard, sidecars: Mapping[str, VectorFiles], further: tuple[str, ...]) -> list[Part]:
    """Return the parts of one shard, with the location of its uids if the file of vectors has them too."""
    npz = next(iter(shard.arrays.values()), None)
    try:
        has_uids = npz is not None and UID in read_headers(npz)
    except Unreadable:
        has_uids = False  # `shard_parts` meets the same damage and reports it
    parts = shard_parts(shard, sidecars, 0, further, (UID,) if has_uids else ())
    uids = {"uids": {"file": npz, "key": UID, "table": base_name(shard.table)}} if has_uids else {}
    return [part.model_copy(update={"detail": {**part.detail, **uids}}) for part in parts]


def _inside(subset: Subset, uids: pa.Array) -> npt.NDArray[np.bool_]:
    pairs, valid = pairs_of_hex(uids)
    return np.asarray(subset.holds(pairs) & valid)
