"""Make and read queues: the rows that people are asked about in the studio, in a folder `<run>/verify/<queue>`.

    queue.json, rows.parquet   a queue of the studio: rows of a finished table by class, or the sample of an audit
    asked.parquet              the worklist of a step `verify`, which waits for the answers
    candidates.parquet         all rows that this step may keep, and its terms
    instructions/              Markdown page `instructions.md` with its pictures, shown next to the rows
    certificate.json           verified rows and conclusions, as of the last verdict

A queue is made once and never changed; other rows need a queue of another name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.annotation.answers import CLASS, CLASSES, check_separable
from poolwright.annotation.candidates import group_name
from poolwright.annotation.deciding.judging import Terms
from poolwright.annotation.exchange.candidate_file import CandidateFile, read_candidates
from poolwright.annotation.exchange.worklist import ASKED, AskedRows, read_asked
from poolwright.annotation.sample import AuditSample, read_sample, write_sample
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.files import sha256_file, write_text
from poolwright.core.parquet import write_parquet
from poolwright.kernels.selection.hashing import hash64, hash_key

SETTINGS, ROWS, SAMPLE = "queue.json", "rows.parquet", "sample.json"
CERTIFICATE = "certificate.json"
INSTRUCTIONS = "instructions/instructions.md"
FORMAT = 1
RULES = ("precision", "all", "first", "sample")


@dataclass(frozen=True)
class Settings:
    """How people are asked.

    Attributes:
        table: table that the rows are from, kept or dropped; their pictures are found through it.
        rule: when a group is done: 'precision' as soon as its target is shown to be met, else when all its rows are
            verified; 'all' in the latter case only; 'first' when `keep` of its first rows are found right; 'sample' for
            a sample of an audit, whose accuracy is estimated.
        question: the question, with {class} for the class of a row.
        target: required share of right rows, for the rule 'precision'.
        confidence: confidence level of conclusions.
        overlap: number of people asked about each row.
        gold_share: share of the questions that are gold, if there are gold rows.
        keep: number of right rows of a group that is enough, for the rule 'first'.
        unanimous: whether a row is right or wrong only if all say so; otherwise the majority decides.
        answer: "yes_no", whether a row is of its class; "class", which class it is of; "classes", all that it shows.
        examples: rows of a table whose answer is known, by 'yes' and 'no': pairs of table and uid.
        reviewers: people whose verdict decides about rows on which others differ.
        record: digest of the record of the table when the queue was made; '' if it was not finished.
    """

    table: str
    rule: str = "precision"
    question: str = "Is this: {class}?"
    target: float = 0.99
    confidence: float = 0.95
    overlap: int = 1
    gold_share: float = 0.05
    record: str = ""
    keep: int = 0
    unanimous: bool = False
    answer: str = "yes_no"
    examples: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    reviewers: Sequence[str] = ()

    @property
    def terms(self) -> Terms:
        """Terms by which rows and groups are judged."""
        return Terms(
            rule="agree" if self.unanimous else "majority",
            annotators=self.overlap,
            keep=self.keep if self.rule == "first" else None,
            precision=self.target if self.rule == "precision" else None,
            confidence=self.confidence,
            reviewers=tuple(self.reviewers),
        )


@dataclass(frozen=True)
class Queue:
    """Rows in the order in which people are asked about them.

    Attributes:
        name: of the folder.
        folder: its path.
        settings: how people are asked.
        rows: `uid`, `class`, and optionally `bucket` and `text`; all strings.
        waiting: whether a step of the recipe waits for the answers.
        choices: the classes that people choose from, if they are asked for the class; otherwise none.
        sample: the stratified sample of the rows, for the rule 'sample'.
        asked: bool (n,) rows that people may be asked about; None for all. A step that asks in rounds has more rows.
        step: candidates and terms of the step that waits, if it wrote them.
    """

    name: str
    folder: Path
    settings: Settings
    rows: pa.Table
    waiting: bool = False
    choices: tuple[str, ...] = ()
    sample: AuditSample | None = None
    asked: npt.NDArray[np.bool_] | None = None
    step: CandidateFile | None = None

    @cached_property
    def terms(self) -> Terms:
        """Terms by which rows and groups are verified."""
        return self.step.terms if self.step else self.settings.terms

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @cached_property
    def uids(self) -> list[str]:
        """Uid of each row."""
        return self._texts("uid")

    @cached_property
    def classes(self) -> list[str]:
        """Class of each row."""
        return self._texts("class")

    @cached_property
    def texts(self) -> list[str]:
        """Caption of each row, or ''."""
        return self._texts("text")

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Index of each row by uid."""
        return {uid: row for row, uid in enumerate(self.uids)}

    @cached_property
    def names(self) -> list[str]:
        """Group of each row: its class, with its bucket if there is one."""
        return [group_name(one, bucket) for one, bucket in zip(self.classes, self._texts("bucket"), strict=True)]

    @cached_property
    def groups(self) -> dict[str, npt.NDArray[np.int64]]:
        """Indices of the rows of each group, in order; groups sorted by name."""
        found: dict[str, list[int]] = {}
        for row, name in enumerate(self.names):
            found.setdefault(name, []).append(row)
        return {name: np.array(found[name], np.int64) for name in sorted(found, key=_natural)}

    def question(self, row: int) -> str:
        """Return the question about a row."""
        return self.settings.question.replace("{class}", self.classes[row])

    @property
    def several(self) -> bool:
        """Whether people choose all classes that a row shows."""
        return self.settings.answer == CLASSES

    @property
    def instructions(self) -> Path | None:
        """Path of the page that is shown next to the rows, or None."""
        path = self.folder / INSTRUCTIONS
        return path if path.is_file() else None

    @property
    def instructions_digest(self) -> str:
        """SHA-256 of that page; '' if there is none."""
        return sha256_file(self.instructions) if self.instructions else ""

    def _texts(self, name: str) -> list[str]:
        if name not in self.rows.column_names:
            return [""] * len(self)
        return [value or "" for value in self.rows.column(name).to_pylist()]


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key with numbers by their value, so that bucket 10 comes after bucket 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def make_queue(
    folder: Path, settings: Settings, rows: pa.Table, sample: AuditSample | None = None, seed: int = 0
) -> Queue:
    """Make a queue. Rows of a group are asked about in the order of their hash, which is random.

    Args:
        folder: folder of the queue, which gives the queue its name.
        rows: `uid`, `class`, and optionally `bucket` and `text`.
        sample: sample of an audit; rows are in its order.
        seed: seed of the recipe.

    Raises:
        RecipeError: there is another queue of this name, or the settings are wrong.
        InputError: a row has no uid, or occurs twice.
    """
    _check(settings, rows)
    if (folder / SETTINGS).exists() or (folder / ASKED).exists():
        raise RecipeError(f"there is a queue '{folder.name}' already; choose another name")
    texts = pa.table({name: rows.column(name).cast(pa.string()) for name in rows.column_names})
    if sample is None:
        texts = texts.take(
            np.argsort(hash64(texts.column("uid"), hash_key(seed, folder.name, "verify")), kind="stable")
        )
    else:
        write_sample(sample, folder / SAMPLE)
    write_parquet(folder / ROWS, texts)
    write_text(folder / SETTINGS, json.dumps({"format": FORMAT, **asdict(settings)}, indent=1) + "\n")
    return read_queue(folder)


