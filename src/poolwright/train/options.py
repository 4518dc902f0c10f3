"""Settings of a training, all of which are checked before any image is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.models.encoders.networks.mmd_vae import Architecture


class TrainOptions(BaseModel):
    """Settings of every training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    apart: ClassVar[tuple[str, ...]] = ("device", "workers")
    """Settings that results do not depend on: they may differ when a training is continued."""

    epochs: int = Field(default=100, ge=1, description="number of passes over all images")
    batch: int = Field(
        default=64, ge=2, description="images per step; an incomplete last batch of an epoch is left out"
    )
    seed: int = Field(default=0, ge=0, description="seed of initial weights, order and augmentation")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="device to train on")
    workers: int | None = Field(
        default=None, ge=0, description="processes that decode images; default none on a CPU, one per core for a GPU"
    )

    def identity(self) -> dict[str, Any]:
        """Return the settings that the weights depend on."""
        return self.model_dump(exclude=set(self.apart))


class MmdVaeOptions(TrainOptions):
    """An MMD-VAE: reconstruction, and codes near a standard normal."""

    kind: ClassVar[str] = "mmd-vae"

    size: int = Field(default=64, description="edge in pixels of the images it sees: 8, 16, 32, ... 512")
    latent: int = Field(default=128, description="dimensions of a code")
    channels: int = Field(default=32, description="channels of the first convolution; a multiple of 8")
    vector: Literal["pooled", "code"] = Field(
        default="pooled",
        description="contents of the vector: the first convolution over parts and the code, or the code",
    )
    learning_rate: float = Field(
        default=1e-3, gt=0, description="learning rate of Adam; decays to zero along half a cosine"
    )
    mmd_weight: float = Field(
        default=1.0, ge=0, description="weight of the discrepancy relative to the reconstruction error"
    )
    bandwidth: float | None = Field(
        default=None, gt=0, description="variance of the RBF kernel; default the dimensions of a code"
    )
    flip: bool = Field(default=True, description="mirror half of the images, at random")
    shift: float = Field(
        default=0.1, ge=0, le=0.5, description="move images by up to this share of their edge, at random"
    )

    @property
    def architecture(self) -> Architecture:
        """Architecture of the network."""
        return Architecture(size=self.size, latent=self.latent, channels=self.channels, vector=self.vector)


class MocoOptions(TrainOptions):
    """MoCo v2 (Chen, Fan, Girshick and He 2020, arXiv:2003.04297); defaults as published, for 224 pixels."""

    kind: ClassVar[str] = "moco"

    architecture: str = Field(default="resnet50", description="a ResNet of timm: resnet18, resnet50, ...")
    size: int = Field(default=224, ge=16, le=512, description="edge in pixels of the images it sees")
    epochs: int = Field(default=200, ge=1, description="number of passes over all images")
    batch: int = Field(
        default=256, ge=2, description="images per step; an incomplete last batch of an epoch is left out"
    )
    learning_rate: float = Field(
        default=0.03, gt=0, description="learning rate of SGD; decays to zero along half a cosine"
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(default=1e-4, ge=0, description="weight decay of SGD")
    temperature: float = Field(default=0.2, gt=0, description="temperature of the contrastive loss")
    queue: int | None = Field(
        default=None, ge=2, description="codes of earlier images in the memory bank; default 65,536, or half the images"
    )
    encoder_momentum: float = Field(default=0.999, ge=0, lt=1, description="momentum of the encoder of the keys")
    projection: int = Field(default=128, ge=2, description="dimensions of a code in the loss")
    norm_group: int = Field(
        default=32, ge=2, description="images that share a batch normalisation, as on one GPU of the original's eight"
    )
    jitter: float = Field(default=1.0, ge=0, description="strength of the colour jitter; 0.5 suits tiny images")
    blur: float = Field(default=0.5, ge=0, le=1, description="share of the views that are blurred")


OPTIONS: dict[str, type[TrainOptions]] = {kind.kind: kind for kind in (MmdVaeOptions, MocoOptions)}


def train_options(kind: str, given: Mapping[str, Any]) -> TrainOptions:
    """Return the checked settings of a kind of training.

    Raises:
        RecipeError: there is no such kind or setting, or a value is not valid.
    """
    name = kind.replace("_", "-")
    if name not in OPTIONS:
        raise RecipeError(f"no encoder '{kind}' to train; {did_you_mean(name, OPTIONS)}")
    fields = OPTIONS[name].model_fields
    for key in given:
        if key not in fields:
            raise RecipeError(f"training of {name} has no setting '{key}'; {did_you_mean(str(key), fields)}")
    try:
        options = OPTIONS[name].model_validate(dict(given))
        if isinstance(options, MmdVaeOptions):
            _ = options.architecture
    except ValidationError as error:
        raise RecipeError(f"training of {name}: {_message(error)}") from None
    return options


def _message(error: ValidationError) -> str:
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    got = "" if isinstance(first["input"], Mapping) else f", not {first['input']!r}"
    return f"{path}: {message}{got}" if path else message
