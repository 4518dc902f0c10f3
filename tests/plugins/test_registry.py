"""Entry points of installed packages: refused names, packages that do not import, and what is looked at when."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from poolwright import EncoderKind, Pool, RecipeError, Step, api
from poolwright.api import Recipe
from poolwright.core.runtime import plugins
from poolwright.core.runtime.plugins import Package, forget_packages
from poolwright.recipe.jsonschema import recipe_schema
from poolwright.registry import STEPS, encoder_registry, packages_of, pool_class, step_class, step_registry
from tests.calling import call


class Shiny(Step):
    """Give nothing."""

    verb: ClassVar[str] = "shiny"
    kind: ClassVar[Any] = "describe"
    example: ClassVar[str] = "shiny"


class Glossy(Step):
    """Named otherwise than its entry point."""

    verb: ClassVar[str] = "glossy"
    kind: ClassVar[Any] = "describe"


@dataclass(frozen=True)
class Declared:
    """Entry points to be found: (group, name, value, package)."""

    points: list[tuple[str, str, str, str]]

    def __call__(self) -> EntryPoints:
        found = []
        for of_group, name, value, package in self.points:
            point = EntryPoint(name, value, of_group)
            vars(point)["dist"] = SimpleNamespace(name=package, version="1.5")
            found.append(point)
        return EntryPoints(found)


Declare = Callable[..., None]


@pytest.fixture
def declare(monkeypatch: pytest.MonkeyPatch) -> Iterator[Declare]:
    """Declares entry points, as installed packages do."""

    def declared(*points: tuple[str, str, str, str]) -> None:
        monkeypatch.setattr(plugins, "entry_points", Declared(list(points)))
        forget_packages()

    yield declared
    monkeypatch.undo()
    forget_packages()


SHINY = ("poolwright.steps", "shiny", f"{__name__}:Shiny", "shiny-steps")


def test_a_declared_step_is_a_step(declare: Declare, tmp_path: Path) -> None:
    declare(SHINY)
    assert step_class("shiny").verb == "shiny"
    assert step_registry().names() == (*STEPS, "shiny")
    assert step_registry().package("shiny") == Package("shiny-steps", "1.5")
    assert packages_of(verbs=["top", "shiny"]) == {"shiny-steps": "1.5"}
    assert packages_of(verbs=STEPS) == {}
    entry = api.steps()["shiny"]
    assert (entry.summary, str(entry.package), entry.provides) == (
        "Give nothing.",
        "shiny-steps 1.5",
        step_class("shiny"),
    )
    assert api.steps()["top"].package is None
    pools = {"rows": {"read": "table", "path": "rows.parquet"}}
    recipe = {"recipe": 1, "name": "r", "pools": pools, "tables": {"t": {"from": "rows", "steps": ["shiny"]}}}
    assert Recipe.from_data(recipe, tmp_path).tables["t"].steps[0].step == step_class("shiny")()


def test_the_schema_of_a_machine_has_what_is_installed(declare: Declare) -> None:
    declare(SHINY)
    assert "shiny" in str(recipe_schema(installed=True))
    assert "shiny" not in str(recipe_schema())


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (
            [("poolwright.steps", "top", "x:Y", "other")],
            r"the step 'top' is provided by poolwright [\d.]+ and by other 1.5; .*uninstall other",
        ),
        (
            [SHINY, ("poolwright.steps", "shiny", "x:Y", "zz")],
            r"the step 'shiny' is provided by shiny-steps 1.5 and by zz 1.5; .*uninstall zz",
        ),
    ],
)
def test_a_name_that_exists_is_refused(declare: Declare, points: list[Any], words: str) -> None:
    declare(*points)
    name = points[-1][1]
    with pytest.raises(RecipeError, match=words):
        step_class(name)
    assert "cannot be used: the step" in api.steps()[name].summary
    assert step_class("where").verb == "where"


def test_a_package_that_does_not_import_harms_only_those_who_use_it(declare: Declare) -> None:
    declare(("poolwright.steps", "lost", "no_such_module_anywhere:Lost", "lost-steps"))
    assert step_class("top").verb == "top"
    words = (
        "the step 'lost' of the package lost-steps 1.5 cannot be imported: ModuleNotFoundError: No module named "
        "'no_such_module_anywhere'; repair the package, or uninstall it"
    )
    with pytest.raises(RecipeError) as raised:
        step_class("lost")
    assert str(raised.value) == words
    listed = call("steps")
    assert (listed.code, words in listed.out) == (0, True)
    assert "Keep the `n` rows" in listed.out
    for arguments in (("steps", "lost"), ("steps", "--schema")):
        called = call(*arguments)
        assert (called.code, called.out, called.err) == (2, "", f"error: {words}\n")


@pytest.mark.parametrize(
    ("group", "value", "words"),
    [
        ("steps", f"{__name__}:Glossy", "says verb = 'glossy', not 'shiny'"),
        ("steps", f"{__name__}:SHINY", "is no subclass of Step"),
        ("pools", f"{__name__}:Shiny", "is no subclass of Pool"),
        ("layouts", f"{__name__}:Shiny", "is no subclass of Layout"),
        ("encoders", f"{__name__}:Shiny", "is no subclass of EncoderKind"),
    ],
)
def test_what_is_declared_must_fit(declare: Declare, group: str, value: str, words: str) -> None:
    declare((f"poolwright.{group}", "shiny", value, "shiny-steps"))
    entries: dict[str, Any] = {"steps": api.steps, "pools": api.pools, "layouts": api.layouts, "encoders": api.encoders}
    assert words in entries[group]()["shiny"].problem


def test_an_unknown_name_is_corrected_to_that_of_a_package(declare: Declare) -> None:
    declare(("poolwright.pools", "captioned_list", "x:Y", "p"))
    with pytest.raises(RecipeError, match="unknown pool kind 'captioned_lists'; did you mean 'captioned_list'"):
        pool_class("captioned_lists")


def test_starting_looks_for_no_packages() -> None:
    code = (
        "import importlib.metadata, sys\n"
        "def fail(**group): raise AssertionError(group)\n"
        "importlib.metadata.entry_points = fail\n"
        "sys.argv = ['poolwright', '--help']\n"
        "from poolwright.cli.main import main; main()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_contracts_are_public() -> None:
    assert issubclass(step_class("top"), Step)
    assert issubclass(pool_class("table"), Pool)
    assert all(issubclass(encoder_registry().get(kind), EncoderKind) for kind in encoder_registry().own)
