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
    """Return the text of a shipped recipe; by the name of a table of one, the part that makes and releases it.

    Raises:
        RecipeError: there is none of that name.
    """
    recipes = {recipe.name: recipe.text for recipe in shipped()}
    if name in recipes:
        return recipes[name]
    for text in recipes.values():
        if f"\n  {name}:" in text.partition("\ntables:\n")[2].partition("\nreleases:\n")[0]:
            from poolwright.recipe.shipped_part import part_of

            return part_of(text, name)
    raise RecipeError(f"no shipped recipe '{name}'; {did_you_mean(name, recipes)}")


def write_new(name: str, to: Path | None = None) -> Path:
    """Write what `shipped_text` returns to a new file; default `<name>.yaml` in the working directory.

    Raises:
        RecipeError: no such recipe, or the file exists.
    """
    text = shipped_text(name)
    path = to or Path(f"{name}.yaml")
    if path.exists():
        raise RecipeError(f"{path} exists already; name another file: poolwright new {name} OTHER.yaml")
    write_text(path, text)
    return path
