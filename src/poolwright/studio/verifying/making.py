"""List the queues of a run, and make new ones: rows of a finished table by class, or the sample of an audit."""

from __future__ import annotations

from itertools import chain, count
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from poolwright.annotation.exchange.instructions import Instructions, read_instructions
from poolwright.annotation.exchange.write_sheets import show
from poolwright.annotation.queue.queue import Settings, make_queue
from poolwright.annotation.sample import AuditSample
from poolwright.core.columns import IMAGE_PATH, TEXT, UID, URL, is_vector
from poolwright.core.errors import RecipeError
from poolwright.core.files import digest_file
from poolwright.core.params import parse_share
from poolwright.core.roles import AuditQuestion, DecidingStep
from poolwright.core.table import RECORD, Table
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.studio.access import names_in
from poolwright.studio.opened import Studio
from poolwright.studio.pages import SessionOf, StudioOf, only_owner, page

router = APIRouter(prefix="/verify")

QUESTION = "Is this: {class}?"
CLASS_QUESTION = "Which of these does it show?"
SAMPLE_QUESTION = "Is this what the filter looks for?"
_EXAMPLES = 2
"""Pictures of yes, and of no, that people are shown."""
_NAME = 60
_NO_CLASSES = (UID, TEXT, URL, IMAGE_PATH, "title", "sha256", "phash", "pdq", "image_error")
_MOST_ROWS = 5_000_000


@router.get("")
def queues(request: Request, studio: StudioOf, session: SessionOf) -> Response:
    """Show all queues, and the form for a new one."""
    lives = [studio.queues.queue(name) for name in studio.queues.names()]
    tables = [studio.opened.table(name) for name in studio.opened.table_names()]
    return page(
        request, "queues.html.j2", lives=[(live.queue, live.progress()) for live in lives],
        tables={table.name: _columns(table) for table in tables},
        decided=[table.name for table in tables if _decides(table)], question=QUESTION,
        free={table.name: _free(studio, table.name) for table in tables},
    )  # fmt: skip


def _free(studio: Studio, name: str) -> str:
    """Return a name for a queue that no queue has."""
    names = studio.queues.names()
    return next(one for one in chain([name], (f"{name}-{number}" for number in count(2))) if one not in names)


def _columns(table: Table) -> list[str]:
    """Return the columns that may name a class, the most likely first."""
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_dictionary)
    names = [field.name for field in table.schema if any(kind(field.type) for kind in kinds)]
    names = [name for name in names if name not in _NO_CLASSES]
    likely = ("label", "class", "prompt", "cluster", "continent")
    return sorted(names, key=lambda name: likely.index(name) if name in likely else len(likely))


def _decides(table: Table) -> bool:
    return any(f"{step.state_name}.decisions" in table.record.tallies for step in table.record.steps)


