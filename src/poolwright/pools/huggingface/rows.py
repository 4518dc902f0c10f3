"""Read the rows of a repository of Parquet, Arrow, CSV or JSON Lines files, or of image folders with metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import IMAGE
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.wording import some
from poolwright.pools.columns.mapping import ColumnRequest, is_image_struct
from poolwright.pools.labelled import LabelledRows

_MEDIA = ("Image", "Audio", "Video", "Pdf", "Nifti", "Mesh")
_LIST = "List of {}"


class RepositoryRows(LabelledRows):
    """Rows of a repository: those of a table, with `config` and `split`, one picture, and the card's class names."""

    picture: str | None = Field(default=None, description="source column of the image")

    def remarks(self) -> list[str]:
        others = self._others(self._wanted().columns.get(IMAGE, IMAGE))
        shown = [f"columns of media that are not read: {', '.join(others)}; 'image' names the one to read"]
        return [*super().remarks(), *(shown if others else [])]

    def _wanted(self) -> ColumnRequest:
        wanted = super()._wanted()
        columns = {**wanted.columns}
        if IMAGE not in columns and (picture := self._picture()):
            columns[IMAGE] = picture
        without = self._others(columns.get(IMAGE, IMAGE))
        return replace(wanted, columns=columns, without=without)

    def _picture(self) -> str | None:
        """Return the column of the image that the recipe names, or the only one of another name; else None."""
        found = list(self._media("Image"))
        if self.picture is not None:
            schema = self._first()
            if schema is not None and self.picture not in found:
                raise RecipeError(
                    f"{self._origin.root}: no column '{self.picture}' of images; "
                    f"{did_you_mean(self.picture, found)} (there are: {some(found, 30) or 'none'})"
                )
            return self.picture
        if len(found) > 1 and IMAGE not in found:
            raise RecipeError(
                f"{self._origin.root}: several columns of images, {some(found, 30)}; choose one with "
                f"'image: {found[0]}'"
            )
        return None if IMAGE in found or not found else found[0]

    def _others(self, picture: str) -> tuple[str, ...]:
        """Return the columns of images, sound and the like, or of lists of these, that are not read."""
        kinds = (*_MEDIA, *map(_LIST.format, _MEDIA))
        return tuple(name for name in self._media(*kinds) if name not in (picture, *(self.keep or ())))

    def _media(self, *kinds: str) -> Iterator[str]:
        """Yield the columns that are of one of these features, by the card or the files, or look like images."""
        schema = self._first() or pa.schema([])
        features = declared_features(schema)
        for name in schema.names:
            if name in features:
                found = features[name] in kinds
            else:
                found = name in self._origin.images or is_image_struct(schema.field(name).type)
            if found:
                yield name

    def _first(self) -> pa.Schema | None:
        """Return the schema of the first file that can be read; None if files have none."""
        if self.format not in ("parquet", "arrow"):
            return None
        return next((footer.schema for footer in self._read_footers() if footer.schema is not None), None)


def declared_features(schema: pa.Schema) -> dict[str, str]:
    """Return the kind of feature of each column, as `datasets` writes it into a schema: Value, Image, ClassLabel."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: _kind(feature) for name, feature in features.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _kind(feature: object) -> str:
    """Return the kind of a feature, or of the items of a list of media."""
    if isinstance(feature, list) and len(feature) == 1:  # how older releases of `datasets` write a list
        feature = {"feature": feature[0]}
    if not isinstance(feature, dict):
        return "Value"
    inner = _kind(feature["feature"]) if "feature" in feature else ""
    return _LIST.format(inner) if inner in _MEDIA else str(feature.get("_type", "Value"))
