"""CLIP-GeoYFCC's published classes: the shipped prompts can give each of them, and the shipped list is theirs."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import yaml

from poolwright.conformance.clip_geoyfcc import LARGEST, published_45
from poolwright.models.texts.vocabulary import read_vocabulary
from poolwright.recipe.shipped import shipped_text

# WordNet ids of CLIP-GeoYFCC-350 by class index, as its repository lists them.
PUBLISHED = (Path(__file__).parent / "clip_geoyfcc_350.txt").read_text().split()


def out_of_reach(names: str) -> list[str]:
    """Published classes of which every prompt is that of a class before them, which wins each tie."""
    of_prompts: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for one in read_vocabulary("imagenet21k").classes:
        prompts = (one.name, *one.synonyms) if names == "all" else (one.name,)
        of_prompts[tuple(sorted(set(prompts)))].append(str(one.about["id"]))
    first = {ids[0] for ids in of_prompts.values()}
    return [wnid for wnid in PUBLISHED if wnid not in first]


def test_every_published_class_can_be_reached() -> None:
    steps = yaml.safe_load(shipped_text("clip-geoyfcc"))["tables"]["clip-geoyfcc"]["steps"]
    names = next(step["label"]["names"] for step in steps if "label" in step)
    assert out_of_reach(names) == []
    assert len(out_of_reach("first")) == 14


def test_the_shipped_45_are_of_the_largest_published_classes() -> None:
    assert len(PUBLISHED) == len(set(PUBLISHED)) == 350
    assert len(set(published_45())) == 45
    assert set(published_45()) < set(PUBLISHED[:LARGEST])