def _check(settings: Settings, rows: pa.Table) -> None:
    if settings.rule not in RULES:
        raise RecipeError(f"no rule '{settings.rule}'; use {', '.join(RULES)}")
    if not 0.5 <= settings.target < 1 or not 0.5 < settings.confidence < 1:
        raise RecipeError("precision and confidence must be between 50 % and 100 %, such as 99 %")
    if settings.overlap < 1 or not 0 <= settings.gold_share <= 0.5:
        raise RecipeError(
            "at least 1 person must be asked about each row, and at most half of the questions may be gold"
        )
    if settings.answer == CLASSES:
        check_separable(_choices(rows.column("class").cast(pa.string()).to_pylist()))
    uids = rows.column("uid")
    if uids.null_count or len(uids.unique()) != len(uids):
        raise InputError("each row of a queue needs a uid of its own; remove rows without one, and duplicates")


def list_queues(run_folder: Path) -> list[str]:
    """List the names of the queues of a run."""
    folders = sorted((run_folder / "verify").glob("*"))
    return [path.name for path in folders if (path / SETTINGS).is_file() or (path / ASKED).is_file()]


def read_queue(folder: Path) -> Queue:
    """Read a queue, or the worklist of a step `verify` as one.

    Raises:
        InputError: there is none, or it is damaged.
    """
    try:
        if (folder / ASKED).is_file():
            return _of_step(folder, read_asked(folder))
        fields = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        if fields.pop("format") != FORMAT:
            raise InputError(f"{folder}: the queue is of another version; make a new one under another name")
        settings, rows = Settings(**fields), pq.read_table(folder / ROWS)
        sample = read_sample(folder / SAMPLE) if settings.rule == "sample" else None
        choices = _choices(rows.column("class").to_pylist()) if settings.answer in (CLASS, CLASSES) else ()
        return Queue(folder.name, folder, settings, rows, choices=choices, sample=sample)
    except FileNotFoundError:
        raise InputError(f"there is no queue '{folder.name}'") from None
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: the queue is damaged: {error}") from None


