"""Parts of shipped recipes: whole recipes of their own, with what one table needs and nothing else."""

from __future__ import annotations

import pytest

from poolwright.core.errors import RecipeError
from poolwright.core.texts.yaml_text import load
from poolwright.recipe.recipe import Recipe
from poolwright.recipe.shipped import shipped_text
from poolwright.recipe.shipped_part import part_of

RECIPES = ("clear10", "clip-geoyfcc", "datacomp", "imagenet-glt", "mappool", "zero-shot-domains")
PARTS = [(name, table) for name in RECIPES for table in load(shipped_text(name), name)["tables"]]


@pytest.mark.parametrize(("recipe", "table"), PARTS)
def test_a_part_has_the_entries_of_the_whole_that_its_table_needs(recipe: str, table: str) -> None:
    whole = load(shipped_text(recipe), recipe)
    text = part_of(shipped_text(recipe), table)
    part = load(text, table)
    loaded = Recipe.from_data(part, unset=True)
    assert part.pop("name") == table
    whole.pop("name")
    for section, of in whole.items():
        if section in ("pools", "tables"):
            assert part[section] == {name: of[name] for name in part[section]}
        elif section in ("figures", "releases"):
            assert part.get(section, []) == [one for one in of if one["table"] == table]
        else:
            assert part[section] == of
    read = {name for spec in loaded.tables.values() for name in spec.reads}
    read |= {name for release in loaded.releases for name in release.layout.tables()}
    assert {*part["pools"], *part["tables"]} == {table, *read}
    assert all(f"\n{line}\n" in shipped_text(recipe) for line in text.splitlines()[1:] if not line.startswith("name:"))


def test_a_table_is_a_name_for_new() -> None:
    text = shipped_text("datacomp-clip")
    assert "The 30 % with the highest scores" in text
    assert "lid.176" not in text
    with pytest.raises(RecipeError, match="no shipped recipe 'datacomp-clap'; did you mean 'datacomp'"):
        shipped_text("datacomp-clap")
