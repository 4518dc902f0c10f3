"""timm encoders: `timm:MODEL`, `timm:MODEL.TAG`, or `timm:MODEL/path/to/weights`; without their head."""

from __future__ import annotations

import math
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.runtime.threads import import_torch
from poolwright.models.encoders.networks.checkpoint import Tensors, read_checkpoint, tensors_digest, tensors_of
from poolwright.models.encoders.networks.installed_sources import NotInSourceError
from poolwright.models.encoders.networks.network import NetworkEncoder, check_installed, import_library
from poolwright.models.encoders.networks.timm_sources import timm_sources
from poolwright.models.encoders.networks.widths import known_widths
from poolwright.models.encoders.prepare import Preparation, ResizeMode
from poolwright.models.encoders.vectors import Peek, file_digest, identity_digest
from poolwright.models.encoders.weight_files import is_weight_file

_MODES: dict[str, ResizeMode] = {"center": "shortest", "squash": "squash"}
_HEADS = ("fc", "head", "head_dist", "classifier")
"""Names of heads in checkpoints of timm and of the papers' authors."""


@dataclass(frozen=True)
class TimmModel:
    """A model that `timm:...` names.

    Attributes:
        architecture: without tag: 'resnet50'.
        tag: of the published weights; empty for a file.
        path: of the weights, if they are a file.
        config: timm's configuration of the weights; for a file, of the architecture's default weights.
    """

    architecture: str
    tag: str
    path: Path | None
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """Name for display, without local folders."""
        return f"{self.architecture}/{self.path.name}" if self.path else f"{self.architecture}.{self.tag}"


def check(spec: EncoderSpec) -> None:
    """Check library, architecture, tag, file and options; timm is imported if its source does not tell.

    Raises:
        MissingExtra: timm, torch or torchvision is not installed.
        RecipeError: no such architecture, tag or file, or it does not take such images.
    """
    peek(spec)


def peek(spec: EncoderSpec) -> Peek:
    """Return name and width from the architecture; the weight digest if the weights are a local file."""
    info = find_model(spec)
    preparation = _preparation(info, spec)
    weights = _digest(info, preparation, file_digest(info.path)) if info.path else ""
    return Peek(info.name, _width_of(info, preparation), weights, False)


def load(spec: EncoderSpec) -> NetworkEncoder:
    """Load the weights, downloading those that timm publishes."""
    info = find_model(spec)
    preparation = _preparation(info, spec)
    model = _loaded(spec, info, preparation)
    tensors = file_digest(info.path) if info.path else tensors_digest(model.state_dict())
    width = _width_of(info, preparation)
    return NetworkEncoder(spec, info.name, width, _digest(info, preparation, tensors), preparation, model)


def find_model(spec: EncoderSpec) -> TimmModel:
    """Find the model of a spec.

    Raises:
        MissingExtra: timm, torch or torchvision is not installed.
        RecipeError: no such architecture, tag or file.
    """
    check_installed(("timm", "torch", "torchvision"), f"the model {spec.model}")
    if spec.name_or_path.startswith(("hf-hub:", "hf_hub:", "local-dir:")):
        raise RecipeError(
            f"{spec.model}: download the weights, and name the architecture and the file: timm:MODEL/path/to/weights; "
            "so that a run depends on nothing that can change"
        )
    name, slash, weights = spec.name_or_path.partition("/")
    path = Path(weights).expanduser() if slash else None
    if slash and not is_weight_file(weights):
        raise RecipeError(f"{spec.model}: '{weights}' is not a weights file; a published tag is written timm:MODEL.TAG")
    if path is not None and not path.is_file():
        raise RecipeError(f"{spec.model}: no weights file {path}; check the path")
    if "timm" not in sys.modules:
        with suppress(NotInSourceError):
            return _model_of(spec, timm_sources(), name, path)
    return _model_of(spec, import_library("timm", f"the model {spec.model}"), name, path)


