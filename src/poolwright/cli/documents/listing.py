"""Defines the documents of commands that list what recipes can use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from poolwright.api.listing import Parameter

if TYPE_CHECKING:
    from poolwright.api import Entry, Shipped


@dataclass(frozen=True)
class ListedRecipe:
    """A recipe that comes with poolwright.

    Attributes:
        name: for `poolwright new`.
        summary: what it makes.
    """

    name: str
    summary: str


@dataclass(frozen=True)
class RecipesDocument:
    """The recipes that come with poolwright.

    Attributes:
        recipes: by name.
    """

    recipes: tuple[ListedRecipe, ...]

    @classmethod
    def of(cls, recipes: Iterable[Shipped]) -> Self:
        """Make it from the recipes."""
        return cls(tuple(ListedRecipe(one.name, one.summary) for one in recipes))


@dataclass(frozen=True)
class ScriptDocument:
    """The script that completes commands in a shell.

    Attributes:
        script: its text.
    """

    script: str

    @classmethod
    def of(cls, script: str) -> Self:
        """Make it from the script."""
        return cls(script)


@dataclass(frozen=True)
class ListedEntry:
    """A name that recipes can use.

    Attributes:
        name: as in a recipe.
        kind: of a step: describe, choose or split; else empty.
        summary: the first line of its documentation, or why it cannot be used.
        words: its documentation.
        example: the entry as a recipe writes it.
        parameters: its parameters.
        reasons: why a step drops rows, by the name of the reason.
        package: the installed package that adds it, with its version; null for those of poolwright.
        problem: why it cannot be used; empty if it can.
    """

    name: str
    kind: str
    summary: str
    words: str
    example: str
    parameters: tuple[Parameter, ...]
    reasons: dict[str, str]
    package: str | None
    problem: str

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Make it from an entry."""
        package = str(entry.package) if entry.package else None
        return cls(
            entry.name, entry.kind, entry.summary, entry.words, entry.example, entry.parameters,
            dict(entry.reasons or {}), package, entry.problem,
        )  # fmt: skip


@dataclass(frozen=True)
class EntriesDocument:
    """Names that recipes can use: all of a kind, or the one that was asked for.

    Attributes:
        entries: the names, in the order of the documentation.
    """

    entries: tuple[ListedEntry, ...]

    @classmethod
    def of(cls, noun: str, entries: Mapping[str, Entry], name: str | None = None) -> Self:
        """Make it from entries, or from one of them."""
        chosen = entries.values() if name is None else (entries[name],)
        return cls(tuple(map(ListedEntry.of, chosen)))
