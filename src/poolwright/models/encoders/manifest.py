"""Read manifests of ONNX encoders, which define how images and texts are prepared.

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

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.texts.text_files import load_json
from poolwright.core.texts.yaml_text import load
from poolwright.models.encoders.prepare import Interpolation, Preparation, ResizeMode

NAMES = ("manifest.json", "manifest.yaml", "manifest.yml")
_SUFFIXES = (".json", ".yaml", ".yml")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageEntry(_Entry):
    """The image encoder: its graph, and the preparation of images."""

    file: str = Field(default="", description="ONNX file next to the manifest")
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
        """Return the preparation of images that the manifest defines."""
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
    """The tokenizer, from texts to token ids."""

    kind: Literal["words", "huggingface", "clip"]
    file: str | None = Field(default=None, description="vocabulary.txt or tokenizer.json; clip has its own")

    @model_validator(mode="after")
    def _has_file(self) -> Self:
        if self.file is None and self.kind != "clip":
            raise ValueError(f"a tokenizer of kind '{self.kind}' needs its file")
        return self


class TextEntry(_Entry):
    """The text encoder: its graph, and the tokenizer of texts."""

    file: str
    input: str = Field(default="", description="name of the input of token ids, int (n, context); the first one")
    mask: str | None = Field(default=None, description="name of the input that is 1 where there is a token")
    output: str = Field(default="", description="name of the output, float (n, width); the first one")
    context: int = Field(ge=1, description="tokens per text; longer texts are cut")
    tokenizer: TokenizerEntry


class OnnxManifest(_Entry):
    """Everything about an ONNX encoder that its graphs do not specify."""

    name: str = ""
    width: int | None = Field(default=None, ge=1)
    image: ImageEntry
    text: TextEntry | None = None


@dataclass(frozen=True)
class Described:
    """A manifest, and the folder of its files."""

    manifest: OnnxManifest
    folder: Path

    @property
    def name(self) -> str:
        return self.manifest.name or Path(self.manifest.image.file).stem

    def file(self, name: str) -> Path:
        """Return the path of a file that the manifest names.

        Raises:
            RecipeError: the file does not exist.
        """
        path = self.folder / name
        if not path.is_file():
            raise RecipeError(f"model '{self.name}': no file {path}; its manifest names it")
        return path


def described(spec: EncoderSpec) -> Described:
    """Read the manifest of `onnx:PATH`: given with the spec, the file itself, in the folder, or next to the .onnx file.

    Raises:
        RecipeError: the manifest is missing or not valid.
    """
    path = Path(spec.name_or_path).expanduser()
    if not path.exists():
        raise RecipeError(f"{spec.model}: no such file or folder: {path}; check the path")
    graph = path.name if path.suffix == ".onnx" else ""
    folder = path if path.is_dir() else path.parent
    if spec.manifest is not None:
        return _checked(_parsed(spec.manifest, spec.model), f"manifest of {spec.model}", folder, graph)
    file = _manifest_file(path)
    return _checked(_parsed(file.read_text(encoding="utf-8"), str(file)), str(file), folder, graph)


def _manifest_file(path: Path) -> Path:
    if path.suffix in _SUFFIXES:
        return path
    candidates = [path / name for name in NAMES] if path.is_dir() else [path.with_suffix(end) for end in _SUFFIXES]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise RecipeError(
        f"onnx:{path}: no manifest defines how images are prepared for it; write {candidates[0]}, or set in the recipe "
        "'manifest: {image: {resize: 256, crop: 224, mean: [...], std: [...]}}'"
    )


def _parsed(text: str, where: str) -> Any:
    if not text.lstrip().startswith("{"):
        return load(text, where)
    try:
        return load_json(text)
    except ValueError as error:
        raise RecipeError(f"{where}: not JSON: {error}") from None


def _checked(data: Any, where: str, folder: Path, graph: str) -> Described:
    try:
        manifest = OnnxManifest.model_validate(data)
    except ValidationError as error:
        raise RecipeError(f"{where}: {_describe(error)}") from None
    if not manifest.image.file:
        if not graph:
            raise RecipeError(f"{where}: image.file is missing; name the ONNX file of the image encoder")
        manifest = manifest.model_copy(update={"image": manifest.image.model_copy(update={"file": graph})})
    return Described(manifest, folder)


def _describe(error: ValidationError) -> str:
    """Describe the first error."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        fields = _fields(first["loc"][:-1])
        return f"unknown key '{key}'; {did_you_mean(str(first['loc'][-1]), fields)}"
    return f"{key}: {first['msg']}" if key else first["msg"]


def _fields(parents: tuple[int | str, ...]) -> list[str]:
    entries: dict[str, type[_Entry]] = {"image": ImageEntry, "text": TextEntry, "tokenizer": TokenizerEntry}
    return list(entries[str(parents[-1])].model_fields if parents else OnnxManifest.model_fields)
