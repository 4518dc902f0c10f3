"""Look up open_clip models in the installed package without importing it, which takes seconds."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import MissingExtra, RecipeError, did_you_mean
from poolwright.models.encoders.prepare import Preparation
from poolwright.models.encoders.weight_files import is_weight_file

# open_clip's constants OPENAI_DATASET_MEAN and _STD, which its models use unless they set others.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)

_LOCAL = "local-dir:"
_CHECKPOINTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)


@dataclass(frozen=True)
class OpenClipModel:
    """A model that `open_clip:...` names.

    Attributes:
        text: as in the recipe, without the kind.
        model_name: name of the model in open_clip: 'ViT-B-32', or 'local-dir:...'.
        architecture: name of the architecture, without paths.
        tag: pretrained tag, empty for a file.
        checkpoint: local file of the weights; None for a tag.
        folder: whether it is a folder with its own configuration.
        config: the architecture.
        preparation: of images; for a tag, only as far as the architecture defines it.
    """

    text: str
    model_name: str
    architecture: str
    tag: str
    checkpoint: Path | None
    folder: bool
    config: dict[str, Any]
    preparation: Preparation

    @property
    def name(self) -> str:
        """Name for display, without local folders."""
        if self.folder or self.checkpoint is None:
            return f"{self.architecture}/{self.tag}" if self.tag else self.architecture
        return f"{self.architecture}/{self.checkpoint.name}"

    @property
    def width(self) -> int:
        return int(self.config["embed_dim"])

    @property
    def quick_gelu(self) -> bool:
        return bool(self.config.get("quick_gelu", False))


def find_model(spec: EncoderSpec) -> OpenClipModel:
    """Find the model of a spec.

    Raises:
        MissingExtra: open_clip is not installed.
        RecipeError: no such architecture, tag, folder or file.
    """
    if importlib.util.find_spec("open_clip") is None:
        raise MissingExtra("open_clip", f"the model {spec.model}")
    if spec.name_or_path.startswith("hf-hub:"):
        raise RecipeError(
            f"{spec.model}: download the repository, and name its folder: open_clip:local-dir:FOLDER; "
            "so that a run depends on nothing that can change"
        )
    if spec.name_or_path.startswith(_LOCAL):
        return _local_folder(spec, Path(spec.name_or_path.removeprefix(_LOCAL)))
    architecture, _, weights = spec.name_or_path.partition("/")
    config = _config(spec, architecture)
    if not weights:
        raise RecipeError(f"{spec.model}: no weights are given; write open_clip:{architecture}/TAG or /path/to/weights")
    preparation = _preparation(config, {})
    if is_weight_file(weights):
        path = Path(weights).expanduser()
        if not path.is_file():
            raise RecipeError(f"{spec.model}: no weights file {path}; check the path")
        return OpenClipModel(spec.name_or_path, architecture, architecture, "", path, False, config, preparation)
    known = _tags().get(architecture, ())
    tag = weights.lower().replace("-", "_")
    if known and tag not in known:
        raise RecipeError(f"{spec.model}: no pretrained tag or file '{weights}'; {did_you_mean(tag, known)}")
    return OpenClipModel(spec.name_or_path, architecture, architecture, tag, None, False, config, preparation)


def _local_folder(spec: EncoderSpec, folder: Path) -> OpenClipModel:
    path = folder.expanduser() / "open_clip_config.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        config = document["model_cfg"]
        preparation = _preparation(config, document.get("preprocess_cfg", {}))
    except FileNotFoundError:
        raise RecipeError(f"{spec.model}: no file {path}; a folder of open_clip has one") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{path}: not a configuration of open_clip: {error}") from None
    found = [folder / name for name in _CHECKPOINTS if (folder / name).is_file()]
    if not found:
        raise RecipeError(f"{spec.model}: no weights in {folder}; put one of {', '.join(_CHECKPOINTS[:3])} there")
    return OpenClipModel(spec.name_or_path, spec.name_or_path, folder.name, "", found[0], True, config, preparation)


def _preparation(config: dict[str, Any], said: dict[str, Any]) -> Preparation:
    """Return open_clip's preparation, which a pretrained tag may override."""
    size = config["vision_cfg"].get("image_size", 224)
    edge = size if isinstance(size, int) else size[0]
    return Preparation(
        resize=edge,
        crop=edge,
        resize_mode=said.get("resize_mode") or "shortest",
        interpolation="bilinear" if said.get("interpolation") == "bilinear" else "bicubic",
        mean=tuple(said.get("mean") or MEAN),
        std=tuple(said.get("std") or STD),
        fill=said.get("fill_color") or 0,
    )


def _config(spec: EncoderSpec, architecture: str) -> dict[str, Any]:
    imported = sys.modules.get("open_clip")
    if imported is not None and hasattr(imported, "get_model_config"):  # may have more than those of its folder
        config = imported.get_model_config(architecture)
        known = imported.list_models()
    else:
        path = _package() / "model_configs" / f"{architecture}.json"
        known = sorted(one.stem for one in path.parent.glob("*.json"))
        config = json.loads(path.read_text(encoding="utf-8")) if architecture in known else None
    if config is None:
        raise RecipeError(f"{spec.model}: open_clip has no model '{architecture}'; {did_you_mean(architecture, known)}")
    return dict(config)


@cache
def _tags() -> dict[str, list[str]]:
    """Return pretrained tags by architecture, from open_clip's source; empty if that is not as expected."""
    try:
        tree = ast.parse((_package() / "pretrained.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return {}
    tables: dict[str, ast.expr] = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    models = tables.get("_PRETRAINED")
    if not isinstance(models, ast.Dict):
        return {}
    found: dict[str, list[str]] = {}
    for key, value in zip(models.keys, models.values, strict=True):
        table = tables.get(value.id) if isinstance(value, ast.Name) else value
        if isinstance(key, ast.Constant) and isinstance(table, ast.Call):
            name = str(key.value)
            found[name] = found[name + "-quickgelu"] = [keyword.arg for keyword in table.keywords if keyword.arg]
    return found


def _package() -> Path:
    spec = importlib.util.find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("open_clip", "a model of open_clip")
    return Path(spec.submodule_search_locations[0])
