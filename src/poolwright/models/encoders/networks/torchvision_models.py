"""torchvision encoders: `torchvision:MODEL`, `torchvision:MODEL/NAME-OF-WEIGHTS` or `torchvision:MODEL/path`.

Classification models without their head: the last linear layer, and nothing else, is taken off.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import MissingExtra, RecipeError, did_you_mean
from poolwright.core.runtime.threads import import_torch
from poolwright.models.encoders.networks.checkpoint import load_strictly, read_checkpoint, tensors_of
from poolwright.models.encoders.networks.network import NetworkEncoder, import_library, resized
from poolwright.models.encoders.prepare import Interpolation, Preparation
from poolwright.models.encoders.vectors import Peek, file_digest, identity_digest
from poolwright.models.encoders.weight_files import is_weight_file

_HEADS = ("fc", "classifier", "heads", "head")
"""Where torchvision's classification models have their last linear layer."""

_FILTERS: dict[str, Interpolation] = {"bilinear": "bilinear", "bicubic": "bicubic", "nearest": "nearest"}


@dataclass(frozen=True)
class TorchvisionModel:
    """What `torchvision:...` names.

    Attributes:
        architecture: 'resnet50'.
        path: of the weights, where they are a file.
        published: torchvision's entry of the weights. Of a file with the name under which torchvision publishes
            weights it is theirs; of any other file that of the architecture's first ones.
    """

    architecture: str
    path: Path | None
    published: Any

    @property
    def name(self) -> str:
        """For people, without local folders."""
        return f"{self.architecture}/{self.path.name if self.path else self.published.name}"


def check(spec: EncoderSpec) -> None:
    """Check library, architecture, name, file and options; the first such check of a process imports torchvision.

    Raises:
        MissingExtra: torchvision is not installed.
        RecipeError: no such architecture, weights or file.
    """
    peek(spec)


def peek(spec: EncoderSpec) -> Peek:
    """Name and width from the architecture; the weight digest where the weights lie on this machine."""
    place = place_of(spec)
    file = place.path or _kept(place)
    weights = _digest(place, _preparation(place, spec), file) if file.is_file() else ""
    return Peek(place.name, _width(place.architecture), weights, False)


def load(spec: EncoderSpec) -> NetworkEncoder:
    """Load the weights, downloading those that torchvision publishes."""
    place = place_of(spec)
    preparation, width = _preparation(place, spec), _width(place.architecture)
    path = place.path or _downloaded(place, spec)
    tensors = tensors_of(read_checkpoint(path, spec.model), path, spec.model)
    model = headless(load_strictly(_empty(place.architecture), tensors, path, spec.model), place.architecture)
    return NetworkEncoder(spec, place.name, width, _digest(place, preparation, path), preparation, model)


def place_of(spec: EncoderSpec) -> TorchvisionModel:
    """The place of a spec.

    Raises:
        MissingExtra: torchvision is not installed.
        RecipeError: no such architecture, weights or file.
    """
    if importlib.util.find_spec("torchvision") is None:
        raise MissingExtra("torchvision", f"the model {spec.model}")
    architecture, slash, weights = spec.place.partition("/")
    path = Path(weights).expanduser() if slash and is_weight_file(weights) else None
    if path is not None and not path.is_file():
        raise RecipeError(f"{spec.model}: no weights file {path}; check the path")
    models = import_library("torchvision", f"the model {spec.model}").models
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


def _kept(place: TorchvisionModel) -> Path:
    """Where torch.hub keeps published weights that were downloaded."""
    return Path(import_torch().hub.get_dir()) / "checkpoints" / _file_name(place.published)


def _downloaded(place: TorchvisionModel, spec: EncoderSpec) -> Path:
    torch, path = import_torch(), _kept(place)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    digits = path.stem.rpartition("-")[2]  # of the SHA-256 of the file, as torchvision names them
    try:
        torch.hub.download_url_to_file(place.published.url, str(path), hash_prefix=digits, progress=False)
    except (OSError, RuntimeError) as error:
        raise RecipeError(
            f"{spec.model}: {place.published.url} cannot be downloaded: {error}; without network, name a file: "
            f"torchvision:{place.architecture}/path/to/{path.name}"
        ) from None
    return path


def _preparation(place: TorchvisionModel, spec: EncoderSpec) -> Preparation:
    """As torchvision prepares images to evaluate these weights."""
    said = place.published.transforms()
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
    """The network without weights."""
    models = import_library("torchvision", f"the model torchvision:{architecture}").models
    more = {}
    if architecture in ("googlenet", "inception_v3"):  # as torchvision builds them where it loads weights itself
        more = {"init_weights": False, "transform_input": True}
    return models.get_model(architecture, weights=None, **more)


@lru_cache(maxsize=64)
def _width(architecture: str) -> int:
    """Dimensions of a vector: what the last linear layer takes."""
    torch = import_torch()
    with torch.device("meta"):
        return int(_last_linear(_empty(architecture), architecture)[2].in_features)


def headless(model: Any, architecture: str) -> Any:
    """The model with its last linear layer replaced by nothing."""
    torch = import_torch()
    parent, name, _ = _last_linear(model, architecture)
    setattr(parent, name, torch.nn.Identity())
    return model


def _last_linear(model: Any, architecture: str) -> tuple[Any, str, Any]:
    """(module that holds it, its name there, the layer)."""
    torch = import_torch()
    for head in _HEADS:
        if not hasattr(model, head):
            continue
        if isinstance(getattr(model, head), torch.nn.Linear):
            return model, head, getattr(model, head)
        inside = [(name, one) for name, one in getattr(model, head).named_children()]
        if inside and isinstance(inside[-1][1], torch.nn.Linear):
            return getattr(model, head), *inside[-1]
    raise RecipeError(f"torchvision:{architecture}: has no linear layer at its end to take off; choose another model")


def _digest(place: TorchvisionModel, preparation: Preparation, file: Path) -> str:
    """Digest of the weight file and of everything else that vectors come from."""
    identity = {
        "architecture": place.architecture,
        "file": file_digest(file),
        "image": preparation.identity(),
    }
    return identity_digest({"torchvision": identity})
