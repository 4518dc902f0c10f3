"""Pool: rows that exist before a run, read in place, part by part."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from poolwright.core.files import ImageRoot


def resolve_path(value: str, info: ValidationInfo) -> str:
    """Return a path that is relative to the recipe's folder as it is from here; URLs are as they were."""
    folder = (info.context or {}).get("folder")
    if folder is None or "://" in value:
        return value
    import os

    return os.path.normpath(os.path.join(folder, os.path.expanduser(value)))


PathOrUrl = Annotated[
    str, AfterValidator(resolve_path), Field(description="path, relative to the recipe's folder, or URL")
]
"""A path or fsspec URL in a recipe; relative paths are resolved against the recipe's folder."""


FOLLOWED = "image paths, URLs and links are followed wherever they lead, as the recipe says 'outside: true'"
"""The remark on a pool that reads outside of its folders; the cards of releases repeat it among the limits."""


class Part(BaseModel):
    """A fixed run of consecutive rows of a pool: the smallest thing that is read, quarantined or named in a ledger.

    Attributes:
        index: position in the pool's list of parts, from 0.
        name: for people: the file, and which of its rows if it is cut.
        files: paths or URLs the rows come from; their content is the identity of the part.
        start: first row within the files.
        rows: number of rows; None if only reading shows it.
        detail: whatever else `Pool.read` needs, as plain JSON values.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    index: int
    name: str
    files: tuple[str, ...]
    start: int = 0
    rows: int | None = None
    detail: dict[str, Any] = {}


class Pool(BaseModel):
    """A kind of pool, with its parameters as fields; `read:` in a recipe names the kind.

    A pool gives columns under the names that its source has; well-known columns have the types of
    `poolwright.core.columns`. The column `uid` is always among them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: ClassVar[str]
    example: ClassVar[str]
    """The pool as a recipe writes it, with its name, in YAML: 'photos: {read: image_folder, path: data}'."""
    unique: ClassVar[bool] = False
    """Whether uids cannot repeat, by how the pool makes them."""

    outside: bool = Field(
        default=False,
        description="read images that 'image_path' or a symbolic link names outside the folder of the images, or by "
        "URL, and other files that links in a folder lead to outside it; false reads none of them",
    )

    def arrow_schema(self) -> pa.Schema:
        """Return the columns that this pool gives, found without reading rows.

        Raises:
            RecipeError: a path does not exist, or the source lacks a column that is named.
        """
        raise NotImplementedError

    def parts(self) -> list[Part]:
        """List all parts, in a fixed order that depends on the source alone."""
        raise NotImplementedError

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        """Read the rows of one part, in order, in batches of at most `batch_rows`.

        Args:
            columns: names from `arrow_schema()`; only these are read, in this order.

        Raises:
            BadPart: the part cannot be read; nothing of it is to be used.
        """
        raise NotImplementedError

    @classmethod
    def recognises(cls, path: Path) -> int:
        """Return how surely a file or folder of this machine is of this kind: 0 if it does not seem to be."""
        return 0

    def keep_in(self, folder: Path) -> Self:
        """Return this pool as one that may keep indexes, which save time, in a folder of a run; it need not exist."""
        return self

    def remarks(self) -> Sequence[str]:
        """Return sentences on what this pool leaves out of its source or reads otherwise than one may expect.

        They are shown by `check`, with the rows read, and on cards.
        """
        return ()

    def class_names(self) -> Mapping[str, Collection[str]]:
        """Return the names of classes by column, for the columns whose names are known without reading rows."""
        return {}

    def image_root(self) -> ImageRoot:
        """Return what values of `image_path` are relative to: a folder or URL; None for that of the rows."""
        return None

    def known_images(self) -> bool:
        """Whether `read` can give the column `image` itself (bytes inside the source)."""
        return False
