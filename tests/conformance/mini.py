"""A small GeoYFCC in the published form: the pandas pickle, and a folder of images named by photo id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from poolwright.recipe.shipped import shipped_text

LICENSES = (
    ("Attribution License", "http://creativecommons.org/licenses/by/2.0/"),
    ("Attribution-NonCommercial-ShareAlike License", "http://creativecommons.org/licenses/by-nc-sa/2.0/"),
)


@dataclass(frozen=True)
class Picture:
    """One picture: the bytes of its file (None: gone from the web), what it shows, and its country."""

    data: bytes | None
    truth: str
    country: str


def row_id(place: int) -> int:
    """The YFCC100M row of a picture; as uid it is written in decimal digits."""
    return 1_000 + 37 * place


def write(folder: Path, pictures: Sequence[Picture], seed: int = 3) -> None:
    """Write GeoYFCC.pkl, and `images/<photo id>.jpg`."""
    generator = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    names = sorted({picture.country for picture in pictures})
    for place, picture in enumerate(pictures):
        if picture.data is not None:
            (folder / "images" / f"{_photo(place)}.jpg").write_bytes(picture.data)
    frame = pd.DataFrame(
        {
            "yfcc_row_id": [row_id(place) for place in range(len(pictures))],
            "label_ids": [generator.integers(0, 1_261, generator.integers(1, 4)).tolist() for _ in pictures],
            "country": [picture.country for picture in pictures],
            "country_id": [names.index(picture.country) for picture in pictures],
            "in_5k_label_ids": [generator.integers(0, 5_000, 1).tolist() for _ in pictures],
            "is_train": generator.random(len(pictures)) < 0.75,
            "yfcc_metadata": [_line(place) for place in range(len(pictures))],
        }
    )
    frame.to_pickle(folder / "GeoYFCC.pkl")


def _photo(place: int) -> int:
    return 5_000_000_000 + 101 * place


def _line(place: int) -> str:
    photo, (name, url) = _photo(place), LICENSES[place % 2]
    page, file = f"http://www.flickr.com/photos/6200{place}@N00/{photo}/", f"{photo}_df7747990d.jpg"
    taken = ("2012-02-16 09:56:37.0", 1331840483, "Canon+PowerShot")
    texts = (f"Photo+No.+{place}%21", "", "travel,canon+powershot", "")
    nowhere = ("", "", "")
    user = (f"6200{place}@N00", f"user+{place}")
    urls = (page, f"http://farm8.staticflickr.com/7205/{file}", name, url)
    fields = [photo, "4e2f7a26a1dfbf165a7e30bdabf7e72a", *user, *taken, *texts, *nowhere, *urls]
    fields += [7205, 8, "df7747990d", "692d7e0a7f", "jpg", 0]
    return "\t".join(map(str, fields))


def recipe(folder: Path, model: Any, label: dict[str, Any], numbers: dict[str, Any]) -> Path:
    """The shipped recipe with another encoder and small numbers, written beside the data.

    Args:
        model: the encoder that stands in for ViT-bigG-14.
        label: parameters of the step `label` to change; None takes one out.
        numbers: the numbers `top`, `classes`, `at_least`, `cap` and `few` (classes of the small subset).
    """
    data: dict[str, Any] = yaml.safe_load(shipped_text("clip-geoyfcc"))
    data["variables"]["data"] = "."
    data["models"]["clip"] = model
    steps = {name: table["steps"] for name, table in data["tables"].items()}
    parameters = {(name, verb): step[verb] for name, of_table in steps.items() for step in of_table for verb in step}
    labels = parameters["clip-geoyfcc", "label"]
    labels.update(label)
    for name in [name for name, value in labels.items() if value is None]:
        del labels[name]
    parameters["clip-geoyfcc-classes", "top"]["n"] = numbers["top"]
    parameters["clip-geoyfcc-classes", "largest"].update(n=numbers["classes"], at_least=numbers["at_least"])
    # The published classes are of another vocabulary.
    steps["clip-geoyfcc-45"][0] = {"largest": {"group": "class_index", "n": numbers["few"]}}
    for name in ("clip-geoyfcc-350", "clip-geoyfcc-45"):
        parameters[name, "cap"]["n"] = numbers["cap"]
    path = folder / "clip-geoyfcc.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path
