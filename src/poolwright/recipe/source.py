"""Reads recipe YAML with the line of every key, `--set` overrides and `${VARIABLES}`."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from poolwright.core.errors import Mistakes, PoolwrightError, RecipeError, did_you_mean
from poolwright.core.params import several
from poolwright.core.texts.yaml_text import compose, load, scalar
from poolwright.core.texts.yaml_text import key as key_of

Key = tuple[str | int, ...]

_KINDS = {bool: "a truth value", int: "a number", float: "a number", date: "a date"}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_SHORTEST_HIDDEN = 5
"""Length from which a value of the environment is searched for in texts: '1' would be found everywhere."""


@dataclass
class RecipeSource:
    """A recipe as written: plain data, and the line of each key.

    Attributes:
        name: file name for errors.
        folder: the folder that relative paths are resolved against.
        text: the YAML text, with overrides appended as comments.
        data: the parsed document, overrides and variables applied.
        lines: line (from 1) of every key path; overridden ones are missing.
        unfilled: the document before variables were filled in.
        environment: values that came from the environment, by the name of their variable. They are never written:
            see `hide`.
        compared: names of those that a table depends on; a signature in a URL may change from run to run.
        written: numbers, dates and truth values as they are written, by key path.
        mistakes: errors found so far, see `collecting`.
        incomplete: tables whose steps are not all valid, with the number of valid ones before the first wrong step
            that may give columns.
    """

    name: str
    folder: Path
    text: str
    data: dict[str, Any]
    lines: dict[Key, int] = field(default_factory=dict)
    overridden: set[Key] = field(default_factory=set)
    unfilled: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    compared: set[str] = field(default_factory=set)
    written: dict[Key, str] = field(default_factory=dict)
    mistakes: list[PoolwrightError] = field(default_factory=list)
    incomplete: dict[str, int] = field(default_factory=dict)

    def hide(self, value: Any) -> Any:
        """Return texts, or data with texts, with the names of variables in place of values of the environment."""
        values = {text: name for name, text in self.environment.items() if len(text) >= _SHORTEST_HIDDEN}
        values |= {quote(text, safe=""): name for text, name in values.items()}
        if not values:
            return value
        found = re.compile("|".join(re.escape(text) for text in sorted(values, key=len, reverse=True)))
        return _map_strings(
            value, (), lambda text, _: found.sub(lambda match: f"${{{values[match.group()]}}}", text), names=True
        )

    def check_shown(self, data: Mapping[str, Any], names: Iterable[str], key: Key, where: str) -> None:
        """Check that no value of the environment is in parameters that are shown to others.

        Args:
            names: of the parameters.
            where: they are shown.

        Raises:
            RecipeError: one is.
        """
        for name in names:
            if name in data and (hidden := self.hide(data[name])) != data[name]:
                raise self.error(
                    (*key, name),
                    f"'{name}' is written to {where}, which values of the environment never enter: {hidden}; "
                    "write it out, or give the value in 'variables'",
                )

    def marks(self) -> dict[str, str]:
        """Return a short digest of each value that is compared, by the name of its variable."""
        values = {name: self.environment[name].encode() for name in sorted(self.compared)}
        return {name: hashlib.sha256(value).hexdigest()[:8] for name, value in values.items()}

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep an error for `raise_mistakes` and go on after the block."""
        try:
            yield
        except Mistakes as several:
            self.mistakes.extend(several.errors)
        except PoolwrightError as error:
            self.mistakes.append(error)

    def raise_mistakes(self) -> None:
        """Raise the errors that were collected, if any: one as it is, several as `Mistakes`."""
        found = list({str(error): error for error in self.mistakes}.values())
        self.mistakes.clear()
        if found:
            raise found[0] if len(found) == 1 else Mistakes(found)

    def where(self, key: Key) -> str:
        """Return the position of a key for an error: 'recipe.yaml:12', or '--set' for an override."""
        for length in range(len(key), -1, -1):
            if key[:length] in self.overridden:
                return "--set"
            if key[:length] in self.lines:
                return f"{self.name}:{self.lines[key[:length]]}"
        return self.name

    def error(self, key: Key, message: str) -> RecipeError:
        """Make an error about one key, which says where it is, which key, and what is wrong."""
        path = dotted(key)
        return RecipeError(f"{self.where(key)}: {path}: {message}" if path else f"{self.where(key)}: {message}")

    def not_text(self, key: Key, value: Any) -> RecipeError:
        """Make an error about a value that is not text, with the way to make it text if it is a single value."""
        if not isinstance(value, bool | int | float | date):
            return self.error(key, "a text is expected")
        written = self.written.get(key) if key not in self.overridden else None
        text, kind = written or str(value), _KINDS.get(type(value), "a time")
        return self.error(key, f"{text} is {kind} in YAML, and a text is expected; write it in quotes: '{text}'")


