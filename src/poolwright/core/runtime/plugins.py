"""Looks up names that poolwright and installed packages provide through entry points."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any, Generic, TypeVar

from poolwright.core.errors import RecipeError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True, order=True)
class Package:
    """An installed distribution, by its name and version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Registry(Generic[T]):
    """Names of one kind: those of poolwright, and those that installed packages add.

    Packages declare names as entry points, which are looked up when any name is first asked for. A package is imported
    only when a name of its own is asked for, so that one that cannot be imported affects only those who use it.

    Args:
        noun: the kind of thing that a name stands for, in messages: 'step'.
        group: the group of entry points: 'poolwright.steps'.
        own: names that poolwright itself provides, in order.
        load: returns the object that one of these names stands for.
        problem: returns what is wrong with the object that a package provides under a name; '' if nothing is.
    """

    def __init__(
        self,
        noun: str,
        group: str,
        own: Iterable[str],
        load: Callable[[str], T],
        problem: Callable[[str, Any], str],
    ) -> None:
        self.noun, self.group, self.own = noun, group, tuple(own)
        self._load, self._problem = load, problem

    def names(self) -> tuple[str, ...]:
        """Return all names: those of poolwright in their order, then those of packages in alphabetical order."""
        return (*self.own, *sorted({point.name for point in _points(self.group)} - set(self.own)))

    def package(self, name: str) -> Package | None:
        """Return the package that provides a name; None for poolwright's own names and for unknown ones."""
        if name in self.own:
            return None
        return next((_package(point) for point in _points(self.group) if point.name == name), None)

    def get(self, name: str) -> T:
        """Return the object that a name stands for.

        Raises:
            RecipeError: there is no such name, two packages provide it, or the package cannot be imported.
        """
        points = [point for point in _points(self.group) if point.name == name]
        if name not in self.own and not points:
            raise RecipeError(f"unknown {self.noun} '{name}'; {did_you_mean(name, self.names())}")
        providers = sorted({_package(point) for point in points})
        if len(providers) + (name in self.own) > 1:
            raise self._taken(name, providers)
        return self._load(name) if name in self.own else self._imported(points[0])

    def _taken(self, name: str, providers: list[Package]) -> RecipeError:
        own = [Package("poolwright", version("poolwright"))] if name in self.own else []
        first, *others = [*own, *providers]
        listed = " and ".join(map(str, others))
        return RecipeError(
            f"the {self.noun} '{name}' is provided by {first} and by {listed}; a name has one meaning: uninstall "
            f"{others[-1].name}, or ask its authors to choose another name"
        )

    def _imported(self, point: EntryPoint) -> T:
        package = _package(point)
        try:
            value = point.load()
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            raise RecipeError(
                f"the {self.noun} '{point.name}' of the package {package} cannot be imported: "
                f"{type(error).__name__}: {reason}; repair the package, or uninstall it"
            ) from error
        problem = self._problem(point.name, value)
        if problem:
            raise RecipeError(f"the {self.noun} '{point.name}' of the package {package}: {point.value} {problem}")
        provided: T = value
        return provided


def subclass_problem(base: type[Any], attribute: str) -> Callable[[str, Any], str]:
    """Return a check that a name stands for a subclass of `base` whose class variable `attribute` is that name."""

    def problem(name: str, value: Any) -> str:
        if not isinstance(value, type) or not issubclass(value, base):
            return f"is no subclass of {base.__name__}"
        said = getattr(value, attribute, None)
        return "" if said == name else f"says {attribute} = {said!r}, not {name!r}"

    return problem


def forget_packages() -> None:
    """Look for entry points again, such as after a package was installed in a running process."""
    _points.cache_clear()
    _every_point.cache_clear()


@cache
def _points(group: str) -> tuple[EntryPoint, ...]:
    return tuple(_every_point().select(group=group))


@cache
def _every_point() -> Any:  # of a type that depends on the version of Python
    """Return the entry points of all installed packages, whose files are read once."""
    return entry_points()


def _package(point: EntryPoint) -> Package:
    distribution = point.dist
    if distribution is None:  # made by hand, as tests do
        return Package("an unknown package", "")
    return Package(distribution.name, distribution.version)