def _model_of(spec: EncoderSpec, timm: Any, name: str, path: Path | None) -> TimmModel:
    """Find a model in timm, or in what stands in for it without importing it."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise RecipeError(f"{spec.model}: timm has no model '{architecture}'; {_meant(architecture, timm)}")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise RecipeError(f"{spec.model}: timm has no weights '{tag}' of {architecture}; {did_you_mean(tag, tags)}")
    if not tag and path is None and not tags:
        raise RecipeError(f"{spec.model}: timm publishes no weights of it; give a file: {spec.model}/path/to/weights")
    config = timm.get_pretrained_cfg(f"{architecture}.{tag}" if tag else architecture)
    return TimmModel(architecture, "" if path else str(config.tag or tag), path, config.to_dict())


def _meant(architecture: str, timm: Any) -> str:
    listed = did_you_mean(architecture, timm.list_models())
    return listed if listed.startswith("did you") else "see timm.list_models()"


def _fixed(info: TimmModel) -> bool:
    """Whether the architecture is built for images of one size."""
    return bool(info.config.get("fixed_input_size", False))


def _preparation(info: TimmModel, spec: EncoderSpec) -> Preparation:
    """Return timm's preparation of images to evaluate these weights."""
    channels, height, width = info.config["input_size"]
    mode = info.config.get("crop_mode", "center")
    if channels != 3 or height != width or mode not in _MODES:
        raise RecipeError(
            f"{spec.model}: takes images of {channels} x {height} x {width}, crop mode '{mode}'; only RGB squares, "
            f"{' or '.join(_MODES)}, are supported"
        )
    crop = spec.crop or width
    resize = spec.resize or math.floor(crop / info.config["crop_pct"])
    if resize < crop:
        raise RecipeError(
            f"{spec.model}: images are resized to {resize} pixels, too few to crop {crop}; set 'resize' and 'crop'"
        )
    return Preparation(
        resize=resize,
        crop=crop,
        resize_mode=_MODES[mode],
        interpolation=info.config["interpolation"],
        mean=tuple(info.config["mean"]),
        std=tuple(info.config["std"]),
    )


def _width_of(info: TimmModel, preparation: Preparation) -> int:
    """Return the dimensions of a vector; images of another size than usual are tried, as not every model takes them."""
    known = known_widths("timm").get(info.architecture)
    if known and preparation.crop == info.config["input_size"][2]:
        return known
    return _width(info.architecture, preparation.crop, _fixed(info))


@lru_cache(maxsize=64)
def _width(architecture: str, edge: int, fixed: bool) -> int:
    """Return the dimensions of a vector, from a pass on the meta device."""
    timm, torch = import_library("timm", f"the model timm:{architecture}"), import_torch()
    with torch.device("meta"), torch.inference_mode():
        model = timm.create_model(architecture, num_classes=0, **({"img_size": edge} if fixed else {})).eval()
        return int(model(torch.empty(1, 3, edge, edge)).shape[1])


def _loaded(spec: EncoderSpec, info: TimmModel, preparation: Preparation) -> Any:
    """Load the model without its head. Weights of a file are loaded strictly; for published ones timm does so."""
    timm = import_library("timm", f"the model {spec.model}")
    options: dict[str, Any] = {"img_size": preparation.crop} if _fixed(info) else {}
    name = info.architecture
    if info.path is not None:
        tensors = _headless(tensors_of(read_checkpoint(info.path, spec.model), info.path, spec.model), info)
        # With as many classes as the model has, timm loads strictly.
        options["pretrained_cfg_overlay"] = {"state_dict": tensors, "num_classes": 0, "label_offset": 0}
    else:
        name = f"{info.architecture}.{info.tag}" if info.tag else info.architecture
    try:
        return timm.create_model(name, pretrained=True, num_classes=0, **options)
    except Exception as error:  # errors of torch, safetensors, the network and the hub have no common base
        first = " ".join(str(error).split())[:300] or type(error).__name__
        advice = "" if info.path else f"; without network, name a file: timm:{info.architecture}/path/to/weights"
        raise RecipeError(f"{spec.model}: cannot be loaded: {first}{advice}") from None


def _headless(tensors: Tensors, info: TimmModel) -> Tensors:
    """Return the tensors without those of the classifier."""
    said = info.config.get("classifier") or ()
    heads = {*_HEADS, *((said,) if isinstance(said, str) else said)}
    ends = {f"{head}.{part}" for head in heads for part in ("weight", "bias")}
    return {name: value for name, value in tensors.items() if name not in ends}


def _digest(info: TimmModel, preparation: Preparation, tensors: str) -> str:
    """Return the digest of the weights and of everything else that vectors depend on."""
    identity = {"architecture": info.architecture, "weights": tensors, "image": preparation.identity()}
    return identity_digest({"timm": identity})
