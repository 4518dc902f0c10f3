"""Read the WebDataset tars of a repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
from pydantic import PrivateAttr

from poolwright.core.class_labels import named_type, names_of_labels
from poolwright.core.columns import with_classes
from poolwright.core.files import ImageRoot
from poolwright.core.pool import Part, Pool
from poolwright.core.rows import one_array
from poolwright.pools.columns.casting import table_of
from poolwright.pools.labelled import FileOrigin, folder_in
from poolwright.pools.webdataset.webdataset import WebDatasetPool

_OWN = ("config", "split")


class RepositoryTars(Pool):
    """Samples of the tars of a repository, with `config`, `split`, and the card's names of classes."""

    keep: list[str] | None = None

    _samples: Pool = PrivateAttr()
    _origin: FileOrigin = PrivateAttr()

    @classmethod
    def of(cls, samples: WebDatasetPool, keep: list[str] | None, origin: FileOrigin) -> RepositoryTars:
        """Return the pool of these samples; `keep` names the only columns to give."""
        pool = cls(keep=keep, outside=samples.outside)
        pool._samples, pool._origin = samples, origin
        return pool

    def arrow_schema(self) -> pa.Schema:
        fields = [self._named(field) for field in self._samples.arrow_schema()]
        known = {field.name for field in fields}
        own = [name for name in _OWN if name not in known and (self.keep is None or name in self.keep)]
        return pa.schema([*fields, *(pa.field(name, pa.string()) for name in own)])

    def _named(self, field: pa.Field) -> pa.Field:
        kind = named_type(field.type) if field.name in self._origin.classes else None
        return field if kind is None else with_classes(field.with_type(kind), self._origin.classes[field.name])

    def parts(self) -> list[Part]:
        root, labels = self._origin.root, self._origin.labels
        return [
            part.model_copy(
                update={
                    "name": f"{folder_in(part.files[0], root)}{part.name}",
                    "detail": {**part.detail, **labels[part.files[0]]},
                }
            )
            for part in self._samples.parts()
        ]

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        schema, inner = self.arrow_schema(), set(self._samples.arrow_schema().names)
        for table in self._samples.read(part, [name for name in columns if name in inner], batch_rows):
            found = {name: table.column(name) for name in table.column_names}
            for name in found:
                if schema.field(name).type != table.schema.field(name).type:
                    found[name] = names_of_labels(one_array(found[name]), self._origin.classes[name])
            own = {name: pa.repeat(pa.scalar(part.detail[name]), len(table)) for name in _OWN if name not in inner}
            arrays = {**found, **own}
            yield table_of([arrays[name] for name in columns], [schema.field(name) for name in columns], len(table))

    def remarks(self) -> Sequence[str]:
        return self._samples.remarks()

    def class_names(self) -> Mapping[str, tuple[str, ...]]:
        return self._origin.classes

    def image_root(self) -> ImageRoot:
        return self._samples.image_root()

    def known_images(self) -> bool:
        return self._samples.known_images()
