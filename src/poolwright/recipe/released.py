"""Reads the steps of a release: verbs, parameters, and what they learned, in the order they were applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.roles import Encoded, EncodingStep, SourceStep
from poolwright.core.state import State
from poolwright.core.table import RECORD, TableRecord, VectorRecord
from poolwright.registry import STEPS, step_class
from poolwright.release.record import RELEASE, ReleaseRecord

_RECIPE = "recipe.yaml"


@dataclass(frozen=True)
class LearnedState:
    """The state that a step learned when a release was made.

    Attributes:
        folder: the folder `states` of the release, or of one table in its lineage.
        name: name of the state in that folder.
        digest: digest of the state.
        vectors: the vector columns that the step read when it learned.
        position: position of the step among those of the release, from 0.
    """

    folder: Path
    name: str
    digest: str
    vectors: tuple[VectorRecord, ...]
    position: int = 0


@dataclass(frozen=True)
class ReleasedStep:
    """One step of a release: its verb, its parameters as written, and what it learned."""

    verb: str
    parameters: Mapping[str, Any]
    learned: LearnedState

    @property
    def encoded(self) -> Encoded:
        """Return the columns of vectors that it makes with an encoder."""
        cls = step_class(self.verb)
        return cls.encoded(self.parameters) if issubclass(cls, EncodingStep) else Encoded()


@dataclass(frozen=True)
class Released:
    """The steps of a release, and the encoders of its recipe.

    Attributes:
        folder: the folder of the release.
        table: name of the released table.
        steps: the steps of all tables from the pool down to the released one.
        models: `models` of its recipe, as written.
        encoders: `model` as written, by the column of image vectors that it made, of the steps of its recipe.
    """

    folder: Path
    table: str
    steps: tuple[ReleasedStep, ...]
    models: Mapping[str, Any]
    encoders: Mapping[str, Any]

    def without(self, skipped: Sequence[str | int]) -> tuple[ReleasedStep, ...]:
        """Return the steps without those named, by verb or by number from 1.

        Raises:
            RecipeError: there is no such step.
        """
        verbs = list(dict.fromkeys(step.verb for step in self.steps))
        for name in skipped:
            if isinstance(name, int) and not 1 <= name <= len(self.steps):
                raise RecipeError(f"the release has no step {name} to skip; it has {len(self.steps)}")
            if isinstance(name, str) and name not in verbs:
                raise RecipeError(f"the release has no step '{name}' to skip; {did_you_mean(name, verbs)}")
        named = enumerate(self.steps, 1)
        return tuple(step for number, step in named if not {number, step.verb} & set(skipped))


def read_released(folder: Path) -> Released:
    """Read the steps of a release, and check that their states are the ones it was made with.

    Raises:
        RecipeError: there is no release, it is damaged, or states are missing.
    """
    try:
        record = ReleaseRecord.load(folder)
        chain = _chain(folder)
    except FileNotFoundError as error:
        raise RecipeError(
            f"{folder}: no release in this folder ({Path(error.filename).name} is missing); {RELEASE} marks one"
        ) from None
    except (ValueError, ValidationError) as error:
        raise RecipeError(f"{folder}: the release is damaged: {str(error).splitlines()[0]}") from None
    found = [step for path, table in chain for step in _steps(path, table)]
    steps = tuple(replace(step, learned=replace(step.learned, position=at)) for at, step in enumerate(found))
    recipe = _recipe(folder)
    return Released(folder, record.table, steps, recipe.get("models") or {}, _encoders(recipe))


def _chain(folder: Path) -> list[tuple[Path, TableRecord]]:
    """Return (folder, record) of the tables from the one that reads a pool, or a union, down to the released one."""
    chain = [(folder, _record(folder))]
    while (source := chain[0][1].source).startswith("tables.") and not chain[0][1].sources:
        lineage = folder / "lineage" / source.removeprefix("tables.")
        if not (lineage / RECORD).exists():
            raise RecipeError(
                f"{folder}: the release does not record how its table '{source.removeprefix('tables.')}' was made "
                "(it was made again before the release); run its recipe and release again"
            )
        chain.insert(0, (lineage, _record(lineage)))
    return chain


def _record(folder: Path) -> TableRecord:
    return TableRecord.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))


def _steps(folder: Path, table: TableRecord) -> list[ReleasedStep]:
    states = folder / "states"
    found = []
    for step in table.steps:
        if issubclass(step_class(step.verb), SourceStep):  # other rows bring their own images
            continue
        digest = State.digest(states, step.state_name) if (states / f"{step.state_name}.json").exists() else "none"
        if digest != step.state:
            raise RecipeError(
                f"{states}: what step {step.index + 1} ({step.verb}) of '{table.name}' learned is missing or changed; "
                "check the release with: poolwright verify"
            )
        learned = LearnedState(states, step.state_name, digest, step.vectors)
        found.append(ReleasedStep(step.verb, step.parameters, learned))
    return found


def _recipe(folder: Path) -> dict[str, Any]:
    """Return the release's recipe as written; empty if it cannot be read, as only models are looked up in it."""
    try:
        data = yaml.safe_load((folder / _RECIPE).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, ValueError, TypeError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _encoders(recipe: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for table in (recipe.get("tables") or {}).values():
        for step in (table or {}).get("steps") or ():
            for verb, parameters in step.items() if isinstance(step, dict) else ():
                cls = step_class(verb) if verb in STEPS else None
                if cls and issubclass(cls, EncodingStep) and isinstance(parameters, dict) and parameters.get("model"):
                    image = cls.encoded(parameters).image
                    found |= {image: parameters["model"]} if image else {}
    return found
