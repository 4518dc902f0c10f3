"""Models known from the sources of timm and torchvision, against what the imported libraries say."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import pytest

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import MissingExtra, RecipeError
from poolwright.models.encoders.networks import network, timm_models, torchvision_models, widths
from poolwright.models.encoders.networks.installed_sources import InstalledSources, NotInSourceError
from poolwright.models.encoders.networks.timm_sources import TimmSources
from poolwright.models.encoders.networks.torchvision_sources import TorchvisionSources

INIT = "from .constants import *\nfrom . import constants\n"
CONSTANTS = "import math\nMEAN = (0.5, math.pi)\nHIDDEN = torch_is_not_here = 3\n"
MODELS = '''
from __future__ import annotations
import torch
from dataclasses import dataclass
from torch import nn
from made_up import MEAN as AVERAGE
from .sub.things import Thing
try:
    from torch import compile
except ImportError:
    compile = None

@dataclass
class Config:
    """A config."""
    thing: Thing
    size: int = 1

    def build(self) -> nn.Module:
        return nn.Linear(self.size, 1)

class Network(nn.Module):
    pass

def _config(**more):
    return dict(mean=AVERAGE, **more)

configs = {"a": _config(size=1), "b": _config(size=2)}
for name in list(configs):
    configs[name + "_copy"] = {**configs[name], "copied": True}
configs = {name: Config(Thing(name), value["size"]) for name, value in configs.items()}

@register_model
def one(pretrained: bool = False) -> Network:
    return Network()

@register_model(name="x")
@other(
    thing=1)
def two(weights: Config | None = None):
    return Network()

register_deprecations(__name__, {'former': 'one'})
'''


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstalledSources:
    package = tmp_path / "made_up"
    (package / "models" / "sub").mkdir(parents=True)
    (package / "models" / "sub" / "things.py").write_text("class Thing(str):\n    pass\n")
    (package / "__init__.py").write_text(INIT)
    (package / "constants.py").write_text(CONSTANTS)
    (package / "models" / "networks.py").write_text(MODELS)
    (package / "models" / "broken.py").write_text("def (")
    monkeypatch.syspath_prepend(tmp_path)
    return InstalledSources("made_up")


def test_values_are_evaluated_without_what_they_do_not_need(made_up: InstalledSources) -> None:
    module = made_up.module("made_up.models.networks")
    configs = module.value("configs")
    assert {name: (str(one.thing), one.size) for name, one in configs.items()} == {
        "a": ("a", 1), "b": ("b", 2), "a_copy": ("a_copy", 1), "b_copy": ("b_copy", 2)
    }  # fmt: skip
    assert module.value("_config")() == {"mean": (0.5, 3.141592653589793)}
    assert made_up.module("made_up").value("HIDDEN") == 3
    annotation = module.function("two").args.args[0].annotation
    assert annotation is not None
    assert "Config" in str(module.evaluate(annotation))
    assert "made_up" not in sys.modules


@pytest.mark.parametrize("name", ["nn", "Network", "compile", "nothing", "one"])
def test_what_needs_other_libraries_is_not_in_the_source(made_up: InstalledSources, name: str) -> None:
    with pytest.raises(NotInSourceError):
        made_up.module("made_up.models.networks").value(name)


def test_modules_that_cannot_be_read(made_up: InstalledSources) -> None:
    with pytest.raises(NotInSourceError, match="no module"):
        made_up.module("made_up.none")
    with pytest.raises(NotInSourceError, match=r"broken\.py"):
        made_up.module("made_up.models.broken")
    with pytest.raises(NotInSourceError, match="no function"):
        made_up.module("made_up.models.networks").function("none")
    with pytest.raises(NotInSourceError, match="not installed"):
        InstalledSources("no_such_package")


def test_registered_models(made_up: InstalledSources) -> None:
    assert made_up.models == {"one": ["made_up.models.networks"], "two": ["made_up.models.networks"]}
    assert made_up.mentions("former")
    assert not made_up.mentions("forme")


def test_torchvision_says_the_same_when_it_is_imported(torchvision: Any) -> None:
    ours, theirs = TorchvisionSources(), torchvision.models
    names = theirs.list_models(module=theirs)
    assert ours.list_models(module=None) == names
    for name in names:
        one, other = ours.get_model_weights(name), theirs.get_model_weights(name)
        assert [entry.name for entry in one] == [entry.name for entry in other]
        assert one["DEFAULT"].name == other["DEFAULT"].name
        for entry in other:
            assert one[entry.name].url == entry.url
            assert _prepared(one[entry.name]) == _prepared(entry)


def _prepared(entry: Any) -> tuple[Any, ...]:
    said = entry.transforms()
    return said.resize_size, said.crop_size, said.mean, said.std, said.interpolation.value


def test_timm_says_the_same_when_it_is_imported(torchvision: Any) -> None:
    timm = pytest.importorskip("timm")
    ours, names = TimmSources(), timm.list_models()
    assert ours.list_models() == sorted(names)
    pretrained = set(timm.list_pretrained())
    for name in names:
        known = ours.list_pretrained(f"{name}.*")
        assert {one for one in known if "." in one} == {one for one in pretrained if one.startswith(f"{name}.")}
        assert ours.get_pretrained_cfg(name).to_dict() == timm.get_pretrained_cfg(name).to_dict()
        for one in known:
            assert ours.get_pretrained_cfg(one).to_dict() == timm.get_pretrained_cfg(one).to_dict()
    for former in ("vit_base_patch16_224_in21k", "tv_resnet50"):
        assert timm.is_model(former)
        with pytest.raises(NotInSourceError, match="former name"):
            ours.is_model(former)


@pytest.mark.parametrize(
    ("model", "name", "width"),
    [
        ("torchvision:resnet50/IMAGENET1K_V1", "resnet50/IMAGENET1K_V1", 2048),
        ("torchvision:regnet_y_400mf", "regnet_y_400mf/IMAGENET1K_V2", 440),
        ("timm:resnet50", "resnet50.a1_in1k", 2048),
        ("timm:vit_base_patch14_dinov2.lvd142m", "vit_base_patch14_dinov2.lvd142m", 768),
    ],
)
def test_a_model_is_known_without_an_import(
    model: str, name: str, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    module = timm_models if model.startswith("timm") else torchvision_models
    for library in ("torch", "torchvision", "timm"):
        monkeypatch.delitem(sys.modules, library, raising=False)
    monkeypatch.setattr(module, "import_library", _refuse)
    monkeypatch.setattr(module, "import_torch", _refuse)
    seen = module.peek(EncoderSpec(model=model))
    assert (seen.name, seen.width, seen.weights) == (name, width, "")
    wrong = model.replace("resnet50", "resnet5O").replace("dinov2", "dino2").replace("regnet", "regret")
    with pytest.raises(RecipeError, match="did you mean"):
        module.peek(EncoderSpec(model=wrong))


def _refuse(*_: Any) -> None:
    raise AssertionError("imported")


@pytest.mark.parametrize("variables", [{}, {"XDG_CACHE_HOME": "~/there"}, {"TORCH_HOME": "/torch"}])
def test_the_folder_of_downloads_is_that_of_torch(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    wanted = torch.hub.get_dir()
    monkeypatch.delitem(sys.modules, "torch")
    assert str(torchvision_models._hub_folder()) == wanted


def test_widths_are_those_of_the_networks(torchvision: Any) -> None:
    timm = pytest.importorskip("timm")
    known = widths.known_widths("timm")
    assert len(set(timm.list_models()) - set(known)) <= 20
    models = torchvision.models
    # The two squeezenets have no linear layer at their end.
    assert set(models.list_models(module=models)) - set(widths.known_widths("torchvision")) == {
        "squeezenet1_0", "squeezenet1_1"
    }  # fmt: skip
    for name in ("resnet18", "test_vit", "mobilenetv3_small_050", "convnext_atto", "vgg11", "ghostnet_050"):
        config = timm.get_pretrained_cfg(name).to_dict()
        size = config["input_size"][2]
        assert known[name] == timm_models._width(name, size, bool(config.get("fixed_input_size", False)))


def test_libraries_that_are_missing_or_of_another_release(monkeypatch: pytest.MonkeyPatch) -> None:
    network.check_installed(("torch", "torchvision"), "this")
    versions = {"torch": "2.4.1+cpu", "torchvision": "0.20.1"}
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["numpy", "torch (==2.5.1)"])
    network.check_installed(("torch",), "this")
    with pytest.raises(
        RecipeError, match=r"this: torchvision is built for torch 2\.5\.1\nInstalled: torch 2\.4\.1\+cpu"
    ):
        network.check_installed(("torch", "torchvision"), "this")
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["torch==2.4.1"])
    network.check_installed(("torch", "torchvision"), "this")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtra, match="this needs torchvision"):
        network.check_installed(("torch", "torchvision"), "this")
