"""MMD-VAE encoders: `mmd_vae:PATH`, the folder that `poolwright train-encoder mmd-vae` wrote, or its weights.

The network is an autoencoder of plain convolutions. Its codes, over all images, are kept near a standard normal by the
maximum mean discrepancy (Zhao, Song and Ermon 2017, InfoVAE, arXiv:1706.02262, with the deterministic encoder of their
public code).

A vector is the mean of the first convolution in each sixteenth of the image, then the code. Coates, Ng and Lee 2011 (An
analysis of single-layer networks in unsupervised feature learning, AISTATS) showed how well one dense layer, pooled
over parts of the image and standardised, separates classes. A code by itself serves the reconstruction, mostly of large
areas of colour, and separates them no better than pixels do.

manifest.json     name, architecture, preparation, digests of weights and images, settings: see `MmdVaeManifest`
weights.safetensors
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError
from poolwright.core.runtime.threads import import_torch
from poolwright.models.encoders.networks.checkpoint import load_strictly, read_checkpoint
from poolwright.models.encoders.networks.network import NetworkEncoder
from poolwright.models.encoders.prepare import Preparation
from poolwright.models.encoders.vectors import Peek, file_digest, identity_digest

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
SMALLEST = 4
"""Edge of the feature maps in the middle."""

GRID = 4
"""Parts along each edge over which the first convolution is averaged."""

_GROUPS = 8
_FIRST = 3
"""Modules of the encoder up to its first convolution's activations."""

_LEAST_VARIANCE = 1e-3
"""Added to variances, so that features almost constant over the training images do not dominate other images."""


class Architecture(BaseModel):
    """Shape of the network.

    Attributes:
        size: edge in pixels of its square images: 8, 16, 32, ... 512.
        latent: dimensions of a code.
        channels: of the first convolution; twice as many after every halving, at most eight times.
        vector: 'pooled', the first convolution over parts of the image and the code; or 'code' alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=64, ge=8, le=512)
    latent: int = Field(default=128, ge=2, le=4096)
    channels: int = Field(default=32, ge=_GROUPS, le=512, multiple_of=_GROUPS)
    vector: Literal["pooled", "code"] = "pooled"

    @model_validator(mode="after")
    def _halves(self) -> Self:
        if self.size & (self.size - 1):
            raise ValueError(f"size {self.size} is not a power of two; the network halves it down to {SMALLEST} pixels")
        return self

    @property
    def widths(self) -> list[int]:
        """Number of channels after the first convolution and after every halving."""
        return [self.channels * min(2**level, 8) for level in range((self.size // SMALLEST).bit_length())]

    @property
    def width(self) -> int:
        """Dimensions of a vector."""
        return self.latent + (self.channels * GRID**2 if self.vector == "pooled" else 0)

    @property
    def preparation(self) -> Preparation:
        """Preparation of images: the middle square, values -1 to 1."""
        return Preparation(
            resize=self.size, crop=self.size, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
        )


class MmdVaeManifest(BaseModel):
    """Content of `manifest.json`, next to the weights.

    Attributes:
        weights: SHA-256 of `weights.safetensors`.
        preparation: as `Preparation.identity`.
        images, data: number of images it was trained on, and the digest of their uids and bytes.
        training: all settings, including the seed.
        result: losses of the first and the last epoch.
        versions: of the libraries that trained it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    kind: Literal["mmd_vae"] = "mmd_vae"
    name: str
    architecture: Architecture
    preparation: dict[str, Any]
    weights: str
    images: int
    data: str
    training: dict[str, Any]
    result: dict[str, Any] = {}
    versions: dict[str, str] = {}


def check(spec: EncoderSpec) -> None:
    """Check manifest and file, without torch.

    Raises:
        RecipeError: a file is missing, or they do not belong together.
    """
    peek(spec)


def peek(spec: EncoderSpec) -> Peek:
    """Return name, width and weight digest, from the manifest and the file's digest."""
    manifest, path = _opened(spec)
    identity = {"architecture": manifest.architecture.model_dump(), "file": file_digest(path)}
    weights = identity_digest({"mmd_vae": {**identity, "image": manifest.architecture.preparation.identity()}})
    return Peek(manifest.name, manifest.architecture.width, weights, False)


