"""Answer as torchvision about its classification models, from its source, without importing it."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any, get_args

from poolwright.models.encoders.networks.installed_sources import InstalledSources, NotInSourceError

_OF_TORCH = {"torchvision.transforms._presets": {"nn": SimpleNamespace(Module=object), "Tensor": object}}
"""What the presets of transforms take from torch; they are made, but not called, here."""


class TorchvisionSources:
    """The functions of `torchvision.models` by which a model is found.

    Raises:
        NotInSourceError: from all methods, if only the import of torchvision can tell.
    """

    def __init__(self) -> None:
        self._sources = InstalledSources("torchvision", _OF_TORCH)
        if not self._sources.models:
            raise NotInSourceError("no module of torchvision registers models by decorator")

    def list_models(self, module: Any) -> list[str]:
        """As `torchvision.models.list_models` for the module of classification models."""
        return sorted(self._sources.models)

    def get_model_weights(self, name: str) -> Any:
        """As `torchvision.models.get_model_weights`: the enumeration in the annotation of the builder's `weights`."""
        module = self._sources.module(self._sources.models[name][0])
        arguments = module.function(name).args
        for one in arguments.kwonlyargs:
            if one.arg == "weights" and one.annotation is not None:
                for choice in get_args(module.evaluate(one.annotation)):  # of Optional[ResNet50_Weights]
                    return choice
        raise NotInSourceError(f"{name} does not say which weights it takes")


@cache
def torchvision_sources() -> TorchvisionSources:
    """Return the sources of the installed torchvision, which are read once.

    Raises:
        NotInSourceError: it is not written as expected.
    """
    return TorchvisionSources()
