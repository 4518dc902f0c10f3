"""torchvision encoders: `torchvision:MODEL`, `torchvision:MODEL/NAME-OF-WEIGHTS` or `torchvision:MODEL/path`.

Classification models without their head: only the last linear layer is removed.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.runtime.threads import import_torch
from poolwright.models.encoders.networks.checkpoint import load_strictly, read_checkpoint, tensors_of
from poolwright.models.encoders.networks.installed_sources import NotInSourceError
from poolwright.models.encoders.networks.network import NetworkEncoder, check_installed, import_library, resized
from poolwright.models.encoders.networks.torchvision_sources import torchvision_sources
from poolwright.models.encoders.networks.widths import known_widths
from poolwright.models.encoders.prepare import Interpolation, Preparation
from poolwright.models.encoders.vectors import Peek, file_digest, identity_digest
from poolwright.models.encoders.weight_files import is_weight_file

_HEADS = ("fc", "classifier", "heads", "head")
"""Attributes that hold the last linear layer in torchvision's classification models."""

_FILTERS: dict[str, Interpolation] = {"bilinear": "bilinear", "bicubic": "bicubic", "nearest": "nearest"}


@dataclass(frozen=True)
class TorchvisionModel:
    """A model that `torchvision:...` names.

    Attributes:
        architecture: 'resnet50'.
        path: of the weights, if they are a file.
        published: torchvision's entry of the weights. For a file with the name under which torchvision publishes
            weights it is their entry; for any other file that of the architecture's first weights.
    """

    architecture: str
    path: Path | None
    published: Any

    @property
    def name(self) -> str:
        """Name for display, without local folders."""
        return f"{self.architecture}/{self.path.name if self.path else self.published.name}"


def check(spec: EncoderSpec) -> None:
    """Check library, architecture, name, file and options; torchvision is imported if its source does not tell.

    Raises:
        MissingExtra: torchvision or torch is not installed.
        RecipeError: no such architecture, weights or file.
    """
    peek(spec)


def peek(spec: EncoderSpec) -> Peek:
    """Return name and width from the architecture; the weight digest if the weights are on this machine."""
    info = find_model(spec)
    file = info.path or _kept(info)
    weights = _digest(info, _preparation(info, spec), file) if file.is_file() else ""
    return Peek(info.name, _width(info.architecture), weights, False)


def load(spec: EncoderSpec) -> NetworkEncoder:
    """Load the weights, downloading those that torchvision publishes."""
    info = find_model(spec)
    preparation, width = _preparation(info, spec), _width(info.architecture)
    path = info.path or _downloaded(info, spec)
    tensors = tensors_of(read_checkpoint(path, spec.model), path, spec.model)
    model = headless(load_strictly(_empty(info.architecture), tensors, path, spec.model), info.architecture)
    return NetworkEncoder(spec, info.name, width, _digest(info, preparation, path), preparation, model)


def find_model(spec: EncoderSpec) -> TorchvisionModel:
    """Find the model of a spec.

    Raises:
        MissingExtra: torchvision or torch is not installed.
        RecipeError: no such architecture, weights or file.
    """
    check_installed(("torchvision", "torch"), f"the model {spec.model}")
    if "torchvision" not in sys.modules:
        with suppress(NotInSourceError):
            return _find_model(spec, torchvision_sources())
    return _find_model(spec, import_library("torchvision", f"the model {spec.model}").models)


def _find_model(spec: EncoderSpec, models: Any) -> TorchvisionModel:
    """Find a model in `torchvision.models`, or in what stands in for it without importing it."""
    architecture, slash, weights = spec.name_or_path.partition("/")
    path = Path(weights).expanduser() if slash and is_weight_file(weights) else None
    if path is not None and not path.is_file():
        raise RecipeError(f"{spec.model}: no weights file {path}; check the path")
    known = models.list_models(module=models)
    if architecture not in known:
        raise RecipeError(
            f"{spec.model}: torchvision has no model '{architecture}'; {did_you_mean(architecture, known)}"
        )
    entries = {entry.name: entry for entry in models.get_model_weights(architecture)}
    if slash and path is None and weights not in (*entries, "DEFAULT"):
        raise RecipeError(
            f"{spec.model}: no weights or file '{weights}'; {did_you_mean(weights, (*entries, 'DEFAULT'))}"
        )
    if path is not None:
        named = [entry for entry in entries.values() if _file_name(entry) == path.name]
        return TorchvisionModel(architecture, path, (named or list(entries.values()))[0])
    return TorchvisionModel(architecture, None, models.get_model_weights(architecture)[weights or "DEFAULT"])


