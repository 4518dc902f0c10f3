"""List what recipes can use: steps, pools, layouts, figures, encoders; the shipped recipes; the JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwright.core.errors import RecipeError
from poolwright.core.runtime.plugins import Package, Registry
from poolwright.registry import encoder_registry, layout_registry, pool_registry, step_registry

if TYPE_CHECKING:
    from pydantic import BaseModel

    from poolwright.recipe.shipped import Shipped


@dataclass(frozen=True)
class Parameter:
    """One parameter of an entry.

    Attributes:
        name: as in a recipe.
        default: as text; 'required' if there is none.
        meaning: its description.
    """

    name: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Entry:
    """A name that recipes can use, and its meaning.

    Attributes:
        name: as in a recipe.
        kind: of a step: describe, choose or split; else empty.
        words: its documentation, the first line a summary.
        example: the entry as a recipe writes it.
        parameters: its parameters, in order.
        reasons: why a step drops rows, as people read it, by the name of the reason.
        provides: the class; None for figures, and if it cannot be used.
        package: the installed package that adds it; None for those of poolwright.
        problem: why it cannot be used; empty if it can.
    """

    name: str
    kind: str = ""
    words: str = ""
    example: str = ""
    parameters: tuple[Parameter, ...] = ()
    reasons: Mapping[str, str] | None = None
    provides: type[Any] | None = None
    package: Package | None = None
    problem: str = ""

    @property
    def summary(self) -> str:
        """The first line of its documentation, or why it cannot be used."""
        return f"cannot be used: {self.problem}" if self.problem else self.words.partition("\n")[0]


def steps() -> dict[str, Entry]:
    """List all steps by verb, in flow order; then those of installed packages."""
    return _entries(step_registry())


def pools() -> dict[str, Entry]:
    """List all kinds of pools."""
    return _entries(pool_registry())


def layouts() -> dict[str, Entry]:
    """List all release layouts."""
    return _entries(layout_registry())


def encoders() -> dict[str, Entry]:
    """List all kinds of encoders: the part before the colon of `KIND:MODEL`."""
    from poolwright.core.encoder import EncoderSpec

    found = _entries(encoder_registry())
    return {name: _with_parameters(entry, EncoderSpec) for name, entry in found.items()}


def figures() -> dict[str, Entry]:
    """List all figures that a recipe can measure, by `measure`."""
    from poolwright.recipe.figures import Figure, measure_fields, measure_words, measures

    found = {}
    for name in measures():
        known = {parameter.name: parameter for parameter in _parameters(Figure)}
        used = tuple(
            Parameter(field, "required" if needed else known[field].default, meaning)
            for field, (meaning, needed) in measure_fields(name).items()
        )
        found[name] = Entry(name, words=measure_words(name), parameters=used)
    return found


def recipe_schema(installed: bool = True) -> str:
    """Return the JSON Schema of the recipe language, as text.

    Args:
        installed: whether to add the steps, pools, layouts and encoders of installed packages.

    Raises:
        RecipeError: one of these cannot be imported, or its name is taken.
    """
    from poolwright.recipe.jsonschema import schema_text

    return schema_text(installed)


def _entries(registry: Registry[Any]) -> dict[str, Entry]:
    return {name: _entry(registry, name) for name in registry.names()}


def _entry(registry: Registry[Any], name: str) -> Entry:
    """Make an entry; a broken one reports its problem and does not hide the others."""
    package = registry.package(name)
    try:
        cls = registry.get(name)
    except RecipeError as error:
        return Entry(name, package=package, problem=str(error))
    reasons = {
        reason.name: reason.words + (" (a bad row)" if reason.bad else "") for reason in getattr(cls, "reasons", ())
    }
    return Entry(
        name,
        kind=getattr(cls, "kind", "") if registry is step_registry() else "",
        words=cleandoc(cls.__doc__ or ""),
        example=getattr(cls, "example", ""),
        parameters=_parameters(cls) if hasattr(cls, "model_fields") else (),
        reasons=reasons,
        provides=cls,
        package=package,
    )


def _with_parameters(entry: Entry, spec: type[BaseModel]) -> Entry:
    """Return the entry of an encoder with the parameters that its kind takes."""
    from dataclasses import replace

    left_out = {"resize", "crop"} if entry.provides is not None and entry.provides.fixed else set()
    left_out |= set() if entry.name == "onnx" else {"manifest"}
    return replace(entry, parameters=tuple(one for one in _parameters(spec) if one.name not in left_out))


def _parameters(cls: type[BaseModel]) -> tuple[Parameter, ...]:
    found = []
    for name, field in cls.model_fields.items():
        default = "required" if field.is_required() else str(field.get_default(call_default_factory=True))
        found.append(Parameter(field.alias or name, default, field.description or ""))
    return tuple(found)


def recipes() -> list[Shipped]:
    """List the recipes that come with poolwright, by name."""
    from poolwright.recipe.shipped import shipped

    return shipped()


def new_recipe(name: str, to: str | Path | None = None) -> Path:
    """Write a recipe that comes with poolwright to a file, for editing.

    Args:
        name: name of the recipe, such as 'mappool'; or that of a table of one, for the part that the table needs.
        to: the file; default `<name>.yaml` in the working directory.

    Raises:
        RecipeError: no such recipe, or the file exists.
    """
    from poolwright.recipe.shipped import write_new

    return write_new(name, Path(to) if to is not None else None)


def names(kind: str) -> list[str]:
    """List the names of 'steps', 'pools', 'layouts', 'figures', 'encoders' or 'recipes', importing little."""
    if kind == "recipes":
        return [one.name for one in recipes()]
    registries: dict[str, Callable[[], Registry[Any]]] = {
        "steps": step_registry,
        "pools": pool_registry,
        "layouts": layout_registry,
    }
    if kind in registries:
        return list(registries[kind]().names())
    return list({"figures": figures, "encoders": encoders}[kind]())
