"""The part of a step that asks people about rows and waits for their answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from poolwright.annotation.answers import CLASS, CLASSES, NONE_OF_THEM, YES_NO, check_separable
from poolwright.annotation.candidates import SHOWN, Candidates, collect
from poolwright.annotation.deciding.judging import Terms
from poolwright.annotation.exchange.candidate_file import Understanding
from poolwright.annotation.exchange.import_export import write_studio_answers
from poolwright.annotation.exchange.instructions import Instructions, read_instructions
from poolwright.annotation.exchange.sheets import QUESTION
from poolwright.annotation.exchange.worklist import ASKED, late, sweep
from poolwright.annotation.exchange.write_sheets import Form, Format
from poolwright.annotation.round import Round, RoundResult
from poolwright.annotation.verdicts import UNSURE, Words
from poolwright.annotation.waiting import go_on
from poolwright.core.documents import keep_documents
from poolwright.core.errors import InputError, StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column
from poolwright.core.pool import PathOrUrl
from poolwright.core.roles import AnnotationStep
from poolwright.core.state import State


def _as_files(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Files = Annotated[
    tuple[PathOrUrl, ...],
    BeforeValidator(_as_files),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class AskingStep(AnnotationStep):
    """Ask people about rows; subclasses decide by which terms rows are judged, and what follows from the answers."""

    model_config = ConfigDict(populate_by_name=True)

    labelled_by: ClassVar[Literal["", "model", "people"]] = "people"
    fits_rows: ClassVar[bool] = True
    shown_to_people: ClassVar[tuple[str, ...]] = ("question", "images", "hosted")

    class_: Column | None = Field(default=None, alias="class", description="column with the class to ask people about")
    answer: Literal["yes_no", "class", "classes"] = Field(
        default="yes_no",
        description="kind of answer: yes or no to its class, the class that people see, or all classes that they see",
    )
    question: str | None = Field(
        default=None, description="the question people are asked; {class} stands for the class"
    )
    words: dict[str, str] = Field(
        default_factory=dict, description="meanings of further words, such as {right: positive, wrong: negative}"
    )
    field: str = Field(default="verdict", min_length=1, description="name of the field that has the answers in files")
    annotators: int = Field(default=1, ge=1, description="number of people who must have answered about a row")
    at_once: int | None = Field(
        default=None, ge=1, description="rows per class and bucket to ask about in one round; default all"
    )
    format: Format = Field(default="csv", description="format of the sheets: csv, jsonl, label_studio or mturk")
    images: str | None = Field(
        default=None, description="URL or folder that `image_path` is relative to for people; default the column url"
    )
    instructions: PathOrUrl | None = Field(
        default=None, description="Markdown page with positive and negative pictures of each class; shown and released"
    )
    hosted: str | None = Field(default=None, description="URL of the folder of the instructions, for workers of mturk")
    verdicts: Files = Field(
        default=(), description="further files with answers; the run waits for those that do not exist yet"
    )
    partial: bool = Field(default=False, description="continue with the answers given so far, instead of waiting")
    unknown: Literal["error", "ignore"] = Field(
        default="error", description="handling of answers on rows that nobody was asked about"
    )

    @model_validator(mode="after")
    def _class_is_there(self) -> AskingStep:
        if self.answer != "yes_no" and self.class_ is None:
            raise ValueError(f"answer: {self.answer} needs the column of the class")
        if self.question and self.class_ is None and "{class}" in self.question:
            raise ValueError("the question names a {class}, and there is no column of the class")
        return self

    @property
    def group(self) -> tuple[str, ...]:
        """Columns of the groups that people are asked about one after another; the first is the class."""
        return (self.class_,) if self.class_ else ()

    @property
    def terms(self) -> Terms:
        """Terms by which rows are judged."""
        raise NotImplementedError

    @property
    def answer_files(self) -> tuple[Path, ...]:
        """The files of answers that the recipe names."""
        return tuple(Path(path) for path in self.verdicts)

    def collect_answers(self, worklist: Path) -> None:
        write_studio_answers(worklist)

    def sweep(self, worklist: Path) -> None:
        sweep(worklist)

    def asks(self, worklist: Path) -> bool:
        return (worklist / ASKED).exists()

    def unread(self, state: State, worklist: Path) -> list[str]:
        return late(worklist, self.answer_files, state.values["files"])

    def optional(self) -> tuple[str, ...]:
        return SHOWN

    def files(self) -> tuple[str, ...]:
        """Page and pictures of the instructions. Verdicts arrive over time: the state has them, not the identity."""
        page = self._page()
        return (str(page.path), *(str(page.path.parent / image) for image in page.images)) if page else ()

    def check_files(self, given: pa.Schema) -> None:
        if not self.instructions:
            return
        if not os.path.isfile(self.instructions):
            raise StepError(f"{self.verb}: there is no page of instructions {self.instructions}")
        page = self._page()
        if self.format == "mturk" and page and page.images and not self.hosted:
            raise StepError(
                f"{self.verb}: workers see the pictures of the instructions on the web; set the URL of the folder "
                "instructions/ of the worklist: hosted: https://..."
            )

    def check_words(self) -> None:
        """Raise StepError if `words` has a meaning that does not exist."""
        try:
            Words(self.words)
        except InputError as error:
            raise StepError(f"{self.verb}: {error}") from None

    def ask(
        self, frame: Frame, context: Context, by: str | None = None, unasked: Sequence[str] = ()
    ) -> tuple[Candidates, Form, RoundResult]:
        """Return the rows that people are asked about, how they are asked, and the answers once there are enough.

        Raises:
            WaitingForPeople: answers are missing.
        """
        candidates = collect(frame, self.group, by, context.key, unasked)
        page = self._page()
        names = list(dict.fromkeys(candidates.classes))
        if page and self.class_:
            page.check_classes(names)
        if self.answer == CLASSES:
            check_separable(names)
        form = self._form(names, page)
        found = go_on(
            Round(
                candidates=candidates,
                worklist=context.worklist,
                understanding=Understanding(self.answer, self.words, self.verdicts, self.field),
                form=form,
                at_once=self.at_once,
                ignore_unknown=self.unknown == "ignore",
            )
        )
        return candidates, form, found

    def keep_instructions(self, context: Context) -> list[dict[str, Any]]:
        """Keep the page that people were shown for releases; returns what belongs under DOCUMENTS in the state."""
        page = self._page()
        if not page:
            return []
        about = "the page shown to the people who verified the rows, with positive and negative pictures of each class"
        return self.keep_files(context, "instructions", about, page.files())

    def keep_files(self, context: Context, name: str, about: str, files: Mapping[str, bytes]) -> list[dict[str, Any]]:
        """Keep a document for releases; those of the second such step of a table are in 'NAME-2'."""
        numbered = f"{name}-{context.number + 1}" if context.number else name
        return keep_documents(context.documents, numbered, about, files)

    def _page(self) -> Instructions | None:
        if not self.instructions:
            return None
        try:
            return read_instructions(Path(self.instructions))
        except InputError as error:
            raise StepError(f"{self.verb}: {error}") from None

    def _form(self, names: list[str], page: Instructions | None) -> Form:
        default = "Does it show: {class}?" if self.class_ else QUESTION
        asked = {CLASS: "Which of these does it show?", CLASSES: "Which of these does it show? Choose all."}
        question = self.question or asked.get(self.answer, default)
        own = (*self.words, *(() if UNSURE in self.words.values() else (UNSURE,))) if self.words else YES_NO
        choices = (*names, NONE_OF_THEM, UNSURE) if self.answer in asked else own
        return Form(
            format=self.format,
            answer=self.answer,
            question=question,
            choices=choices,
            terms=self.terms,
            images=self.images or "",
            instructions=page,
            hosted=self.hosted or "",
        )