def _of_step(folder: Path, asked: AskedRows) -> Queue:
    """Return the worklist of a step `verify` as a queue."""
    about, step = asked.about, read_candidates(folder)
    rows, mask = _rows_of_step(asked, step)
    questions = [text for text in asked.rows.column("question").to_pylist() if text]
    classes = asked.rows.column("class").to_pylist()
    question = _common(questions, classes) if questions else Settings.question
    choices = _choices(rows.column("class").to_pylist()) if about.get("answer") in (CLASS, CLASSES) else ()
    # The worklist of the second `verify` of a table is called TABLE.2.
    head, _, number = folder.name.rpartition(".")
    table = head if head and number.isdecimal() and not _is_table(folder, folder.name) else folder.name
    terms = step.terms if step else _terms_of(about)
    settings = Settings(
        table, "all", question, overlap=terms.annotators, unanimous=terms.rule == "agree",
        answer=about.get("answer") or "yes_no",
    )  # fmt: skip
    if terms.precision is not None:
        settings = replace(settings, rule="precision", target=terms.precision, confidence=terms.confidence)
    elif terms.keep is not None:
        settings = replace(settings, rule="first", keep=terms.keep)
    return Queue(folder.name, folder, settings, rows, waiting=True, choices=choices, asked=mask, step=step)


def _rows_of_step(asked: AskedRows, step: CandidateFile | None) -> tuple[pa.Table, npt.NDArray[np.bool_] | None]:
    """Return the candidates in order, and the mask of those that people may be asked about."""
    if (
        step is None
    ):  # an earlier version recorded only the questions; the last class counts if a row was asked about again
        last = {uid: row for row, uid in enumerate(asked.rows.column("uid").to_pylist())}
        rows = asked.rows.take(pa.array(sorted(last.values()), pa.int64()))
        return rows.select(["uid", "class", "bucket", "text"]), None
    texts = dict(zip(asked.pairs, asked.rows.column("text").to_pylist(), strict=True))
    pairs = list(zip(step.rows.column("uid").to_pylist(), step.rows.column("class").to_pylist(), strict=True))
    text = pa.array([texts.get(pair) for pair in pairs], pa.string())
    return step.rows.append_column("text", text), np.array([pair in texts for pair in pairs], np.bool_)


def _choices(classes: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(sorted({name for name in classes if name}, key=_natural))


def _terms_of(about: Mapping[str, Any]) -> Terms:
    return Terms(
        rule=about.get("rule") or "majority",
        annotators=int(about.get("annotators", 1)),
        keep=about.get("keep"),
        precision=about.get("precision"),
        confidence=about.get("confidence") or Terms.confidence,
    )


def _is_table(folder: Path, name: str) -> bool:
    return (folder.parent.parent / "tables" / name).is_dir()


def _common(questions: Sequence[str], classes: Sequence[str]) -> str:
    """Return the question with {class}, from those that name a class: a word of it may be a class by chance."""
    first, name = questions[0], classes[0] or ""
    common = first.replace(name, "{class}") if name else first
    fits = (common.replace("{class}", one or "") == text for text, one in zip(questions, classes, strict=False))
    return common if all(fits) else first
