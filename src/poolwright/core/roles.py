"""Defines roles that a step can have beyond fit and apply.

Code that runs, checks or applies recipes asks for a role, never for a step by its verb.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pyarrow as pa

from poolwright.core.frame import OtherRows
from poolwright.core.pool import Pool
from poolwright.core.rows import Rows
from poolwright.core.runtime.nodes import Nodes
from poolwright.core.runtime.progress import Listener
from poolwright.core.state import State
from poolwright.core.step import Step
from poolwright.core.table import Table


class SourceStep(Step):
    """The first step of a table that comes from a table: it makes the rows that the table is read from.

    A run calls `prepare` before it plans the table; `rows` is then the source of the table. The files that `prepare`
    wrote are an input of the table, identified by their content.
    """

    needs_refit: ClassVar[str] = "it prepares the rows of the whole table before they are read"

    folder_name: ClassVar[str]
    """Folder of the run that holds what `prepare` makes, in a folder for each table."""

    def prepare(
        self, name: str, source: Table, folder: Path, listener: Listener, nodes: Nodes | None = None
    ) -> dict[str, float]:
        """Make what `rows` reads, or the part of it that is still missing.

        Args:
            name: the table that is made, for messages.
            source: the finished table that it comes from.
            folder: where to write; the run holds a lock on it.
            listener: receives progress.
            nodes: machines that may share the work; all of them see `folder`.

        Returns:
            `seconds` and `rows_per_second`, for the timings of the table.

        Raises:
            ChangedError: the folder was made from other rows.
        """
        raise NotImplementedError

    def is_passing(self, folder: Path, path: str) -> bool:
        """Whether a file that `prepare` writes is of no use to another machine that goes on: it is not copied there.

        Args:
            folder: where `prepare` writes.
            path: of the file in it, with '/'.
        """
        return False

    def rows(self, source: Table, folder: Path) -> Pool:
        """Return the rows of the source together with what `prepare` made from them."""
        raise NotImplementedError

    def rows_schema(self, given: pa.Schema) -> pa.Schema:
        """Return the columns of `rows` for a source with the columns `given`."""
        raise NotImplementedError


class AnnotationStep(Step):
    """A step whose `fit` asks people questions and waits for answers, in a folder that they share with the run."""

    needs_refit: ClassVar[str] = "people were asked about the earlier rows alone"

    shown_to_people: ClassVar[tuple[str, ...]] = ()
    """Parameters that are written to sheets and pages as they are."""

    def collect_answers(self, worklist: Path) -> None:
        """Write the answers given in the studio to files, before `fit` reads them."""

    def sweep(self, worklist: Path) -> None:
        """Remove what was left of files that only a run writes, when one was killed; called before `fit`."""

    def asks(self, worklist: Path) -> bool:
        """Whether people have been asked."""
        raise NotImplementedError

    def unread(self, state: State, worklist: Path) -> list[str]:
        """Return the names of files with answers that `fit` did not see; never raises."""
        raise NotImplementedError


@dataclass(frozen=True)
class AuditQuestion:
    """How people are asked about the decisions of a step.

    Attributes:
        wanted: the class that the step looks for.
        question: the question, with {class} for that class; '' for the usual one.
        instructions: path of a Markdown page that they are shown, or ''.
        examples: tables of the recipe whose rows show the class and others.
        column: their column of classes.
    """

    wanted: str
    question: str = ""
    instructions: str = ""
    examples: tuple[str, ...] = ()
    column: str = ""


class DecidingStep(Step):
    """A step that decides whether rows are of a class, so that people can be asked how often it is right."""

    def audited(self) -> AuditQuestion:
        """Return how people are asked."""
        raise NotImplementedError


class KeyedStep(Step):
    """A step that looks up keys of rows, so that a check can see on a few rows whether any are found."""

    def foresee(self, rows: Rows, other: OtherRows | None) -> str | None:
        """Say how many of some rows have a key that is there; None if what they are looked up in is large or remote.

        Args:
            rows: a few rows, with the columns of `needs`.
            other: the other rows of a step that joins some.
        """
        raise NotImplementedError


OtherSource = str | Mapping[str, Any]
"""Rows besides those of a table: the name of a pool or table of the recipe, or the parameters of a pool."""


class JoiningStep(Step):
    """A step whose `fit` reads the rows of other pools, tables or files, whose types may decide what it gives.

    Most read one, and implement `other` and `knowing`; those that read several implement `others` and `knowing_all`.
    """

    def other(self) -> OtherSource:
        """Return the pool or table of the recipe by its name, or a pool of its own by parameters as in a recipe."""
        raise NotImplementedError

    def others(self) -> tuple[OtherSource, ...]:
        """Return all that it reads, each as `other` does."""
        return (self.other(),)

    def knowing_all(self, others: Sequence[OtherRows]) -> Self:
        """Return the step with the types of all other rows, in the order of `others`; raises as `knowing` does."""
        return self.knowing(others[0])

    def knowing(self, other: OtherRows) -> Self:
        """Return the step with the types of the other rows, which `gives` needs.

        Raises:
            StepError: a column is missing, or has a type that this step cannot work on.
        """
        raise NotImplementedError

    def recalling(self, state: State) -> Self:
        """Return the step with the types of the other rows, as a fit has left them in its state."""
        raise NotImplementedError


@dataclass(frozen=True)
class Encoded:
    """The columns of vectors that a step makes with an encoder, derived from its parameters as written.

    Attributes:
        image: column of the vectors of images.
        text: column of the vectors of texts.
        text_from: column of the texts.
    """

    image: str | None = None
    text: str | None = None
    text_from: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of vectors, those of images first."""
        return tuple(name for name in (self.image, self.text) if name)


class EncodingStep(Step):
    """A step whose `apply` runs an encoder, so that it needs one on other rows too; its parameter `model` names it."""

    @classmethod
    def encoded(cls, parameters: Mapping[str, Any]) -> Encoded:
        """Return the columns that the step makes with these parameters."""
        raise NotImplementedError

    @classmethod
    def parameters_for(cls, column: str, model: Any) -> dict[str, Any]:
        """Return the parameters with which the step makes `column` from the images."""
        raise NotImplementedError
