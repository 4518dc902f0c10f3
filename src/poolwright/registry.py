"""Names in a recipe -> classes, in flow order. Nothing is imported before it is asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from poolwright.core.errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    from poolwright.core.pool import Pool
    from poolwright.core.step import Step
    from poolwright.release.layout import Layout

POOLS = {
    "image_folder": "poolwright.pools.image_folder:ImageFolder",
    "table": "poolwright.pools.table:TablePool",
    "arrays": "poolwright.pools.arrays:Arrays",
    "yfcc100m": "poolwright.pools.yfcc100m:Yfcc100m",
    "geoyfcc": "poolwright.pools.geoyfcc:GeoYFCC",
    "commonpool": "poolwright.pools.commonpool:CommonPool",
    "clip_retrieval": "poolwright.pools.clip_retrieval:ClipRetrieval",
    "img2dataset": "poolwright.pools.img2dataset:Img2dataset",
}

STEPS = {
    "fetch": "poolwright.fetch.step:Fetch",
    "embed": "poolwright.describe.embed:Embed",
    "label": "poolwright.describe.label:Label",
    "similarity": "poolwright.describe.similarity:Similarity",
    "classify": "poolwright.describe.classify:Classify",
    "cluster": "poolwright.describe.cluster:Cluster",
    "bucket": "poolwright.describe.bucket:Bucket",
    "retrieve": "poolwright.describe.retrieve:Retrieve",
    "region": "poolwright.describe.region:Region",
    "size": "poolwright.describe.size:Size",
    "hash": "poolwright.describe.hash:Hash",
    "derive": "poolwright.describe.derive:Derive",
    "near_duplicates": "poolwright.describe.near_duplicates:NearDuplicates",
    "renumber": "poolwright.describe.renumber:Renumber",
    "rename": "poolwright.describe.rename:Rename",
    "keep_columns": "poolwright.describe.keep_columns:KeepColumns",
    "where": "poolwright.choose.where:Where",
    "top": "poolwright.choose.top:Top",
    "drop_small": "poolwright.choose.drop_small:DropSmall",
    "largest": "poolwright.choose.largest:Largest",
    "cap": "poolwright.choose.cap:Cap",
    "sample_groups": "poolwright.choose.sample_groups:SampleGroups",
    "sample": "poolwright.choose.sample:Sample",
    "balance": "poolwright.choose.balance:Balance",
    "licenses": "poolwright.choose.licenses:Licenses",
    "remove": "poolwright.choose.remove:Remove",
    "verdicts": "poolwright.verify.judged:Verdicts",
    "verify": "poolwright.verify.verify:Verify",
    "split": "poolwright.split.split:Split",
    "glt": "poolwright.split.glt:Glt",
}

LAYOUTS = {
    "huggingface": "poolwright.release.huggingface:HuggingFace",
    "image_folder": "poolwright.release.image_folder:ImageFolderLayout",
    "domainnet": "poolwright.release.domainnet:DomainNet",
    "geoyfcc": "poolwright.release.geoyfcc:GeoYFCC",
    "mappool": "poolwright.release.mappool:MapPool",
    "glt": "poolwright.release.glt:Glt",
    "clear": "poolwright.release.clear:Clear",
    "avalanche": "poolwright.release.avalanche:Avalanche",
}


def step_class(verb: str) -> type[Step]:
    """The step of that verb.

    Raises:
        RecipeError: no step has the verb.
    """
    found: type[Step] = _load("step", STEPS, verb)
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
