"""open_clip encoders: `open_clip:MODEL/TAG`, `open_clip:MODEL/path/to/weights`, `open_clip:local-dir:FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError
from poolwright.core.images.image_files import Limits
from poolwright.core.runtime.threads import import_torch
from poolwright.models.encoders.networks.network import Network, device_of, import_library
from poolwright.models.encoders.networks.openclip_lookup import OpenClipModel, find_model
from poolwright.models.encoders.prepare import Preparation
from poolwright.models.encoders.vectors import EVERYTHING, Peek, encode_unique, file_digest, identity_digest


def check(spec: EncoderSpec) -> None:
    """Check libraries, architecture, tag and files, without importing open_clip.

    Raises:
        MissingExtra: open_clip is not installed.
        RecipeError: no such architecture, tag or file.
    """
    find_model(spec)


def peek(spec: EncoderSpec) -> Peek:
    """Return name and width from the architecture; the weight digest if the weights are a local file."""
    info = find_model(spec)
    weights = "" if info.checkpoint is None else _weights(info, info.preparation, info.quick_gelu, info.checkpoint)
    return Peek(info.name, info.width, weights, True)


def load(spec: EncoderSpec) -> OpenClipEncoder:
    """Load the weights, downloading those of a tag."""
    return OpenClipEncoder(spec)


class OpenClipEncoder:
    """A model of open_clip: half precision on a GPU, float32 on a CPU. May be called from several threads."""

    def __init__(self, spec: EncoderSpec) -> None:
        open_clip = import_open_clip(f"the model {spec.model}")
        torch = import_torch()

        info = find_model(spec)
        self.name, self.width = info.name, info.width
        device = device_of(spec, torch)
        self._model, quick_gelu, checkpoint = _model(open_clip, info, device)
        preparation = _preparation(self._model.visual.preprocess_cfg, spec)
        self.weights = _weights(info, preparation, quick_gelu, checkpoint)
        self._tokenize = _tokenizer(open_clip, info)
        half = device == "cuda"
        self._network = Network(self._model.encode_image, preparation, self.width, device, spec.batch, half)

    def images(self, files: Sequence[bytes | None], limits: Limits = EVERYTHING) -> tuple[np.ndarray, list[str | None]]:
        """As `Encoder.images`, within limits."""
        return self._network.images(files, limits)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """As `Encoder.texts`."""
        return encode_unique(texts, self._text_vectors, self.width)

    def _text_vectors(self, texts: list[str]) -> np.ndarray:
        torch = import_torch()

        parts, batch = [], self._network.batch
        with torch.inference_mode():
            for at in range(0, len(texts), batch):
                some = texts[at : at + batch]
                tokens = self._tokenize([*some, *[""] * (batch - len(some))]).to(self._network.device)
                parts.append(self._model.encode_text(tokens)[: len(some)])
            return np.asarray(torch.cat(parts).float().cpu().numpy())


def import_open_clip(purpose: str) -> Any:
    """Import open_clip.

    Raises:
        MissingExtra: it is not installed.
        RecipeError: it is installed, but not compatible with torch or torchvision.
    """
    return import_library("open_clip", purpose)


def _model(open_clip: Any, info: OpenClipModel, device: str) -> tuple[Any, bool, Path]:
    """Return the model, whether it uses QuickGELU, and the file of its weights."""
    quick_gelu, checkpoint = info.quick_gelu, info.checkpoint
    try:
        if checkpoint is None:
            wanted = open_clip.get_pretrained_cfg(info.architecture, info.tag)
            # OpenAI's weights need it; open_clip only warns if the name of the model does not include it.
            quick_gelu = quick_gelu or bool(wanted.get("quick_gelu", False))
            checkpoint = Path(open_clip.download_pretrained(wanted))
        model = open_clip.create_model(
            info.model_name,
            pretrained=info.tag or (str(checkpoint) if not info.folder else None),
            precision="fp16" if device == "cuda" else "fp32",
            device=device,
            force_quick_gelu=quick_gelu,
        )
    except Exception as error:  # errors of torch, pickle, safetensors and the hub have no common base
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise RecipeError(f"open_clip:{info.text}: cannot be loaded: {first}") from None
    return model.eval().requires_grad_(False), quick_gelu, checkpoint


def _preparation(config: dict[str, Any], spec: EncoderSpec) -> Preparation:
    size = config["size"]
    edges = {size} if isinstance(size, int) else set(size)
    if len(edges) > 1:
        raise RecipeError(f"{spec.model}: takes images of {size}; only models for square images are supported")
    edge = edges.pop()
    return Preparation(
        resize=edge,
        crop=edge,
        resize_mode=config["resize_mode"],
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        fill=config["fill_color"],
    )


def _weights(info: OpenClipModel, preparation: Preparation, quick_gelu: bool, checkpoint: Path) -> str:
    """Return the digest of the weight file and of everything else that vectors depend on."""
    return identity_digest(
        {
            "architecture": info.architecture,
            "quick_gelu": quick_gelu,
            "file": file_digest(checkpoint),
            "image": preparation.identity(),
        }
    )


def _tokenizer(open_clip: Any, info: OpenClipModel) -> Any:
    try:
        return open_clip.get_tokenizer(info.model_name)
    except ImportError as error:
        raise RecipeError(f"open_clip:{info.text}: its tokenizer needs {error.name}; install it") from None
