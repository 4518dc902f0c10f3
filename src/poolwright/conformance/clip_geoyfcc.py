"""Generate GeoYFCC at its published size, as it stands once it is embedded and labelled.

1,146,768 rows, 18,814 of ImageNet-21K's 21,843 classes, 62 countries in 6 continents; long-tailed classes, and
similarities with so few distinct values that the top million is cut through a tie of thousands of rows.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright.api import RunResult
from poolwright.conformance.reproduction import Reproduction, parameters, shipped_data, without_steps
from poolwright.core.results.conformance import PublishedNumber
from poolwright.core.table import Table

NAME, CHOSEN, LARGE, SMALL = (f"clip-geoyfcc{end}" for end in ("", "-classes", "-350", "-45"))
ROWS, CLASSES, VOCABULARY = 1_146_768, 18_814, 21_843
LARGEST = 56
"""The published 45 classes are among this many of the largest."""

CAP = 2_000
_SIZES = "depends on how many images each class has"

CONTINENTS = {
    "Africa": "Egypt Ghana Kenya Morocco Tanzania Uganda|South Africa",
    "Asia": (
        "Cambodia China India Indonesia Iran Israel Japan Jordan Malaysia Nepal Philippines Singapore Taiwan Thailand "
        "Turkey|Hong Kong|South Korea|Sri Lanka|United Arab Emirates|Vietnam"
    ),
    "Europe": (
        "Austria Belgium Croatia Denmark Finland France Germany Greece Hungary Iceland Ireland Italy Netherlands "
        "Norway Poland Portugal Romania Russia Spain Sweden Switzerland Ukraine|Czech Republic|United Kingdom"
    ),
    "North America": "Canada Cuba Guatemala Mexico|Costa Rica|United States",
    "South America": "Argentina Brazil Chile|",
    "Oceania": "Australia|New Zealand",
}


def countries() -> dict[str, str]:
    """Return the continent by country."""
    found = {}
    for continent, text in CONTINENTS.items():
        singles, *rest = text.split("|")
        found.update(dict.fromkeys([*singles.split(), *(name for name in rest if name)], continent))
    return found


def write(folder: Path, rows: int = ROWS, classes: int = CLASSES, files: int = 12, seed: int = 1) -> None:
    """Write the rows as Parquet files below `folder`, once."""
    if (folder / "done").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    of_class = generator.permutation(np.repeat(np.arange(classes), _sizes(rows, classes)))
    vocabulary = np.sort(generator.choice(VOCABULARY, classes, replace=False))
    # The largest classes lie anywhere in the vocabulary.
    vocabulary = vocabulary[generator.permutation(classes)]
    wnids = np.char.add("n", np.char.zfill(np.arange(VOCABULARY).astype(str), 8))
    published = published_45()
    wnids[vocabulary[np.sort(generator.choice(LARGEST, len(published), replace=False))]] = published
    edges = np.linspace(0, rows, files + 1).astype(int)
    for file, (start, stop) in enumerate(pairwise(edges.tolist())):
        table = _table(start, vocabulary[of_class[start:stop]], wnids, generator)
        pq.write_table(table, folder / f"part-{file:02d}.parquet", row_group_size=50_000)
    (folder / "done").touch()


def _sizes(rows: int, classes: int) -> np.ndarray:
    """Long-tailed class sizes, largest first, each at least 1, that add up to `rows`.

    At full size the 350 largest, capped at 2,000 each, have about the published 338,730 images.
    """
    weights = 1.0 / (np.arange(classes) + 121.0) ** 1.17
    sizes = 1 + np.floor((rows - classes) * weights / weights.sum()).astype(np.int64)
    sizes[: rows - sizes.sum()] += 1
    return np.asarray(sizes)


def _table(start: int, label_index: np.ndarray, wnids: np.ndarray, generator: np.random.Generator) -> pa.Table:
    count = len(label_index)
    names = sorted(countries())
    country = generator.choice(len(names), count, p=_country_shares(len(names)))
    # Row ids of YFCC100M in no order, so that the order of uids and of rows differ.
    row_id = np.arange(start, start + count) * 87 % 100_000_007
    photo = pa.array(10**9 + row_id * 89)
    numbers = {"photo": photo.cast(pa.string()), "row": pa.array(row_id).cast(pa.string())}
    similarity = np.round(generator.normal(0.26, 0.04, count) * 1024) / 1024
    index = pa.array(label_index.astype(np.int32))
    return pa.table(
        {
            "uid": numbers["row"],
            "yfcc_row_id": pa.array(row_id),
            "country": pa.array(names).take(pa.array(country)),
            "country_id": pa.array(country.astype(np.int32)),
            "is_train": pa.array(generator.random(count) < 0.8),
            "image_path": pc.binary_join_element_wise(numbers["photo"], "jpg", "."),
            "title": pc.binary_join_element_wise("Photo", numbers["row"], " "),
            "author": pc.binary_join_element_wise("user", pa.array(row_id % 20_011).cast(pa.string()), "-"),
            "license": pa.array(["cc-by-2.0", "cc-by-nc-sa-2.0", "cc-by-sa-2.0"]).take(pa.array(row_id % 3)),
            "url": pc.binary_join_element_wise("http://farm8.staticflickr.example/7205", numbers["photo"], "/"),
            "yfcc_metadata": _lines(**numbers),
            "label": pc.binary_join_element_wise("class", index.cast(pa.string()), " "),
            "label_index": index,
            "similarity": pa.array(similarity.astype(np.float32)),
            "wnid": pa.array(wnids).take(index),
        }
    )


def _country_shares(count: int) -> np.ndarray:
    """10,000 to 20,000 images a country."""
    shares = 1.0 + np.arange(count) * 7 % count / count
    return np.asarray(shares / shares.sum())


def _lines(photo: pa.Array, row: pa.Array) -> pa.Array:
    """The original metadata of each photo: a tab-separated line of 24 fields."""
    middle = "2012-02-16 09:56:37.0\t1331840483\tCanon+PowerShot\tIMG\t\tcanon,travel\t\t-81.8\t24.5\t12"
    return pc.binary_join_element_wise(
        photo, "4e2f7a26a1dfbf165a7e30bdabf7e72a", "62003290@N00", row, middle,
        pc.binary_join_element_wise("http://www.flickr.example/photos", photo, "/"),
        pc.binary_join_element_wise("http://farm8.staticflickr.example/7205", photo, "/"),
        "Attribution License\thttp://creativecommons.org/licenses/by/2.0/\t7205\t8\tdf7747990d\t692d7e0a7f\tjpg\t0",
        "\t",
    )  # fmt: skip


def published_45() -> list[str]:
    """Return the WordNet ids of the 45 classes, as the shipped recipe lists them."""
    return [str(wnid) for wnid in parameters(shipped_data(NAME), SMALL, "keep")["ids"]]


def prepare(folder: Path) -> dict[str, Any]:
    """Write the rows; the recipe without what comes before them, and needs images."""
    write(folder / "rows")
    data = shipped_data(NAME)
    data["pools"] = {"geoyfcc": {"read": "table", "path": "rows"}}
    del data["models"], data["figures"]
    without_steps(data, NAME, "embed", "label")
    data["releases"] = [one if one["layout"] == "geoyfcc" else {**one, "images": "none"} for one in data["releases"]]
    return data


def compare(result: RunResult) -> tuple[PublishedNumber, ...]:
    """Count images, classes and domains of the dataset and its subsets."""
    whole, large, small = (result.tables[name] for name in (NAME, LARGE, SMALL))
    best = next(row for row in result.tables[CHOSEN].record.funnel if row.verb == "top")
    numbers = [
        PublishedNumber("images", ROWS, whole.record.rows_kept, note="generated"),
        PublishedNumber("classes with images", CLASSES, _values(whole, "class_index"), note="generated"),
        PublishedNumber("domains", 6, _values(whole, "continent"), note="generated"),
        PublishedNumber("images of highest similarity", 1_000_000, best.kept, fixed=True),
        PublishedNumber("domains without the smallest", 5, _values(large, "continent"), fixed=True),
    ]
    for table, classes, images in ((large, 350, 338_730), (small, 45, 86_288)):
        numbers += [
            PublishedNumber(f"classes of the {classes}-class set", classes, _values(table, "class_index"), fixed=True),
            PublishedNumber(f"its images, at most {CAP:,} per class", images, table.record.rows_kept, note=_SIZES),
        ]
    return tuple(numbers)


def _values(table: Table, column: str) -> int:
    return len(pc.unique(table.read([column])[column]))


REPRODUCTION = Reproduction(
    NAME,
    "arXiv 2312.00364",
    "1,146,768 rows with country, class and similarity stand for GeoYFCC after `embed` and `label`; releases are made "
    "without images.",
    prepare,
    compare,
)
