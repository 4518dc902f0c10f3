"""Answer as timm about its models, from its source, without importing it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from poolwright.models.encoders.networks.installed_sources import InstalledSources, NotInSourceError


class TimmSources:
    """The functions of timm by which a model is found, for models that one module of it registers by decorator.

    Raises:
        NotInSourceError: from all methods, if only the import of timm can tell.
    """

    def __init__(self) -> None:
        self._sources = InstalledSources("timm")
        if not self._sources.models:
            raise NotInSourceError("no module of timm registers models by decorator")

    def is_model(self, name: str) -> bool:
        """As `timm.is_model`."""
        if name not in self._sources.models and self._sources.mentions(name):
            raise NotInSourceError(f"{name} may be a former name")
        return name in self._sources.models

    def list_models(self) -> list[str]:
        """As `timm.list_models`, in another order."""
        return sorted(self._sources.models)

    def list_pretrained(self, pattern: str) -> list[str]:
        """As `timm.list_pretrained` for 'MODEL.*', in another order."""
        return [name for name, config in self._configs(pattern.removesuffix(".*")).items() if config.has_weights]

    def get_pretrained_cfg(self, name: str) -> Any:
        """As `timm.get_pretrained_cfg`, for a model, or a model and tag, that has one."""
        model = name.partition(".")[0]
        configs = self._configs(model)
        return configs[name if name != model else next(iter(configs))]

    def _configs(self, model: str) -> dict[str, Any]:
        """Return the configurations of a model by 'MODEL.TAG', that of the default tag first."""
        module, *others = self._sources.models[model]
        if others:
            raise NotInSourceError(f"{model} is registered by {module} and {', '.join(others)}")
        known = self._sources.module(module).value("default_cfgs").get(model)
        if not hasattr(known, "cfgs"):  # there is none, or it is of the form before tags
            raise NotInSourceError(f"{model} has no configurations by tag in {module}")
        return {f"{model}.{tag}": _completed(known.cfgs[tag], model, tag) for tag in known.tags}


def _completed(config: Any, model: str, tag: str) -> Any:
    """Return a configuration as `timm.models.register_model` stores it."""
    name = f"{model}.{tag}" if tag else model
    address = f"timm/{name}" if config.hf_hub_id == "timm/" else config.hf_hub_id
    return replace(config, architecture=model, tag=tag or None, hf_hub_id=address)


@cache
def timm_sources() -> TimmSources:
    """Return the sources of the installed timm, which are read once.

    Raises:
        NotInSourceError: it is not written as expected.
    """
    return TimmSources()
