"""Maps the names in a recipe to classes, in flow order: our own, and those of installed packages.

Nothing is imported before it is asked for. A package adds names by entry points of the groups `poolwright.steps`,
`poolwright.pools`, `poolwright.layouts` and `poolwright.encoders`; see docs/extending.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from poolwright.core.runtime.plugins import Package, Registry, subclass_problem

if TYPE_CHECKING:
    from poolwright.core.pool import Pool
    from poolwright.core.roles import EncodingStep
    from poolwright.core.step import Step
    from poolwright.models.encoders.kind import EncoderKind
    from poolwright.release.layouts.layout import Layout

POOLS = {
    "image_folder": "poolwright.pools.image_folder:ImageFolder",
    "table": "poolwright.pools.table:TablePool",
    "huggingface": "poolwright.pools.huggingface.huggingface:HuggingFacePool",
    "release": "poolwright.pools.release:ReleasePool",
    "arrays": "poolwright.pools.arrays:Arrays",
    "yfcc100m": "poolwright.pools.yfcc.yfcc100m:Yfcc100m",
    "geoyfcc": "poolwright.pools.geoyfcc.geoyfcc:GeoYfccPool",
    "commonpool": "poolwright.pools.commonpool:CommonPool",
    "clip_retrieval": "poolwright.pools.clip_retrieval:ClipRetrieval",
    "img2dataset": "poolwright.pools.img2dataset:Img2dataset",
    "webdataset": "poolwright.pools.webdataset.webdataset:WebDatasetPool",
    "coco": "poolwright.pools.coco.coco:Coco",
}

STEPS = {
    "fetch": "poolwright.fetch.step:Fetch",
    "embed": "poolwright.steps.describe.embed:Embed",
    "label": "poolwright.steps.describe.label:Label",
    "similarity": "poolwright.steps.describe.similarity:Similarity",
    "classify": "poolwright.steps.describe.classify:Classify",
    "score_head": "poolwright.steps.describe.score_head:ScoreHead",
    "cluster": "poolwright.steps.describe.cluster:Cluster",
    "bucket": "poolwright.steps.describe.bucket:Bucket",
    "retrieve": "poolwright.steps.describe.retrieve:Retrieve",
    "region": "poolwright.steps.describe.region:Region",
    "language": "poolwright.steps.describe.texts.language:Language",
    "words": "poolwright.steps.describe.texts.words:TextWords",
    "match": "poolwright.steps.describe.texts.match:Match",
    "size": "poolwright.steps.describe.size:Size",
    "quality": "poolwright.steps.describe.pictures.quality:Quality",
    "hash": "poolwright.steps.describe.hash:Hash",
    "provenance": "poolwright.steps.describe.provenance:Provenance",
    "derive": "poolwright.steps.describe.columns.derive:Derive",
    "join": "poolwright.steps.describe.columns.join:Join",
    "tags": "poolwright.steps.describe.columns.tags:Tags",
    "near_duplicates": "poolwright.steps.describe.duplicates.near_duplicates:NearDuplicates",
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
    "balance_matches": "poolwright.steps.choose.matches.balance_matches:BalanceMatches",
    "match_histogram": "poolwright.steps.choose.histogram.match_histogram:MatchHistogram",
    "licenses": "poolwright.steps.choose.licenses:Licenses",
    "keep": "poolwright.steps.choose.keep:Keep",
    "remove": "poolwright.steps.choose.remove:Remove",
    "decontaminate": "poolwright.steps.choose.contamination.decontaminate:Decontaminate",
    "verdicts": "poolwright.annotation.verdicts_step:Verdicts",
    "verify": "poolwright.annotation.verify_step:Verify",
    "selection_frequency": "poolwright.annotation.selection_frequency:SelectionFrequency",
    "split": "poolwright.steps.split.split:Split",
    "glt": "poolwright.steps.split.glt:Glt",
}

LAYOUTS = {
    "huggingface": "poolwright.release.layouts.huggingface:HuggingFace",
    "image_folder": "poolwright.release.layouts.image_folder:ImageFolderLayout",
    "coco": "poolwright.release.layouts.coco.coco:CocoLayout",
    "fiftyone": "poolwright.release.layouts.fiftyone.fiftyone:FiftyOneLayout",
    "parquet": "poolwright.release.layouts.parquet:ParquetLayout",
    "domainnet": "poolwright.release.layouts.domainnet:DomainNet",
    "geoyfcc": "poolwright.release.layouts.geoyfcc:GeoYfccLayout",
    "mappool": "poolwright.release.layouts.mappool:MapPool",
    "glt": "poolwright.release.layouts.glt:GltLayout",
    "clear": "poolwright.release.layouts.clear:Clear",
    "avalanche": "poolwright.release.layouts.avalanche:Avalanche",
    "webdataset": "poolwright.release.layouts.webdataset:WebDatasetLayout",
    "datacomp": "poolwright.release.layouts.datacomp:DataComp",
}


@cache
def step_registry() -> Registry[type[Step]]:
    """Return the registry of steps, by verb."""
    return _registry("step", "poolwright.steps", STEPS, "poolwright.core.step:Step", "verb")


@cache
def pool_registry() -> Registry[type[Pool]]:
    """Return the registry of pools, by kind."""
    return _registry("pool kind", "poolwright.pools", POOLS, "poolwright.core.pool:Pool", "kind")


@cache
def layout_registry() -> Registry[type[Layout]]:
    """Return the registry of release layouts, by name."""
    return _registry("layout", "poolwright.layouts", LAYOUTS, "poolwright.release.layouts.layout:Layout", "layout")


def encoder_registry() -> Registry[type[EncoderKind]]:
    """Return the registry of encoders, by kind; the models keep it, since they load encoders themselves."""
    from poolwright.models.encoders.kinds import ENCODERS

    return ENCODERS


def step_class(verb: str) -> type[Step]:
    """Return the step class of a verb.

    Raises:
        RecipeError: no step has the verb.
    """
    return step_registry().get(verb)


def encoding_step() -> type[EncodingStep]:
    """Return the step that gives a table vectors of its images, if encoders are named for columns it lacks."""
    found: type[EncodingStep] = _import(STEPS["embed"])
    return found


def pool_class(kind: str) -> type[Pool]:
    """Return the pool class of a kind.

    Raises:
        RecipeError: no pool has the kind.
    """
    return pool_registry().get(kind)


def layout_class(layout: str) -> type[Layout]:
    """Return the release layout of a name.

    Raises:
        RecipeError: no layout has the name.
    """
    return layout_registry().get(layout)


def packages_of(
    verbs: Iterable[str] = (), pools: Iterable[str] = (), encoders: Iterable[str] = (), layouts: Iterable[str] = ()
) -> dict[str, str]:
    """Return the packages, except poolwright, that provide steps, pools, encoders and layouts: versions by name."""
    found: set[Package | None] = {step_registry().package(verb) for verb in verbs}
    found |= {pool_registry().package(kind) for kind in pools}
    found |= {encoder_registry().package(kind) for kind in encoders}
    found |= {layout_registry().package(name) for name in layouts}
    return {package.name: package.version for package in sorted(filter(None, found))}


def _registry(noun: str, group: str, own: Mapping[str, str], base: str, attribute: str) -> Registry[Any]:
    def problem(name: str, value: Any) -> str:
        return subclass_problem(_import(base), attribute)(name, value)

    return Registry(noun, group, own, lambda name: _import(own[name]), problem)


@cache
def _import(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
