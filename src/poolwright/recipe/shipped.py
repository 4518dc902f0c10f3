"""Lists and copies the recipes that come with poolwright."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.files import write_text

_FOLDER = files("poolwright.recipe") / "shipped_recipes"


@dataclass(frozen=True)
class Shipped:
    """A shipped recipe: its name, the first comment line of its file, and the whole text."""

    name: str
    summary: str
    text: str


def shipped() -> list[Shipped]:
    """List all shipped recipes, by name."""
    found = []
    for file in sorted(_FOLDER.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            text = file.read_text(encoding="utf-8")
            found.append(Shipped(file.name.removesuffix(".yaml"), text.splitlines()[0].lstrip("# "), text))
    return found


def shipped_text(name: str) -> str:
    """Return the text of a shipped recipe.

    Raises:
        RecipeError: there is none of that name.
    """
    recipes = {recipe.name: recipe.text for recipe in shipped()}
    if name not in recipes:
        raise RecipeError(f"no shipped recipe '{name}'; {did_you_mean(name, recipes)}")
    return recipes[name]


def write_new(name: str, to: Path | None = None) -> Path:
    """Write a shipped recipe to a new file; default `<name>.yaml` in the working directory.

    Raises:
        RecipeError: no such recipe, or the file exists.
    """
    text = shipped_text(name)
    path = to or Path(f"{name}.yaml")
    if path.exists():
        raise RecipeError(f"{path} exists already; name another file: poolwright new {name} OTHER.yaml")
    write_text(path, text)
    return path