@router.post("")
def make(
    studio: StudioOf,
    session: SessionOf,
    table: Annotated[str, Form(max_length=200)],
    column: Annotated[str, Form(max_length=200)],
    bucket: Annotated[str, Form(max_length=200)] = "",
    name: Annotated[str, Form(max_length=_NAME)] = "",
    question: Annotated[str, Form(max_length=400)] = QUESTION,
    target: Annotated[str, Form(max_length=20)] = "99%",
    confidence: Annotated[str, Form(max_length=20)] = "95%",
    overlap: Annotated[int, Form(ge=1, le=20)] = 1,
    answer: Annotated[str, Form(pattern="^(yes_no|class|classes)$")] = "yes_no",
    reviewers: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Make a queue of a finished table's rows, by class."""
    only_owner(session)
    found = studio.opened.table(table)
    if answer != "yes_no" and question == QUESTION:
        question = CLASS_QUESTION
    settings = Settings(
        table, "precision", question, _share(target), _share(confidence), overlap, answer=answer,
        reviewers=names_in(reviewers), record=digest_file(found.folder / RECORD),
    )  # fmt: skip
    rows = _rows(found, column, bucket)
    return _made(studio, name or _free(studio, table), settings, rows)


@router.post("/sample")
def sample(
    studio: StudioOf,
    session: SessionOf,
    table: Annotated[str, Form(max_length=200)],
    number: Annotated[int, Form(ge=1, le=100_000)] = 400,
    overlap: Annotated[int, Form(ge=1, le=20)] = 1,
) -> Response:
    """Make a queue of the rows of an audit, kept and dropped by a classifier, to estimate its accuracy."""
    from poolwright.inspect.audit_sample import draw_sample

    only_owner(session)
    steps = [plan.step for plan in studio.opened.run.plan(table).steps]
    deciding = (step.audited() for step in reversed(steps) if isinstance(step, DecidingStep))
    asked = next(deciding, AuditQuestion(""))
    page_of = read_instructions(Path(asked.instructions)) if asked.instructions else None
    drawn, sheet = draw_sample(studio.opened.run, table, number)
    question = asked.question or (QUESTION if asked.wanted else SAMPLE_QUESTION)
    settings = Settings(
        table, "sample", question, overlap=overlap, record=drawn.record, examples=_examples(studio, asked)
    )
    rows = pa.table(
        {UID: [row.uid for row in sheet], "class": [asked.wanted] * len(sheet), TEXT: [row.text for row in sheet]}
    )
    return _made(studio, _free(studio, f"{table}-accuracy"), settings, rows, drawn, page_of)


def _examples(studio: Studio, asked: AuditQuestion) -> dict[str, list[list[str]]]:
    """Return a few labelled rows of the wanted class and of others, by hash."""
    found: dict[str, list[list[str]]] = {"yes": [], "no": []}
    for name in (name for name in asked.examples if name in studio.opened.table_names()):
        rows = studio.opened.table(name).read([UID, asked.column])
        rows = rows.take(np.argsort(hash64(rows.column(UID).cast(pa.string()), hash_key(0, "examples")), kind="stable"))
        wanted = pc.equal(rows.column(asked.column).cast(pa.string()), asked.wanted)
        for key, some in (("yes", wanted), ("no", pc.invert(wanted))):
            uids = rows.column(UID).cast(pa.string()).filter(some)[:_EXAMPLES].to_pylist()
            found[key] += [[name, uid] for uid in uids]
    return {key: some[:_EXAMPLES] for key, some in found.items()}


def _made(
    studio: Studio,
    name: str,
    settings: Settings,
    rows: pa.Table,
    drawn: AuditSample | None = None,
    instructions: Instructions | None = None,
) -> Response:
    folder = studio.opened.folder / "verify" / _file_name(name)
    make_queue(folder, settings, rows, drawn, int(studio.opened.run.recipe.seed))
    if instructions:
        show(folder, instructions)
    return Response(headers={"hx-redirect": f"/verify/{quote(folder.name)}"})


def _file_name(name: str) -> str:
    plain = "-".join(name.split())
    if not plain.replace("-", "").replace("_", "").replace(".", "").isalnum() or plain.startswith((".", "-")):
        raise RecipeError(f"'{name}' is not a valid name for a queue; use letters, digits, '-', '_' and '.'")
    return plain


def _rows(table: Table, column: str, bucket: str) -> pa.Table:
    names = table.schema.names
    for name in filter(None, (column, bucket)):
        if name not in names or is_vector(table.schema.field(name).type):
            raise RecipeError(f"table '{table.name}' has no column '{name}' of classes")
    if table.record.rows_kept > _MOST_ROWS:
        raise RecipeError(f"table '{table.name}' has more than {_MOST_ROWS:,} rows; verify a smaller one")
    wanted = list(dict.fromkeys([UID, column, *([bucket] if bucket else []), *([TEXT] if TEXT in names else [])]))
    read = table.read(wanted)
    columns = {UID: read.column(UID), "class": read.column(column)}
    if bucket:
        columns["bucket"] = read.column(bucket)
    if TEXT in names:
        columns[TEXT] = read.column(TEXT)
    return pa.table(columns)


def _share(text: str) -> float:
    try:
        return parse_share(text)
    except ValueError:
        raise RecipeError(f"'{text}' is not a share; write 99% or 0.99") from None
