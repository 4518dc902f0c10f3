"""Simulate annotators who know the truth and err at known rates, and let them answer a worklist as people would.

An answer is decided by the hash of the name and the uid, so it is the same every time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from poolwright.annotation.exchange.worklist import VERDICTS, AskedRows, read_asked
from poolwright.core.files import write_text
from poolwright.core.wording import guarded
from poolwright.kernels.selection.hashing import hash64, hash_key


@dataclass(frozen=True)
class Annotator:
    """One simulated person.

    Attributes:
        name: name of the person and of their file.
        error: share of wrong answers.
        unsure: share of unsure answers.
        careless: whether they answer yes or no by coin flip.
    """

    name: str
    error: float = 0.0
    unsure: float = 0.0
    careless: bool = False

    def answers(self, asked: Sequence[tuple[str, str]], truth: Mapping[str, str]) -> list[str]:
        """Answer yes, no or unsure for every (uid, class) that is asked about.

        Args:
            truth: class of each row.
        """
        drawn = self._drawn([uid for uid, _ in asked], "answer")
        right = [truth[uid] == name for uid, name in asked]
        wrong = self._drawn([uid for uid, _ in asked], "coin") < 0.5 if self.careless else drawn < self.error
        yes = np.array(right, bool) ^ wrong
        words = np.where(yes, "yes", "no")
        words = np.where((drawn >= self.error) & (drawn < self.error + self.unsure), "unsure", words)
        return [str(word) for word in words]

    def name_classes(self, asked: Sequence[tuple[str, str]], truth: Mapping[str, str]) -> list[str]:
        """Answer with the class of every row; a wrong answer names a random class among those asked about."""
        said = self.answers(asked, truth)
        classes = sorted({name for _, name in asked} | set(truth.values()))
        other = (self._drawn([uid for uid, _ in asked], "class") * len(classes)).astype(int)
        given = []
        for (uid, name), word, index in zip(asked, said, other, strict=True):
            wrong = (word == "yes") != (truth[uid] == name)
            given.append("unsure" if word == "unsure" else classes[index] if wrong else truth[uid])
        return given

    def _drawn(self, uids: Iterable[str], use: str) -> np.ndarray:
        """Draw a number from 0 to 1 for every row: float64 (n,)."""
        return hash64(pa.array(uids, pa.string()), hash_key(0, "annotator", self.name, use)) / 2.0**64


def answer_worklist(
    worklist: Path, annotators: Sequence[Annotator], truth: Mapping[str, str], overlap: int | None = None
) -> list[Path]:
    """Let people answer all questions of a worklist, each in a file of their own in `verdicts/`.

    Args:
        overlap: number of people per row, chosen by hash; default the number that the worklist requires.

    Returns:
        The files.
    """
    asked = read_asked(worklist)
    shares = _shares(asked, len(annotators), overlap or int(asked.about["annotators"]))
    files = []
    for annotator, share in zip(annotators, shares, strict=True):
        rows = [asked.pairs[row] for row in share]
        say = annotator.answers if asked.about["answer"] == "yes_no" else annotator.name_classes
        path = worklist / VERDICTS / f"{annotator.name}.csv"
        write_text(path, _sheet(rows, say(rows, truth), annotator.name))
        files.append(path)
    return files


def _shares(asked: AskedRows, people: int, overlap: int) -> list[np.ndarray]:
    """Return the rows of each person: every row has `overlap` people, those with the lowest hashes."""
    uids = pa.array([uid for uid, _ in asked.pairs], pa.string())
    hashes = np.stack([hash64(uids, hash_key(0, "share", str(person))) for person in range(people)])
    ranks = hashes.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
    return [np.flatnonzero(ranks[person] < overlap) for person in range(people)]


def _sheet(rows: Sequence[tuple[str, str]], words: Sequence[str], name: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["uid", "class", "verdict", "annotator"])
    writer.writerows([guarded(uid), guarded(about), word, name] for (uid, about), word in zip(rows, words, strict=True))
    return out.getvalue()
