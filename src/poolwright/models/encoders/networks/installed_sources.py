"""Evaluate single names of an installed package from its source, without importing the package.

timm and torchvision import torch, which takes seconds; the names of their models and the settings of the published
weights are plain values in their modules.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

_REGISTERED = re.compile(r"^@register_model\b.*\n(?:(?!def ).*\n)*?def (\w+)", re.MULTILINE)
_DEFINITIONS = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef


class NotInSourceError(Exception):
    """A value depends on something that the source of the package alone does not give."""


class InstalledSources:
    """The modules of an installed package.

    Args:
        package: name of the package.
        stand_ins: values of names that the package takes from other libraries, by module and name.
    """

    def __init__(self, package: str, stand_ins: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise NotInSourceError(f"{package} is not installed as a folder")
        self._package, self._folder = package, Path(spec.submodule_search_locations[0])
        self._stand_ins = stand_ins or {}
        self._modules: dict[str, SourceModule] = {}

    def module(self, name: str) -> SourceModule:
        """Return a module by its name: 'timm.data.constants'.

        Raises:
            NotInSourceError: the package has no such module.
        """
        if name not in self._modules:
            place = self._folder.joinpath(*name.split(".")[1:])
            path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
            if not path.is_file():
                raise NotInSourceError(f"{self._package} has no module {name}")
            self._modules[name] = SourceModule(self, name, path, self._stand_ins.get(name, {}))
        return self._modules[name]

    def is_own(self, module: str) -> bool:
        """Whether a module is one of the package."""
        return module.partition(".")[0] == self._package

    @cached_property
    def models(self) -> dict[str, list[str]]:
        """Modules of `PACKAGE.models` that register a model with the decorator `register_model`, by its name."""
        found: dict[str, list[str]] = {}
        for path, text in self._model_files.items():
            for name in _REGISTERED.findall(text):
                found.setdefault(name, []).append(f"{self._package}.models.{path.stem}")
        return found

    def mentions(self, name: str) -> bool:
        """Whether a module of `PACKAGE.models` has a name in quotes, as if it registered it in another way."""
        quoted = f"'{name}'", f'"{name}"'
        return any(one in text for text in self._model_files.values() for one in quoted)

    @cached_property
    def _model_files(self) -> dict[Path, str]:
        return {path: path.read_text(encoding="utf-8") for path in sorted((self._folder / "models").glob("*.py"))}


class SourceModule:
    """The names of a module. A name is defined when it is asked for, by the statements that bind or change it."""

    def __init__(self, sources: InstalledSources, name: str, path: Path, stand_ins: Mapping[str, Any]) -> None:
        self._sources, self._name, self._path = sources, name, path
        self._package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        # Dataclasses look up the module of a class by this name.
        self._globals: dict[str, Any] = {"__name__": __name__, **stand_ins}
        try:
            self._body = ast.parse(path.read_text(encoding="utf-8")).body
        except (OSError, ValueError, SyntaxError) as error:
            raise NotInSourceError(f"{path}: {error}") from None
        self._stars: list[str] = []
        self._binding: dict[str, list[ast.stmt]] = {}
        self._begun, self._executed = set[str](), set[ast.stmt]()
        for statement in self._body:
            for bound in _bound(statement):
                self._binding.setdefault(bound, []).append(statement)
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self._stars.append(self._module_of(statement))

    def value(self, name: str) -> Any:
        """Return the value of a name.

        Raises:
            NotInSourceError: the module does not bind it, or takes it from another library.
        """
        self._define(name)
        if name not in self._globals:
            raise NotInSourceError(f"{self._name} has no {name}")
        return self._globals[name]

    def evaluate(self, expression: ast.expr) -> Any:
        """Return the value of an expression of this module.

        Raises:
            NotInSourceError: it needs another library.
        """
        return self._run(ast.Expression(expression), "eval")

    def function(self, name: str) -> ast.FunctionDef:
        """Return the definition of a function of this module."""
        for statement in self._body:
            if isinstance(statement, ast.FunctionDef) and statement.name == name:
                return statement
        raise NotInSourceError(f"{self._name} defines no function {name}")

    def names(self) -> set[str]:
        """Return the names that this module binds, imported ones included."""
        own = {*self._globals, *self._binding}
        return own.union(*(self._sources.module(one).names() for one in self._stars if self._sources.is_own(one)))

    def _define(self, name: str) -> None:
        if name in self._globals or name in self._begun:
            return
        self._begun.add(name)
        if name not in self._binding:
            self._define_from_star(name)
        for statement in self._binding.get(name, ()):
            if isinstance(statement, ast.ImportFrom):
                self._import(statement, name)
            elif statement not in self._executed:
                self._execute(statement)

    def _define_all(self, node: ast.AST) -> None:
        """Define the names that are used within a node.

        Those in the bodies of functions that are never called may need other libraries, so what cannot be defined is
        left undefined.
        """
        for used in dict.fromkeys(one.id for one in ast.walk(node) if isinstance(one, ast.Name)):
            with suppress(NotInSourceError):
                self._define(used)

    def _execute(self, statement: ast.stmt) -> None:
        if any(_is_foreign(one) for one in _imported(statement)):
            raise NotInSourceError(f"{self._name} imports another library")
        self._executed.add(statement)
        self._run(ast.Module([statement], []), "exec")

    def _run(self, tree: ast.Module | ast.Expression, mode: str) -> Any:
        """Define what a tree uses, and execute it with the module's own __future__ imports."""
        self._define_all(tree)
        flags = annotations.compiler_flag if "annotations" in self._binding else 0
        try:
            return eval(compile(tree, self._path, mode, flags, dont_inherit=True), self._globals)
        except Exception as error:  # whatever a statement raises without the rest of its package
            raise NotInSourceError(f"{self._name}: {error}") from None

    def _import(self, statement: ast.ImportFrom, name: str) -> None:
        module = self._module_of(statement)
        if self._sources.is_own(module):
            original = next(one.name for one in statement.names if (one.asname or one.name) == name)
            self._globals[name] = self._sources.module(module).value(original)
        else:
            self._execute(statement)

    def _define_from_star(self, name: str) -> None:
        for module in self._stars:
            if self._sources.is_own(module) and name in (other := self._sources.module(module)).names():
                self._globals[name] = other.value(name)

    def _module_of(self, statement: ast.ImportFrom) -> str:
        if not statement.level:
            return statement.module or ""
        above = self._package.split(".")
        return ".".join([*above[: len(above) - statement.level + 1], *filter(None, [statement.module])])


def _is_foreign(module: str) -> bool:
    return module.partition(".")[0] not in sys.stdlib_module_names


def _imported(statement: ast.stmt) -> Iterator[str]:
    """Yield the modules that a statement imports when it is executed, as far as it says so itself."""
    for node in [statement] if isinstance(statement, _DEFINITIONS) else ast.walk(statement):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def _bound(statement: ast.stmt) -> Iterable[str]:
    """Return the names that a statement binds, or whose items or attributes it sets, each once."""
    if isinstance(statement, _DEFINITIONS):
        return [statement.name]
    return dict.fromkeys(_set_by(statement))


def _set_by(statement: ast.stmt) -> Iterator[str]:
    nodes = list(ast.walk(statement))
    inner = {id(node) for one in nodes if isinstance(one, ast.comprehension) for node in ast.walk(one.target)}
    for node in nodes:
        if isinstance(node, ast.alias) and node.name != "*":
            yield node.asname or node.name.partition(".")[0]
        elif isinstance(getattr(node, "ctx", None), ast.Store) and id(node) not in inner:
            while isinstance(node, ast.Subscript | ast.Attribute):
                node = node.value
            if isinstance(node, ast.Name):
                yield node.id
