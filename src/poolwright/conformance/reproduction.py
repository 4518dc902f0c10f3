"""Run a shipped recipe at its published size, and hold what it gives to the published numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from poolwright.api import RunResult, run
from poolwright.core.errors import WaitingForPeople
from poolwright.core.files import claim_folder, write_text
from poolwright.core.results.conformance import Conformance, PublishedNumber
from poolwright.core.runtime.progress import Listener, Silent
from poolwright.core.texts.yaml_text import load
from poolwright.recipe.shipped import shipped_text


@dataclass(frozen=True)
class Reproduction:
    """How a shipped recipe is run without the sources that it was published with.

    Attributes:
        recipe: name of the shipped recipe.
        source: where the published numbers stand.
        generated: see `Conformance`.
        prepare: writes generated sources of published size into a folder, once, and returns the data of the recipe
            over them.
        compare: reads the numbers from the result.
        answer: answers what the run asks people, in the folder of the run.
    """

    recipe: str
    source: str
    generated: str
    prepare: Callable[[Path], dict[str, Any]]
    compare: Callable[[RunResult], tuple[PublishedNumber, ...]]
    answer: Callable[[Path], None] | None = None

    def run(self, folder: Path, listener: Listener | None = None) -> Conformance:
        """Generate, run and compare; the same call continues what was stopped.

        Raises:
            RecipeError: the folder holds other files. Nothing was written.
        """
        listener, folder = listener or Silent(), folder.resolve()
        claim_folder(folder, "conformance", {"recipe": self.recipe})
        listener.note(f"generating the sources of {self.recipe} into {folder}")
        recipe = folder / "recipe.yaml"
        write_text(recipe, yaml.safe_dump(self.prepare(folder), sort_keys=False))
        try:
            result = run(recipe, folder / "run", listener=listener)
        except WaitingForPeople:
            if self.answer is None:
                raise
            listener.note("simulated people answer what the run asks")
            self.answer(folder / "run")
            result = run(recipe, folder / "run", listener=listener)
        return Conformance(self.recipe, self.source, self.generated, self.compare(result), folder)


def shipped_data(name: str) -> dict[str, Any]:
    """Return the data of a shipped recipe, to be changed."""
    data: dict[str, Any] = load(shipped_text(name), f"{name}.yaml")
    return data


def without_steps(data: dict[str, Any], table: str, *verbs: str) -> None:
    """Leave steps of a table out."""
    steps = data["tables"][table]["steps"]
    data["tables"][table]["steps"] = [step for step in steps if not set(verbs) & set(_verbs(step))]


def parameters(data: Mapping[str, Any], table: str, verb: str) -> dict[str, Any]:
    """Return the parameters of the first step of this verb, to be changed."""
    found: dict[str, Any] = next(step[verb] for step in data["tables"][table]["steps"] if verb in _verbs(step))
    return found


def _verbs(step: Any) -> tuple[str, ...]:
    return (step,) if isinstance(step, str) else tuple(step)
