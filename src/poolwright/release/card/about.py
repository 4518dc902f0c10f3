"""Define what a recipe says about a dataset for its card."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from poolwright.core.errors import did_you_mean
from poolwright.reference.hub_ids import LICENSES
from poolwright.release.card.datasheet.questions import KEYS

_VERSION = r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$"


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _known_questions(value: Any) -> Any:
    for key in value if isinstance(value, Mapping) else ():
        if key not in KEYS:
            raise ValueError(f"'{key}' is no question of a datasheet; {did_you_mean(str(key), KEYS)}")
    return value


Answers = Annotated[
    dict[str, Annotated[str, Field(min_length=1)]],
    BeforeValidator(_known_questions),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {key: {"type": "string", "description": text} for key, text in KEYS.items()},
            "additionalProperties": False,
        }
    ),
]
"""Answers to questions of a datasheet, by the keys of the questions."""

Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_list)]
"""One text or a list of them, as a tuple."""


class About(BaseModel):
    """Statements for the dataset card that the tables do not hold: `card:` in a recipe. Nothing is required."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    title: str | None = Field(default=None, min_length=1, description="title; default the name of the table")
    description: str | None = Field(default=None, description="what the dataset is, in Markdown")
    license: str | None = Field(
        default=None, description="licence of the dataset: an SPDX id such as CC-BY-4.0, or free text"
    )
    license_url: str | None = Field(default=None, description="URL of the text of the licence")
    homepage: str | None = Field(default=None, description="URL of the dataset's page")
    citation: str | None = Field(default=None, description="how to cite it, preferably as BibTeX")
    authors: Words = Field(default=(), description="who made it")
    language: Words = Field(default=(), description="languages of the texts, as ISO 639-1 codes such as en")
    tags: Words = Field(default=(), description="tags for finding it")
    known_limits: Words = Field(default=(), description="what a user must know before trusting it")
    version: str = Field(default="1.0.0", pattern=_VERSION, description="version: MAJOR.MINOR.PATCH")
    dark_figures: bool = Field(
        default=False,
        description="whether the card shows dark figures on a dark page, by <picture>, for GitHub; readers that do not "
        "resolve its relative addresses, as possibly the Hugging Face Hub, show nothing there",
    )
    published: datetime.date | None = Field(default=None, description="day of publication")
    datasheet: Answers = Field(
        default_factory=dict,
        description="answers to questions of datasheet.md in Markdown, such as {funding: ...}; the file lists the keys",
    )


SPDX_URL = "https://spdx.org/licenses/"


def hub_license(about: About, per_image: bool) -> dict[str, str]:
    """Return the licence keys of a card's YAML header.

    Args:
        per_image: whether each row names its licence.
    """
    if about.license is None:
        words = "per image, see the column `license`" if per_image else "not stated"
        return (
            {"license": "other" if per_image else "unknown", "license_name": words}
            if per_image
            else {"license": "unknown"}
        )
    short = re.sub(r"\s+", "-", about.license.strip().lower())
    if short in LICENSES - {"other"}:  # other licences are written as `license: other` with a name
        return {"license": short}
    keys = {"license": "other", "license_name": about.license}
    return {**keys, "license_link": about.license_url} if about.license_url else keys


def croissant_license(about: About, per_image: bool) -> str:
    """Return the licence for Croissant: a URL if there is one, else text."""
    if about.license_url:
        return about.license_url
    if about.license is None:
        return "Each image has its own licence, see the field 'license'" if per_image else "Not stated"
    looks_spdx = re.fullmatch(r"[A-Za-z0-9.+-]+-[0-9][A-Za-z0-9.+-]*|MIT|ISC|Unlicense|WTFPL|Zlib", about.license)
    return f"{SPDX_URL}{about.license}" if looks_spdx else about.license
