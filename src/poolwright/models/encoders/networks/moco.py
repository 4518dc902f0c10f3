"""MoCo encoders: `moco:PATH`, a checkpoint of the public code of MoCo v1, v2 or v3, without its head.

v1, v2  https://github.com/facebookresearch/moco: {'arch', 'state_dict': {'module.encoder_q.*'}}, head `fc`
v3      https://github.com/facebookresearch/moco-v3: {'arch', 'state_dict': {'module.base_encoder.*'}}, head `fc` of a
        ResNet, `head` of a ViT

and those that `poolwright train-encoder moco` writes, which also record how images are prepared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError
from poolwright.core.runtime.threads import import_torch
from poolwright.models.encoders.networks.checkpoint import Tensors, load_strictly, read_checkpoint, tensors_of
from poolwright.models.encoders.networks.network import NetworkEncoder, import_library, resized
from poolwright.models.encoders.prepare import Preparation
from poolwright.models.encoders.vectors import Peek, file_digest, identity_digest

DEFAULT = "resnet50"
PREPARATION = "poolwright"
"""Key of poolwright's own checkpoints: {'resize', 'crop'} of the images."""

# How the public code evaluates: Resize(256), CenterCrop(224), ImageNet's mean and deviation.
EVALUATED = Preparation(
    resize=256, crop=224, interpolation="bilinear", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)

_ENCODERS = ("encoder_q.", "base_encoder.")
_HEADS = ("fc.", "head.")
_OTHERS = ("encoder_k.", "momentum_encoder.", "predictor.", "queue")
"""Prefixes of tensors that only training needs: the other encoder, the predictor of v3, the memory bank."""

_VITS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit_small": ("vit_small_patch16_224", {"num_heads": 12}),  # MoCo v3 gives it twice the usual heads
    "vit_base": ("vit_base_patch16_224", {}),
}


@dataclass(frozen=True)
class Checkpoint:
    """An encoder from a MoCo checkpoint.

    Attributes:
        architecture: its name in the checkpoint.
        tensors: of the encoder, without head.
        preparation: of images.
    """

    architecture: str
    tensors: Tensors
    preparation: Preparation


def check(spec: EncoderSpec) -> None:
    """Check the file, its names and its architecture; this reads it, and imports timm.

    Raises:
        MissingExtra: timm is not installed.
        RecipeError: no such file, or it is not such a checkpoint.
    """
    peek(spec)


def peek(spec: EncoderSpec) -> Peek:
    """Return name, width and weight digest, from the file."""
    path = _path(spec)
    status = path.stat()
    architecture, width, preparation = _looked_at(spec.model, path, status.st_size, status.st_mtime_ns)
    return Peek(path.name, width, _digest(architecture, path, resized(preparation, spec)), False)


def load(spec: EncoderSpec) -> NetworkEncoder:
    """Load the weights."""
    path = _path(spec)
    found = read_moco(path, spec.model)
    network = load_strictly(backbone(found.architecture, spec.model), found.tensors, path, spec.model)
    preparation, seen = resized(found.preparation, spec), peek(spec)
    return NetworkEncoder(spec, seen.name, seen.width, seen.weights, preparation, network)


def read_moco(path: Path, model: str) -> Checkpoint:
    """Read the query (v1, v2) or base encoder (v3) of a checkpoint.

    Raises:
        RecipeError: it is not a checkpoint of MoCo.
    """
    checkpoint = read_checkpoint(path, model)
    tensors = tensors_of(checkpoint, path, model)
    prefix = next((prefix for prefix in _ENCODERS if any(name.startswith(prefix) for name in tensors)), None)
    if prefix is None:
        raise RecipeError(
            f"{model}: {path.name} is not a checkpoint of MoCo: none of its names begins with module.encoder_q. or "
            f"module.base_encoder. ({next(iter(tensors))}, ...); other checkpoints are for timm: or torchvision:"
        )
    strange = [name for name in tensors if not name.startswith((prefix, *_OTHERS))]
    if strange:
        raise RecipeError(f"{model}: {path.name} is not a checkpoint of MoCo: it has {', '.join(strange[:4])}")
    encoder = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    said = checkpoint if isinstance(checkpoint, Mapping) else {}
    return Checkpoint(
        architecture=str(said.get("arch", DEFAULT)),
        tensors={name: value for name, value in encoder.items() if not name.startswith(_HEADS)},
        preparation=_preparation(said.get(PREPARATION), path, model),
    )


def _preparation(said: Any, path: Path, model: str) -> Preparation:
    from dataclasses import replace

    if said is None:
        return EVALUATED
    try:
        return replace(EVALUATED, resize=int(said["resize"]), crop=int(said["crop"]))
    except (TypeError, KeyError, ValueError):
        raise RecipeError(f"{model}: {path.name} says under '{PREPARATION}' how images are prepared: {said}") from None


def backbone(architecture: str, model: str) -> Any:
    """Build the network without head and without weights; ResNets have torchvision's names in timm too.

    Raises:
        RecipeError: no such architecture.
        MissingExtra: timm is not installed.
    """
    timm = import_library("timm", f"the model {model}")
    name, options = _VITS.get(architecture, (architecture, {}))
    if not timm.is_model(name):
        raise RecipeError(f"{model}: its architecture '{architecture}' is not one of timm; it cannot be loaded")
    return timm.create_model(name, num_classes=0, **options)


@lru_cache(maxsize=16)
def _looked_at(model: str, path: Path, size: int, changed: int) -> tuple[str, int, Preparation]:
    """Return (architecture, width, preparation). Size and time of change are cache keys for changed files."""
    found, torch = read_moco(path, model), import_torch()
    with torch.device("meta"), torch.inference_mode():
        network = load_strictly(backbone(found.architecture, model), _shapes(found.tensors), path, model).eval()
        edge = found.preparation.crop
        return found.architecture, int(network(torch.empty(1, 3, edge, edge)).shape[1]), found.preparation


def _shapes(tensors: Tensors) -> Tensors:
    """Return the tensors without their memory."""
    return {name: value.to("meta") for name, value in tensors.items()}


def _path(spec: EncoderSpec) -> Path:
    path = Path(spec.name_or_path).expanduser()
    if not path.is_file():
        raise RecipeError(f"{spec.model}: no such file; check the path")
    return path


def _digest(architecture: str, path: Path, preparation: Preparation) -> str:
    """Return the digest of the file and of everything else that vectors depend on."""
    identity = {"architecture": architecture, "file": file_digest(path), "image": preparation.identity()}
    return identity_digest({"moco": identity})
