"""Manifest: what an ONNX file does not say: how images and texts are prepared for it.

{
  "name": "my-clip",
  "width": 512,
  "image": {"file": "image.onnx", "input": "image", "output": "embedding", "resize": 224, "crop": 224,
            "resize_mode": "shortest", "interpolation": "bicubic",
            "mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]},
  "text": {"file": "text.onnx", "input": "tokens", "output": "embedding", "context": 77,
           "tokenizer": {"kind": "huggingface", "file": "tokenizer.json"}}
}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.models.encoders.prepare import Interpolation, Preparation, ResizeMode

NAMES = ("manifest.json", "manifest.yaml", "manifest.yml")
_SUFFIXES = (".json", ".yaml", ".yml")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageEntry(_Entry):
    """How an image becomes a vector."""

    file: str = Field(default="", description="ONNX file beside the manifest")
    input: str = Field(default="", description="name of the input, float (n, 3, h, w); the first one")
    output: str = Field(default="", description="name of the output, float (n, width); the first one")
    resize: int = Field(ge=1, description="edge in pixels")
    resize_mode: ResizeMode = "shortest"
    crop: int | None = Field(default=None, ge=1, description="edge in pixels of the middle square; `resize`")
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fill: int = Field(default=0, ge=0, le=255, description="grey level of padding")

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if 0 in self.std:
            raise ValueError("std must not be 0; values are divided by it")
        return self

    @property
    def preparation(self) -> Preparation:
        return Preparation(
            self.resize,
            self.crop or self.resize,
            self.resize_mode,
            self.interpolation,
            self.mean,
            self.std,
            self.fill,
        )


class TokenizerEntry(_Entry):
    """How a text becomes token ids."""

    kind: Literal["words", "huggingface", "clip"]
    file: str | None = Field(default=None, description="vocabulary.txt, tokenizer.json; clip brings its own")

    @model_validator(mode="after")
    def _has_file(self) -> Self:
        if self.file is None and self.kind != "clip":
            raise ValueError(f"a tokenizer of kind '{self.kind}' needs its file")
        return self


class TextEntry(_Entry):
    """How a text becomes a vector."""

    file: str
    input: str = Field(default="", description="name of the input of token ids, int (n, context); the first one")
    mask: str | None = Field(default=None, description="name of the input that is 1 where there is a token")
    output: str = Field(default="", description="name of the output, float (n, width); the first one")
    context: int = Field(ge=1, description="tokens a text; longer ones are cut")
    tokenizer: TokenizerEntry


class OnnxManifest(_Entry):
    """Everything about an ONNX encoder that its graphs do not say."""

    name: str = ""
    width: int | None = Field(default=None, ge=1)
    image: ImageEntry
    text: TextEntry | None = None


@dataclass(frozen=True)
class Described:
    """A manifest, and the folder that its files lie in."""

    manifest: OnnxManifest
    folder: Path

    @property
    def name(self) -> str:
        return self.manifest.name or Path(self.manifest.image.file).stem

    def file(self, name: str) -> Path:
        """Path of a file that the manifest names.

        Raises:
            RecipeError: it is not there.
        """
        path = self.folder / name
        if not path.is_file():
            raise RecipeError(f"model '{self.name}': no file {path}; its manifest names it")
        return path


def described(spec: EncoderSpec) -> Described:
    """The manifest of `onnx:PATH`: given with the spec, the file itself, in the folder, or beside the .onnx file.

    Raises:
        RecipeError: there is none, or it is not valid.
    """
    place = Path(spec.place).expanduser()
    if not place.exists():
        raise RecipeError(f"{spec.model}: no such file or folder: {place}; check the path")
    graph = place.name if place.suffix == ".onnx" else ""
    folder = place if place.is_dir() else place.parent
    if spec.manifest is not None:
        return _checked(_parsed(spec.manifest, spec.model), f"manifest of {spec.model}", folder, graph)
    path = _manifest_file(place)
    return _checked(_parsed(path.read_text(encoding="utf-8"), str(path)), str(path), folder, graph)


def _manifest_file(place: Path) -> Path:
    if place.suffix in _SUFFIXES:
        return place
    beside = [place / name for name in NAMES] if place.is_dir() else [place.with_suffix(end) for end in _SUFFIXES]
    for path in beside:
        if path.is_file():
            return path
    raise RecipeError(
        f"onnx:{place}: no manifest says how images are prepared for it; write {beside[0]}, or give in the recipe "
        "'manifest: {image: {resize: 256, crop: 224, mean: [...], std: [...]}}'"
    )


def _parsed(text: str, where: str) -> Any:
    import yaml

    try:
        return json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except ValueError as error:
        raise RecipeError(f"{where}: not JSON: {error}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{where}: not YAML: {error}") from None


def _checked(data: Any, where: str, folder: Path, graph: str) -> Described:
    try:
        manifest = OnnxManifest.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_words(error)}") from None
    if not manifest.image.file:
        if not graph:
            raise RecipeError(f"{where}: image.file is missing; name the ONNX file of the image encoder")
        manifest = manifest.model_copy(update={"image": manifest.image.model_copy(update={"file": graph})})
    return Described(manifest, folder)


def _words(error: ValidationError) -> str:
    """The first thing that is wrong, in words."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        fields = _fields(first["loc"][:-1])
        return f"unknown key '{place}'; {did_you_mean(str(first['loc'][-1]), fields)}"
    return f"{place}: {first['msg']}" if place else first["msg"]


def _fields(parents: tuple[int | str, ...]) -> list[str]:
    entries: dict[str, type[_Entry]] = {"image": ImageEntry, "text": TextEntry, "tokenizer": TokenizerEntry}
    return list(entries[str(parents[-1])].model_fields if parents else OnnxManifest.model_fields)
