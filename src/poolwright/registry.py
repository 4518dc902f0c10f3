"""Names in a recipe -> classes, in flow order. Nothing is imported before it is asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from poolwright.core.errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    from poolwright.core.pool import Pool
    from poolwright.core.roles import EncodingStep
    from poolwright.core.step import Step
    from poolwright.release.layouts.layout import Layout

POOLS = {
    "image_folder": "poolwright.pools.image_folder:ImageFolder",
    "table": "poolwright.pools.table:TablePool",
    "arrays": "poolwright.pools.arrays:Arrays",
    "yfcc100m": "poolwright.pools.yfcc.yfcc100m:Yfcc100m",
    "geoyfcc": "poolwright.pools.geoyfcc.geoyfcc:GeoYfccPool",
    "commonpool": "poolwright.pools.commonpool:CommonPool",
    "clip_retrieval": "poolwright.pools.clip_retrieval:ClipRetrieval",
    "img2dataset": "poolwright.pools.img2dataset:Img2dataset",
}

STEPS = {
    "fetch": "poolwright.fetch.step:Fetch",
    "embed": "poolwright.steps.describe.embed:Embed",
    "label": "poolwright.steps.describe.label:Label",
    "similarity": "poolwright.steps.describe.similarity:Similarity",
    "classify": "poolwright.steps.describe.classify:Classify",
    "cluster": "poolwright.steps.describe.cluster:Cluster",
    "bucket": "poolwright.steps.describe.bucket:Bucket",
    "retrieve": "poolwright.steps.describe.retrieve:Retrieve",
    "region": "poolwright.steps.describe.region:Region",
    "size": "poolwright.steps.describe.size:Size",
    "hash": "poolwright.steps.describe.hash:Hash",
    "derive": "poolwright.steps.describe.columns.derive:Derive",
    "near_duplicates": "poolwright.steps.describe.near_duplicates:NearDuplicates",
    "renumber": "poolwright.steps.describe.columns.renumber:Renumber",
    "rename": "poolwright.steps.describe.columns.rename:Rename",
    "keep_columns": "poolwright.steps.describe.columns.keep_columns:KeepColumns",
    "where": "poolwright.steps.choose.where:Where",
    "top": "poolwright.steps.choose.top:Top",
    "drop_small": "poolwright.steps.choose.drop_small:DropSmall",
    "largest": "poolwright.steps.choose.largest:Largest",
    "cap": "poolwright.steps.choose.cap:Cap",
    "sample_groups": "poolwright.steps.choose.sample_groups:SampleGroups",
    "sample": "poolwright.steps.choose.sample:Sample",
    "balance": "poolwright.steps.choose.balance:Balance",
    "licenses": "poolwright.steps.choose.licenses:Licenses",
    "remove": "poolwright.steps.choose.remove:Remove",
    "verdicts": "poolwright.annotation.verdicts_step:Verdicts",
    "verify": "poolwright.annotation.verify_step:Verify",
    "split": "poolwright.steps.split.split:Split",
    "glt": "poolwright.steps.split.glt:Glt",
}

LAYOUTS = {
    "huggingface": "poolwright.release.layouts.huggingface:HuggingFace",
    "image_folder": "poolwright.release.layouts.image_folder:ImageFolderLayout",
    "domainnet": "poolwright.release.layouts.domainnet:DomainNet",
    "geoyfcc": "poolwright.release.layouts.geoyfcc:GeoYfccLayout",
    "mappool": "poolwright.release.layouts.mappool:MapPool",
    "glt": "poolwright.release.layouts.glt:GltLayout",
    "clear": "poolwright.release.layouts.clear:Clear",
    "avalanche": "poolwright.release.layouts.avalanche:Avalanche",
}


def step_class(verb: str) -> type[Step]:
    """The step of that verb.

    Raises:
        RecipeError: no step has the verb.
    """
    found: type[Step] = _load("step", STEPS, verb)
    return found


def encoding_step() -> type[EncodingStep]:
    """The step that gives a table vectors of its images, if encoders are named for columns it lacks."""
    found: type[EncodingStep] = _import(STEPS["embed"])
    return found


def pool_class(kind: str) -> type[Pool]:
    """The pool of that kind.

    Raises:
        RecipeError: no pool has the kind.
    """
    found: type[Pool] = _load("pool kind", POOLS, kind)
    return found


def layout_class(layout: str) -> type[Layout]:
    """The release layout of that name.

    Raises:
        RecipeError: no layout has the name.
    """
    found: type[Layout] = _load("layout", LAYOUTS, layout)
    return found


def _load(what: str, names: dict[str, str], name: str) -> Any:
    if name not in names:
        raise RecipeError(f"unknown {what} '{name}'; {did_you_mean(name, names)}")
    return _import(names[name])


@cache
def _import(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)
