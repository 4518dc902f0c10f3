"""Write sheets for the rows that people are asked about, and the instructions next to them."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.annotation.candidates import Candidates
from poolwright.annotation.exchange.instructions import PAGE, Instructions
from poolwright.annotation.exchange.mturk import hit_csv, hit_page
from poolwright.annotation.exchange.sheets import SheetRow, write_sheet
from poolwright.annotation.exchange.worklist import INSTRUCTIONS, PEOPLE, SHEETS, VERDICTS, AskedRows, write_asked
from poolwright.annotation.judging import Terms
from poolwright.core.columns import IMAGE_PATH, TEXT, URL
from poolwright.core.files import digest_file, make_folder, remove, sync_folder, write_atomically, write_text
from poolwright.core.wording import guarded
from poolwright.kernels.statistics.agreement import People

Format = Literal["csv", "jsonl", "label_studio", "mturk"]
SHEET_ROWS = 5_000
"""Maximum number of rows per sheet, so that spreadsheets and batches stay manageable."""

_ENDINGS = {"csv": ".csv", "jsonl": ".jsonl", "label_studio": ".json", "mturk": ".mturk.csv"}


@dataclass(frozen=True)
class Form:
    """How people are asked.

    Attributes:
        format: of the sheets.
        answer: "yes_no" or "class".
        question: the question, with {class} for the class of a row.
        choices: words that are offered.
        terms: terms by which rows are verified, including the number of people asked about each row.
        images: URL or folder that image paths are relative to, as people open them; '' leaves paths unchanged.
        instructions: page that people are shown.
        hosted: URL of the folder with the instructions; '' if they are not on the web.
    """

    format: Format
    answer: str
    question: str
    choices: tuple[str, ...]
    terms: Terms = field(default_factory=Terms)
    images: str = ""
    instructions: Instructions | None = None
    hosted: str = ""

    def file(self, sheet: str) -> str:
        """Return the name of the first file of a sheet."""
        return f"{sheet}{_ENDINGS[self.format]}"

    def page(self) -> str:
        """Return the page of a HIT."""
        shown = self.instructions.fragment(self.hosted) if self.instructions else ""
        elsewhere = f"{self.hosted.rstrip('/')}/{PAGE}" if self.hosted else ""
        return hit_page(self.choices, self.terms.annotators, shown, elsewhere)


def ask(worklist: Path, candidates: Candidates, rows: Sequence[int], asked: AskedRows, form: Form) -> AskedRows:
    """Write sheets for some candidates, and record that they were asked about.

    A kill in between leaves sheets that are not recorded; the next call writes the same ones again.

    Args:
        rows: indices of candidates, in order.

    Raises:
        InputError: the rows cannot be asked about in this format.
    """
    if form.instructions:
        show(worklist, form.instructions)
    sheets, tables = asked.sheets, [asked.rows]
    for start in range(0, len(rows), SHEET_ROWS):
        sheet = sheet_rows(candidates, rows[start : start + SHEET_ROWS], form)
        name, files = _write(worklist / SHEETS, sheet, form, sheets)
        sheets[name] = {file.name: digest_file(file) for file in files}
        tables.append(_table(sheet, name, [candidates.buckets[row] for row in rows[start : start + SHEET_ROWS]]))
    terms = form.terms
    about = {"answer": form.answer, "choices": list(form.choices), "annotators": terms.annotators, "sheets": sheets,
             "precision": terms.precision, "confidence": terms.confidence, "keep": terms.keep,
             "rule": terms.rule}  # fmt: skip
    done = AskedRows(pa.concat_tables(tables), about)
    write_asked(worklist, done)
    return done


def restore(worklist: Path, asked: AskedRows, names: Collection[str], form: Form) -> None:
    """Write missing files of these sheets and the instructions again; existing files stay unchanged."""
    make_folder(worklist / VERDICTS)
    for name in names:
        if (worklist / SHEETS / next(iter(asked.sheets[name]))).exists():
            continue
        columns = asked.rows.filter(pc.equal(asked.rows["sheet"], name)).to_pylist()
        rows = [SheetRow(row["uid"], row["image"], row["text"], None, row["class"], row["question"]) for row in columns]
        _written(worklist / SHEETS / form.file(name), rows, form)
    if form.instructions and not (worklist / INSTRUCTIONS / PAGE).exists():
        show(worklist, form.instructions)


def show(worklist: Path, instructions: Instructions) -> None:
    """Write the current instructions into the worklist."""
    files = instructions.files()
    for path, content in files.items():
        write_atomically(worklist / INSTRUCTIONS / path, partial(_put, content))
    for old in (worklist / INSTRUCTIONS).rglob("*"):
        if old.is_file() and old.relative_to(worklist / INSTRUCTIONS).as_posix() not in files:
            remove(old)


def sheet_rows(candidates: Candidates, rows: Sequence[int], form: Form) -> list[SheetRow]:
    """Return the rows of a sheet for these candidates."""
    urls, paths, texts = (candidates.shown(name) for name in (URL, IMAGE_PATH, TEXT))
    return [
        SheetRow(
            uid=candidates.uids[row],
            image=_image(urls[row], paths[row], form.images),
            text=texts[row],
            about=candidates.classes[row],
            question=form.question.replace("{class}", candidates.classes[row]),
        )
        for row in rows
    ]


def _image(url: str, path: str, images: str) -> str:
    if images and path:
        return f"{images.rstrip('/')}/{quote(path) if '://' in images else path}"
    return url or path


def _write(folder: Path, sheet: Sequence[SheetRow], form: Form, before: Collection[str]) -> tuple[str, list[Path]]:
    """Write a sheet under the next free name; returns the name and its files."""
    number = len(before) + 1
    while True:
        name = f"sheet-{number}"
        path, trial = folder / form.file(name), folder / form.file(f".{name}")
        files = _written(trial, sheet, form)
        if name not in before and (not path.exists() or digest_file(path) == digest_file(trial)):
            renamed = [_renamed(file) for file in files]
            sync_folder(folder)
            return name, renamed
        # Somebody filled in a sheet that a kill left unrecorded: it stays, and counts once it is put into verdicts/.
        for file in files:
            remove(file)
        number += 1


def _written(path: Path, sheet: Sequence[SheetRow], form: Form) -> list[Path]:
    if form.format != "mturk":
        return write_sheet(sheet, path, form.format, choices=form.choices)
    lines = [{"uid": row.uid, "image_url": row.image, "class": row.about, "question": row.question, "text": row.text}
             for row in sheet]  # fmt: skip
    page, content = path.with_suffix("").with_suffix(".html"), form.page()
    write_text(path, hit_csv(lines))
    write_text(page, content)
    return [path, page]


def _renamed(path: Path) -> Path:
    return path.replace(path.with_name(path.name.removeprefix(".")))


def _table(sheet: Sequence[SheetRow], name: str, buckets: Sequence[str]) -> pa.Table:
    columns: dict[str, Any] = {
        "uid": [row.uid for row in sheet],
        "class": [row.about for row in sheet],
        "bucket": buckets,
        "question": [row.question for row in sheet],
        "image": [row.image for row in sheet],
        "text": [row.text for row in sheet],
        "sheet": [name] * len(sheet),
    }
    return pa.table({key: pa.array(values, pa.string()) for key, values in columns.items()})


def write_people(worklist: Path, names: Sequence[str], people: People) -> None:
    """Write how much each person answered and how far they agree with the others, for payment and follow-up."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["person", "name", "rated", "compared", "agreement", "kappa", "careless"])
    for index, name in enumerate(names):
        measured = [people.agreement[index], people.kappa[index]]
        cells = ["" if np.isnan(value) else f"{value:.4f}" for value in measured]
        careless = "yes" if people.outlier[index] else ""
        writer.writerow([index + 1, guarded(name), people.rated[index], people.compared[index], *cells, careless])
    write_text(worklist / PEOPLE, "\ufeff" + out.getvalue())


def _put(content: bytes, out: Any) -> None:
    out.write(content)
