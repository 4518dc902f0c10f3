"""Expansion packs of YFCC100M: files next to the dataset, with one line 'photo id, tab, value' per photo.

Format: readme of the expansion packs. Values are lists with commas between items and colons within them, whose parts
are URL-encoded: '91476962:Lettershea:Town' (places), 'dune:0.5100' (autotags), 'Exif+SubIFD.Focal+Length:50.0+mm'
(exif); or the hash of a photo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import COUNTRY, WELL_KNOWN
from poolwright.core.rows import cast_or_null
from poolwright.pools.columns.url_text import decode
from poolwright.pools.readers.line_index import LineIndex, open_index

PLACES, AUTOTAGS, EXIF, HASH = "places", "autotags", "exif", "hash"

_PLACE = pa.struct([("woeid", pa.int64()), ("name", pa.string()), ("type", pa.string())])
_AUTOTAG = pa.struct([("concept", pa.string()), ("score", pa.float32())])
_EXIF = pa.struct([("key", pa.string()), ("value", pa.string())])

FIELDS: dict[str, tuple[pa.Field, ...]] = {
    PLACES: (pa.field(PLACES, pa.list_(_PLACE)), pa.field(COUNTRY, WELL_KNOWN[COUNTRY].type)),
    AUTOTAGS: (pa.field(AUTOTAGS, pa.list_(_AUTOTAG)),),
    EXIF: (pa.field(EXIF, pa.list_(_EXIF)),),
    HASH: (pa.field(HASH, pa.string()),),
}
"""Columns from each pack. `country` is the name of the first place of type Country."""


@dataclass(frozen=True)
class Companions:
    """The packs of a pool, with their indexes open."""

    indexes: Mapping[str, Sequence[LineIndex]]

    @classmethod
    def open(cls, packs: Mapping[str, Sequence[str]], folder: str | None) -> Companions:
        """Open the files by pack name; missing indexes are made first.

        Raises:
            InputError: a pack cannot be read, or its index cannot be written.
        """
        return cls({name: [open_index(file, folder) for file in files] for name, files in packs.items()})

    def columns(self, photos: pa.Array, names: Sequence[str]) -> dict[str, pa.Array]:
        """Return columns of photos.

        Args:
            photos: int64 (n,), null allowed.
            names: names of columns; those that no pack gives are ignored.

        Returns:
            Columns (n,); null for photos without a line.
        """
        found: dict[str, pa.Array] = {}
        for pack in self.indexes:
            wanted = [field.name for field in FIELDS[pack] if field.name in names]
            if wanted:
                made = _MAKE[pack](self._texts(pack, photos))
                found.update((name, made[name]) for name in wanted)
        return found

    def _texts(self, pack: str, photos: pa.Array) -> pa.Array:
        """Return values of a pack as strings (n,); with several files, the first that has the photo counts."""
        ids = pc.fill_null(photos, -1).to_numpy()
        texts = [_as_text(index.values(ids)) for index in self.indexes[pack]]
        return pc.coalesce(*texts)


def _as_text(values: pa.Array) -> pa.Array:
    """Convert bytes to strings, null if empty; invalid UTF-8 becomes U+FFFD."""
    try:
        texts = values.cast(pa.string())
    except pa.ArrowInvalid:
        texts = pa.array([None if value is None else value.decode(errors="replace") for value in values.to_pylist()])
    return pc.if_else(pc.equal(pc.binary_length(texts), 0), None, texts)


def _places(texts: pa.Array) -> dict[str, pa.Array]:
    lists, items = _items(texts)
    found = pc.extract_regex(items, r"^(?P<woeid>\d{1,18}):(?P<name>.*):(?P<type>[^:]*)$")
    woeid, kind = _part(found, "woeid").cast(pa.int64()), decode(_part(found, "type"))
    name = decode(pc.coalesce(_part(found, "name"), items))
    return {PLACES: _listed(lists, _PLACE, [woeid, name, kind]), COUNTRY: _countries(lists, name, kind)}


def _countries(lists: pa.Array, names: pa.Array, kinds: pa.Array) -> pa.Array:
    positions = np.flatnonzero(pc.fill_null(pc.equal(kinds, "Country"), False).to_numpy(zero_copy_only=False))
    rows = np.searchsorted(lists.offsets.to_numpy(), positions, side="right") - 1
    rows, first = np.unique(rows, return_index=True)
    taken = np.full(len(lists), -1, np.int64)
    taken[rows] = positions[first]
    return names.take(pa.array(taken, mask=taken < 0))


def _autotags(texts: pa.Array) -> dict[str, pa.Array]:
    lists, items = _items(texts)
    found = pc.extract_regex(items, r"^(?P<concept>.*):(?P<score>[^:]*)$")
    concept, score = decode(pc.coalesce(_part(found, "concept"), items)), _part(found, "score")
    return {AUTOTAGS: _listed(lists, _AUTOTAG, [concept, cast_or_null(score, pa.float32())])}


def _exif(texts: pa.Array) -> dict[str, pa.Array]:
    lists, items = _items(texts)
    found = pc.extract_regex(items, r"^(?P<key>[^:]*):(?P<value>.*)$")
    key, value = pc.coalesce(_part(found, "key"), items), _part(found, "value")
    return {EXIF: _listed(lists, _EXIF, [decode(key), decode(value)])}


def _hash(texts: pa.Array) -> dict[str, pa.Array]:
    return {HASH: texts}


def _items(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return lists of items (n,), and all items in one array. An item of another form has its text as name or key."""
    lists = pc.split_pattern(texts, ",")
    return lists, lists.values


def _part(found: pa.Array, name: str) -> pa.Array:
    """Return a part of each item; null if the item has another form."""
    return pc.struct_field(found, name)


def _listed(lists: pa.Array, dtype: pa.DataType, parts: list[pa.Array]) -> pa.Array:
    items = pa.StructArray.from_arrays(parts, fields=list(dtype))
    return pa.ListArray.from_arrays(lists.offsets, items, type=pa.list_(dtype), mask=pc.is_null(lists))


_MAKE: dict[str, Callable[[pa.Array], dict[str, pa.Array]]] = {
    PLACES: _places,
    AUTOTAGS: _autotags,
    EXIF: _exif,
    HASH: _hash,
}
