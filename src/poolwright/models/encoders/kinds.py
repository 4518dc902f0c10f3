"""Register the kinds of encoders, built-in and of installed packages. Their libraries are imported on use."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from poolwright.core.encoder import EncoderSpec
from poolwright.core.runtime.plugins import Registry, subclass_problem
from poolwright.models.encoders.kind import EncoderKind
from poolwright.models.encoders.vectors import ImageEncoder, Peek
from poolwright.models.encoders.weight_files import absolute, resolve_weights

_AS_TRAINED = "it takes images as it was trained on them; leave it out"


class _Own(EncoderKind):
    """A kind whose functions `check`, `peek` and `load` are in a module of this package."""

    @abstractmethod
    def module(self) -> Any:
        """Import and return the module."""

    def check(self, spec: EncoderSpec) -> None:
        self.module().check(spec)

    def peek(self, spec: EncoderSpec) -> Peek:
        known: Peek = self.module().peek(spec)
        return known

    def load(self, spec: EncoderSpec) -> ImageEncoder:
        encoder: ImageEncoder = self.module().load(spec)
        return encoder


class _File(_Own):
    """A kind that is named by a path."""

    def resolve(self, name_or_path: str, folder: str) -> str:
        return absolute(folder, name_or_path)


class _Architecture(_Own):
    """A kind that is named by a model, and a tag or file of its weights."""

    def resolve(self, name_or_path: str, folder: str) -> str:
        return resolve_weights(name_or_path, folder)


class Onnx(_File):
    """A CLIP, or its image encoder alone, in ONNX files with a manifest; exact on every machine, without torch."""

    kind = "onnx"
    example = "onnx:models/clip"
    fixed = "its manifest says how images are prepared; write it there"

    def module(self) -> Any:
        from poolwright.models.encoders import onnx

        return onnx


class OpenClip(_Architecture):
    """A CLIP of open_clip, by architecture and pretrained tag or weight file."""

    kind = "open_clip"
    example = "open_clip:ViT-B-32/laion2b_s34b_b79k"
    on_gpu = True
    fixed = _AS_TRAINED

    def module(self) -> Any:
        from poolwright.models.encoders.networks import openclip

        return openclip


class Timm(_Architecture):
    """An image encoder of timm, by model name, with pretrained weights or those of a file."""

    kind = "timm"
    example = "timm:vit_base_patch14_dinov2.lvd142m"
    on_gpu = True

    def module(self) -> Any:
        from poolwright.models.encoders.networks import timm_models

        return timm_models


class Torchvision(_Architecture):
    """An image encoder of torchvision, by model name and weights."""

    kind = "torchvision"
    example = "torchvision:resnet50/IMAGENET1K_V2"
    on_gpu = True

    def module(self) -> Any:
        from poolwright.models.encoders.networks import torchvision_models

        return torchvision_models


class Moco(_File):
    """A checkpoint of MoCo: its backbone, before the projection."""

    kind = "moco"
    example = "moco:checkpoints/moco_v2_800ep.pth.tar"
    on_gpu = True

    def module(self) -> Any:
        from poolwright.models.encoders.networks import moco

        return moco


class MmdVae(_File):
    """The encoder of an MMD-VAE that `poolwright train-encoder` trained."""

    kind = "mmd_vae"
    example = "mmd_vae:encoders/vae"
    on_gpu = True
    fixed = _AS_TRAINED

    def module(self) -> Any:
        from poolwright.models.encoders.networks import mmd_vae

        return mmd_vae


_OWN: dict[str, type[EncoderKind]] = {one.kind: one for one in (Onnx, OpenClip, Timm, Torchvision, Moco, MmdVae)}


ENCODERS: Registry[type[EncoderKind]] = Registry(
    "kind of encoder", "poolwright.encoders", _OWN, _OWN.__getitem__, subclass_problem(EncoderKind, "kind")
)
