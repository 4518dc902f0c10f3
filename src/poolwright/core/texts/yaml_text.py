"""Read YAML of strangers: every malformed document ends in one error with file and line, in bounded time and memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from poolwright.core.errors import RecipeError

DEPTH = 100
"""Most levels of lists and mappings within each other."""

REPEATED = 100_000
"""Most values that the aliases of a document may stand for."""

_OTHER_BASE = re.compile(r"[-+]?(0[0-9_]+|0[xXbBoO].*|[0-9_]+(:[0-9_.]+)+)")


class _Composer(yaml.SafeLoader):
    """Composes nodes of bounded depth."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, f"more than {DEPTH} levels within each other", mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def compose(text: str, name: str) -> yaml.Node | None:
    """Parse a document to nodes, which know their lines; None if it is empty.

    Args:
        text: the document.
        name: of the file, for errors.

    Raises:
        RecipeError: not valid YAML, too deep, or its aliases repeat too much; the message has the line.
    """
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Composer)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RecipeError(f"{name}:{line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise RecipeError(f"{name}:{line}: not valid YAML: the character {error.character!r} is not allowed") from None
    except (yaml.YAMLError, ValueError) as error:
        words = " ".join(str(error).split())
        raise RecipeError(f"{name}:1: not valid YAML: {words}") from None
    if node is not None:
        _check_aliases(node, name)
    return node


def _check_aliases(node: yaml.Node, name: str) -> None:
    """Check that no value contains itself, and that aliases do not repeat too many values."""
    sizes: dict[int, int] = {}  # 0 while a node is open

    def size(node: yaml.Node) -> int:
        line = node.start_mark.line + 1
        if id(node) in sizes:
            if not sizes[id(node)]:
                raise RecipeError(f"{name}:{line}: not valid YAML: the value contains itself through an alias")
            return sizes[id(node)]
        sizes[id(node)] = 0
        total = 1
        for child in _children(node):
            total += size(child)
            if total - len(sizes) > REPEATED:
                raise RecipeError(f"{name}:{line}: the aliases stand for more than {REPEATED:,} values; write fewer")
        sizes[id(node)] = total
        return total

    size(node)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def scalar(node: yaml.Node) -> Any:
    """Return the value of a key or a single value.

    Raises:
        ValueError: it is none, or is not what its tag says; or it is a number that YAML reads in another base than
            people do, such as 0042, which is 34.
    """
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("a list or mapping is no key; write a text")
    try:
        value = yaml.constructor.SafeConstructor().construct_object(node, deep=True)
    except yaml.constructor.ConstructorError as error:
        if node.tag == "tag:yaml.org,2002:merge":
            raise ValueError("merge keys, <<, are not supported; write the keys") from None
        raise ValueError(str(error.problem)) from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        kind = node.tag.rpartition(":")[2]
        raise ValueError(
            f"{node.value[:80]} is not a valid {kind} of YAML; correct it, or write text in quotes"
        ) from None
    if isinstance(value, str) and not value.isascii():
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")  # JSON escapes some characters as pairs
        except UnicodeDecodeError:
            raise ValueError("an escape such as \\ud83d is half of a character; write the character itself") from None
    if node.style is None and isinstance(value, int | float) and _OTHER_BASE.fullmatch(node.value):
        raise ValueError(f"{node.value} is the number {value} in YAML; write text in quotes, '{node.value}'")
    return value


def key(node: yaml.Node) -> Any:
    """Return a key, as `scalar` does, but 'on', 'off', 'yes' and 'no' as texts: no key is meant as a truth value."""
    value = scalar(node)
    return node.value if isinstance(value, bool) and node.value.lower() not in ("true", "false") else value


def load(text: str, name: str) -> Any:
    """Read a document as plain data; None if it is empty.

    Raises:
        RecipeError: as `compose`, or a value is not valid, or a key is given twice.
    """
    node = compose(text, name)
    return None if node is None else _data(node, name)


def _data(node: yaml.Node, name: str) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_data(item, name) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        return _value(node, name)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        given = _value(key_node, name, key)
        if given in found:
            raise RecipeError(f"{name}:{key_node.start_mark.line + 1}: {given}: the key is given twice")
        found[given] = _data(value_node, name)
    return found


def _value(node: yaml.Node, name: str, of: Callable[[yaml.Node], Any] = scalar) -> Any:
    try:
        return of(node)
    except ValueError as error:
        raise RecipeError(f"{name}:{node.start_mark.line + 1}: {error}") from None
