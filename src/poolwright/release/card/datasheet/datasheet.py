"""Write datasheet.md: the questions of Datasheets for Datasets, answered by facts and by the author, or listed as open.

Gebru et al., Datasheets for Datasets, Communications of the ACM 64(12), 2021, https://doi.org/10.1145/3458723
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from poolwright.release.card.datasheet.answers import answers
from poolwright.release.card.datasheet.questions import QUESTIONS, SECTIONS, Question
from poolwright.release.card.facts.facts import ReleaseFacts
from poolwright.release.card.markdown import code, plain

DATASHEET = "datasheet.md"
_HEAD = (
    "The questions are those of [Datasheets for Datasets](https://doi.org/10.1145/3458723), shortened. Facts are from "
    "the record of the table and its ledger; what the author wrote follows under 'By the author'."
)
_OPEN = (
    "Only the author can answer these. The recipe does so under the keys: `card: {datasheet: {purpose: ...}}`; an "
    "answer to any other question is added to its facts."
)


def datasheet(facts: ReleaseFacts) -> str:
    """Return the text of datasheet.md."""
    known, said = answers(facts), facts.about.datasheet
    title = plain(facts.about.title or facts.release.table)
    parts = [f"# Datasheet of {title}", _HEAD]
    for section in SECTIONS:
        asked = [question for question in QUESTIONS if question.section == section]
        parts += [f"## {section}", *_answered(asked, known, said)]
    parts += ["## Open questions", *_open(known, said)]
    return "\n\n".join(parts) + "\n"


def _answered(asked: list[Question], known: Mapping[str, str], said: Mapping[str, str]) -> Iterator[str]:
    found = [question for question in asked if question.key in known or question.key in said]
    if not found:
        yield "No question of this section is answered."
    for question in found:
        yield f"### {question.text}"
        if question.key in known:
            yield known[question.key]
        if question.key in said:
            yield f"By the author:\n\n{said[question.key].strip()}"


def _open(known: Mapping[str, str], said: Mapping[str, str]) -> Iterator[str]:
    left = [question for question in QUESTIONS if question.key not in known and question.key not in said]
    if not left:
        yield "None."
        return
    yield _OPEN
    for section in SECTIONS:
        listed = [f"- {code(question.key)}: {question.text}" for question in left if question.section == section]
        if listed:
            yield f"{section}:\n\n" + "\n".join(listed)