def load(spec: EncoderSpec) -> NetworkEncoder:
    """Load the weights."""
    manifest, path = _opened(spec)
    network = load_strictly(autoencoder(manifest.architecture), read_checkpoint(path, spec.model), path, spec.model)
    seen, preparation = peek(spec), manifest.architecture.preparation
    return NetworkEncoder(
        spec, seen.name, seen.width, seen.weights, preparation, describer(network, manifest.architecture)
    )


def _opened(spec: EncoderSpec) -> tuple[MmdVaeManifest, Path]:
    """Return the manifest, and the file of its weights."""
    given = Path(spec.name_or_path).expanduser()
    path = given / WEIGHTS if given.is_dir() else given
    manifest_path = path.parent / MANIFEST
    if not path.is_file():
        raise RecipeError(f"{spec.model}: no weights file {path}; check the path")
    if not manifest_path.is_file():
        raise RecipeError(f"{spec.model}: no {MANIFEST} next to {path.name}; copy both")
    try:
        manifest = MmdVaeManifest.model_validate_json(manifest_path.read_text(encoding="utf-8"))
    except (ValidationError, ValueError) as error:
        raise RecipeError(f"{manifest_path}: not the manifest of an MMD-VAE: {_describe(error)}") from None
    if manifest.weights != file_digest(path):
        raise RecipeError(f"{spec.model}: {path.name} is not the file that {MANIFEST} describes; copy both again")
    return manifest, path


def _describe(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def manifest_text(manifest: MmdVaeManifest) -> str:
    """Return the manifest as the text of its file."""
    return json.dumps(manifest.model_dump(), indent=2, ensure_ascii=False) + "\n"


def autoencoder(architecture: Architecture) -> Any:
    """Build a module with `encoder`, from images (n, 3, size, size) to codes (n, latent), and `decoder`, the reverse.

    Its `scale` subtracts means and divides by deviations of a vector (n, width); `set_scale` fills it in.
    Group normalisation makes the result of an image independent of its batch. The weights are drawn from torch's
    generator.
    """
    nn = import_torch().nn
    widths = architecture.widths
    down: list[Any] = [nn.Conv2d(3, widths[0], 3, padding=1), nn.GroupNorm(_GROUPS, widths[0]), nn.SiLU()]
    for before, after in pairwise(widths):
        down += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.GroupNorm(_GROUPS, after), nn.SiLU()]
    flat = widths[-1] * SMALLEST**2
    down += [nn.Flatten(), nn.Linear(flat, architecture.latent)]
    up: list[Any] = [nn.Linear(architecture.latent, flat), nn.Unflatten(1, (widths[-1], SMALLEST, SMALLEST)), nn.SiLU()]
    for before, after in pairwise(reversed(widths)):
        up += [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1)]
        up += [nn.GroupNorm(_GROUPS, after), nn.SiLU()]
    up += [nn.Conv2d(widths[0], 3, 3, padding=1)]
    scale = nn.BatchNorm1d(architecture.width, eps=_LEAST_VARIANCE, affine=False)  # never in training mode
    return nn.ModuleDict({"encoder": nn.Sequential(*down), "decoder": nn.Sequential(*up), "scale": scale.eval()})


def unscaled(network: Any, architecture: Architecture, images: Any) -> Any:
    """Return vectors (n, width) of images (n, 3, size, size) before they are standardised."""
    torch = import_torch()
    found = network["encoder"][:_FIRST](images)
    codes = network["encoder"][_FIRST:](found)
    if architecture.vector == "code":
        return codes
    parts = torch.nn.functional.avg_pool2d(found, architecture.size // GRID).flatten(1)
    return torch.cat([parts, codes], dim=1)


def set_scale(network: Any, mean: Any, variance: Any) -> None:
    """Set the means and variances that `scale` standardises by, both (width,)."""
    network["scale"].running_mean.copy_(mean)
    network["scale"].running_var.copy_(variance)


def describer(network: Any, architecture: Architecture) -> Any:
    """Build a module from images (n, 3, size, size) to standardised vectors (n, width)."""
    nn = import_torch().nn

    class Describer(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Any) -> Any:
            return network["scale"](unscaled(network, architecture, images))

    return Describer()