def _file_name(published: Any) -> str:
    return str(published.url).rpartition("/")[2]


def _kept(info: TorchvisionModel) -> Path:
    """Return torch.hub's path of published weights that were downloaded."""
    return _hub_folder() / "checkpoints" / _file_name(info.published)


def _hub_folder() -> Path:
    """Return the folder of `torch.hub.get_dir()`; torch, which can be told another one, is not imported for that."""
    if "torch" in sys.modules:
        return Path(import_torch().hub.get_dir())
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", os.path.join(caches, "torch"))).expanduser() / "hub"


def _downloaded(info: TorchvisionModel, spec: EncoderSpec) -> Path:
    torch, path = import_torch(), _kept(info)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    digits = path.stem.rpartition("-")[2]  # of the file's SHA-256, which torchvision puts in its name
    try:
        torch.hub.download_url_to_file(info.published.url, str(path), hash_prefix=digits, progress=False)
    except (OSError, RuntimeError) as error:
        raise RecipeError(
            f"{spec.model}: {info.published.url} cannot be downloaded: {error}; without network, name a file: "
            f"torchvision:{info.architecture}/path/to/{path.name}"
        ) from None
    return path


def _preparation(info: TorchvisionModel, spec: EncoderSpec) -> Preparation:
    """Return torchvision's preparation of images to evaluate these weights."""
    said = info.published.transforms()
    return resized(
        Preparation(
            resize=said.resize_size[0],
            crop=said.crop_size[0],
            interpolation=_FILTERS[said.interpolation.value],
            mean=tuple(said.mean),
            std=tuple(said.std),
        ),
        spec,
    )


def _empty(architecture: str) -> Any:
    """Build the network without weights."""
    models = import_library("torchvision", f"the model torchvision:{architecture}").models
    more = {}
    if architecture in ("googlenet", "inception_v3"):  # as torchvision builds them when it loads weights itself
        more = {"init_weights": False, "transform_input": True}
    return models.get_model(architecture, weights=None, **more)


@lru_cache(maxsize=64)
def _width(architecture: str) -> int:
    """Return the dimensions of a vector, the inputs of the last linear layer."""
    known = known_widths("torchvision").get(architecture)
    if known:
        return known
    torch = import_torch()
    try:
        with torch.device("meta"):
            model = _empty(architecture)
    except NotImplementedError:  # a RegNet computes the widths of its stages by tensors
        model = _empty(architecture)
    return int(_last_linear(model, architecture)[2].in_features)


def headless(model: Any, architecture: str) -> Any:
    """Replace the last linear layer of a model by the identity."""
    torch = import_torch()
    parent, name, _ = _last_linear(model, architecture)
    setattr(parent, name, torch.nn.Identity())
    return model


def _last_linear(model: Any, architecture: str) -> tuple[Any, str, Any]:
    """Find the last linear layer: (module that holds it, its name there, the layer)."""
    torch = import_torch()
    for head in _HEADS:
        if not hasattr(model, head):
            continue
        if isinstance(getattr(model, head), torch.nn.Linear):
            return model, head, getattr(model, head)
        inside = [(name, one) for name, one in getattr(model, head).named_children()]
        if inside and isinstance(inside[-1][1], torch.nn.Linear):
            return getattr(model, head), *inside[-1]
    raise RecipeError(f"torchvision:{architecture}: has no linear layer at its end to remove; choose another model")


def _digest(info: TorchvisionModel, preparation: Preparation, file: Path) -> str:
    """Return the digest of the weight file and of everything else that vectors depend on."""
    identity = {
        "architecture": info.architecture,
        "file": file_digest(file),
        "image": preparation.identity(),
    }
    return identity_digest({"torchvision": identity})
