"""Keep the sample of a sheet (the stratum of each of its rows), by which verdicts become an estimate of accuracy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poolwright.annotation.verdicts import MEANINGS, NEGATIVE, POSITIVE, UNSURE, Verdict, check_known, merge
from poolwright.core.errors import InputError
from poolwright.core.files import write_text
from poolwright.kernels.statistics.accuracy import Answers, Estimates, estimate
from poolwright.kernels.statistics.strata import Stratum

FORMAT = 1


@dataclass(frozen=True)
class AuditSample:
    """A stratified sample in the order of its sheet.

    Attributes:
        strata: of the whole pool, ascending in the decision value.
        uids: of the sampled rows, in the order of the sheet.
        stratum: index into `strata` of each of these rows.
        record: digest of the record of the table that it was drawn from; '' if there is none.
    """

    strata: tuple[Stratum, ...]
    uids: tuple[str, ...]
    stratum: tuple[int, ...]
    record: str = ""


def sample_beside(sheet: Path) -> Path:
    """Return the path of the sample file of a sheet."""
    return sheet.with_name(f"{sheet.name}.sample.json")


def accuracy(sample: AuditSample, verdicts: Sequence[Verdict], *, confidence: float = 0.95) -> Estimates:
    """Estimate precision, recall and prevalence on the pool from verdicts on a sample.

    Several verdicts per row are merged first. If rows were passed over that precede others of their stratum on the
    sheet, the answered rows may not be a random sample: the notes say so.

    Raises:
        InputError: verdicts are about rows that are not in the sample; with their uids.
    """
    check_known(verdicts, sample.uids, "the sample")
    merged = merge(verdicts)
    codes = np.array([MEANINGS.index(merged[uid]) if uid in merged else -1 for uid in sample.uids], np.int64)
    stratum = np.array(sample.stratum, np.int64)
    estimates = estimate(sample.strata, _tally(codes, stratum, len(sample.strata)), confidence=confidence)
    notes = _passed_over(codes, stratum, len(sample.strata))
    return Estimates(**{**vars(estimates), "notes": (*estimates.notes, *notes)})


def write_sample(sample: AuditSample, path: Path) -> None:
    """Write a sample as JSON. Infinite bounds are written as null."""
    strata = [
        {**asdict(stratum), "low": _finite(stratum.low), "high": _finite(stratum.high)} for stratum in sample.strata
    ]
    document = {
        "format": FORMAT,
        "strata": strata,
        "uids": sample.uids,
        "stratum": sample.stratum,
        "record": sample.record,
    }
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read_sample(path: Path) -> AuditSample:
    """Read what `write_sample` wrote.

    Raises:
        InputError: the file cannot be read, or is not a sample file.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        strata = tuple(_stratum(fields) for fields in document["strata"])
        sample = AuditSample(strata, tuple(document["uids"]), tuple(document["stratum"]), document.get("record", ""))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is not a sample file; give the one that was written next to the sheet") from None
    if document.get("format") != FORMAT or len(sample.uids) != len(sample.stratum):
        raise InputError(f"{path} is not a sample file of format {FORMAT}; draw the sample again")
    return sample


def _tally(codes: np.ndarray, stratum: np.ndarray, strata: int) -> list[Answers]:
    counts = [
        np.bincount(stratum[codes == MEANINGS.index(meaning)], minlength=strata)
        for meaning in (POSITIVE, NEGATIVE, UNSURE)
    ]
    return [Answers(*(int(count[index]) for count in counts)) for index in range(strata)]


def _passed_over(codes: np.ndarray, stratum: np.ndarray, strata: int) -> list[str]:
    skipped = 0
    for index in range(strata):
        answered = np.flatnonzero(codes[stratum == index] >= 0)
        skipped += int(answered[-1]) + 1 - len(answered) if len(answered) else 0
    if not skipped:
        return []
    rows = "1 row was" if skipped == 1 else f"{skipped} rows were"
    return [
        f"{rows} passed over before others of the same stratum. If their look was the reason, the answers are not "
        "a random sample: give them a verdict, 'unsure' if nobody can tell."
    ]


def _finite(bound: float) -> float | None:
    return bound if np.isfinite(bound) else None


def _stratum(fields: dict[str, Any]) -> Stratum:
    low = -np.inf if fields["low"] is None else fields["low"]
    high = np.inf if fields["high"] is None else fields["high"]
    return Stratum(**{**fields, "low": float(low), "high": float(high)})