def dotted(key: Key) -> str:
    """Format a key path as people write it: tables.a.steps[0].top.n."""
    text = ""
    for item in key:
        text += f"[{item}]" if type(item) is int else (f".{item}" if text else str(item))
    return text


def read_source(path: Path, sets: Sequence[str] = ()) -> RecipeSource:
    """Read a recipe file.

    Args:
        path: the YAML file.
        sets: overrides `a.b=value`; the value is YAML; `steps` are named by number or by verb.

    Raises:
        RecipeError: no such file, broken YAML, a repeated key, an override of an unknown key, an unset variable.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe; list the shipped ones with: poolwright recipes") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as UTF-8 text: {error}") from None
    return parse_source(text, path.name, path.resolve().parent, sets)


def parse_source(text: str, name: str, folder: Path, sets: Sequence[str] = (), unset: bool = False) -> RecipeSource:
    """Parse the text of a recipe, as `read_source` does with a file."""
    node = compose(text, name)
    source = RecipeSource(name, folder, text, {})
    data = _construct(node, (), source) if node is not None else None
    if not isinstance(data, dict):
        raise RecipeError(f"{name}:1: a recipe is a mapping that starts with 'recipe: 1'")
    source.data = data
    sets = several(sets)
    for override in sets:
        _override(source, override)
    source.unfilled = source.data
    source.data = _map_strings(source.data, (), lambda value, key: _fill_in(value, key, source, unset))
    if sets:
        source.text = text.rstrip("\n") + "\n" + "".join(f"# --set {override}\n" for override in sets)
    return source


def from_data(data: Mapping[str, Any], folder: Path, unset: bool = False) -> RecipeSource:
    """Make the source of a recipe from Python data; with `unset`, variables that are not set stay as written."""
    text = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True)
    return parse_source(text, "recipe", folder, unset=unset)


def _construct(node: yaml.Node, key: Key, source: RecipeSource) -> Any:
    source.lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            name = _scalar(key_node, key, source, key_of)
            if name in result:
                line = key_node.start_mark.line + 1
                path = dotted((*key, name))
                source.mistakes.append(RecipeError(f"{source.name}:{line}: {path}: the key is given twice"))
                continue
            source.lines[(*key, name)] = key_node.start_mark.line + 1
            result[name] = _construct(value_node, (*key, name), source)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*key, index), source) for index, item in enumerate(node.value)]
    value = _scalar(node, key, source)
    if not isinstance(value, str):
        source.written[key] = node.value
    return value


def _scalar(node: yaml.Node, key: Key, source: RecipeSource, of: Callable[[yaml.Node], Any] = scalar) -> Any:
    try:
        return of(node)
    except ValueError as error:
        line, path = node.start_mark.line + 1, dotted(key)
        where = f"{source.name}:{line}: {path}" if path else f"{source.name}:{line}"
        source.mistakes.append(RecipeError(f"{where}: {error}"))
        return node.value.encode(errors="replace").decode() if isinstance(node.value, str) else str(id(node))


def parse_parameters(sets: Sequence[str]) -> dict[str, Any]:
    """Parse parameters given as `key=value` or `key.inner=value`; the value is YAML, or text if it is not valid YAML.

    Raises:
        RecipeError: one has no '=', or a key is both a value and a mapping.
    """
    found: dict[str, Any] = {}
    for text in several(sets):
        path, value = _split_set(text)
        inner = found
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise RecipeError(f"--set {text}: '{name}' is a single value already")
        inner[path[-1]] = value
    return found


def _split_set(text: str) -> tuple[list[str], Any]:
    path, equals, value_text = text.partition("=")
    if not equals or not path:
        raise RecipeError(f"--set {text}: write it as key.path=value")
    try:
        node = compose(value_text, "--set") if value_text else ""
    except RecipeError:
        node = value_text  # not YAML, so text
    value = node if isinstance(node, str) or node is None else load(value_text, f"--set {text}")
    return path.strip().split("."), value


def _override(source: RecipeSource, text: str) -> None:
    keys, value = _split_set(text)
    part: Any = source.data
    done: Key = ()
    for name in keys[:-1]:
        step = _find(part, name, done, text)
        part, done = part[step], (*done, step)
        if isinstance(part, dict) and isinstance(done[-1], int) and len(part) == 1 and name in part:
            part, done = part[name], (*done, name)
    if isinstance(part, dict):
        last: str | int = keys[-1]
    else:
        last = _find(part, keys[-1], done, text)
    if isinstance(part, list) and isinstance(part[int(last)], dict) and keys[-1] in part[int(last)]:
        part, done, last = part[int(last)], (*done, last), keys[-1]
    part[last] = value
    source.overridden.add((*done, last))


def _find(part: Any, name: str, done: Key, text: str) -> str | int:
    if isinstance(part, dict):
        if name in part:
            return name
        raise RecipeError(f"--set {text}: {dotted(done) or 'the recipe'} has no '{name}'; {did_you_mean(name, part)}")
    if isinstance(part, list):
        if name.isdigit() and int(name) < len(part):
            return int(name)
        verbs = [next(iter(item)) if isinstance(item, dict) else str(item) for item in part]
        if verbs.count(name) == 1:
            return verbs.index(name)
        if name in verbs:
            raise RecipeError(f"--set {text}: '{name}' occurs {verbs.count(name)} times; name it by its number")
        raise RecipeError(f"--set {text}: {dotted(done)} has no '{name}'; {did_you_mean(name, verbs)}")
    raise RecipeError(f"--set {text}: {dotted(done)} is a single value; it has no '{name}'")


def _map_strings(value: Any, key: Key, change: Callable[[str, Key], Any], names: bool = False) -> Any:
    """Return data with all its texts changed; keys of mappings only with `names`."""
    if isinstance(value, str):
        return change(value, key)
    if isinstance(value, dict):
        return {
            change(name, key) if names and isinstance(name, str) else name: _map_strings(
                item, (*key, name), change, names
            )
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_map_strings(item, (*key, index), change, names) for index, item in enumerate(value)]
    return value


def _fill_in(value: str, key: Key, source: RecipeSource, unset: bool) -> str:
    variables = source.data.get("variables")
    variables = variables if isinstance(variables, dict) and key[:1] != ("variables",) else {}

    def lookup(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if name not in variables and name in os.environ:
            source.environment[name] = os.environ[name]
            if "://" not in value:
                source.compared.add(name)
        found = variables.get(name, os.environ.get(name, default))
        if found is None and unset:
            return match.group()
        if found is None:
            message = (
                f"'{name}' is neither in 'variables' nor in the environment; set it, or write ${{{name}:-default}}"
            )
            source.mistakes.append(source.error(key, message))
            return match.group(0)
        return str(found)

    return _VARIABLE.sub(lookup, value)
