"""From a pool to a sheet to its accuracy, over real rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.annotation.people import fill_csv, simulate

from poolwright.annotation.exchange.read_answers import read_verdicts
from poolwright.annotation.exchange.sheets import SheetRow, write_sheet
from poolwright.annotation.sample import AuditSample, accuracy, read_sample, write_sample
from poolwright.annotation.verdicts import Verdict
from poolwright.core.errors import InputError
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.kernels.statistics.strata import design, draw, sheet_order, strata_of

ROWS = 50_000


def pool(order: np.ndarray | None = None) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """uid, decision value and truth of every row, in any order."""
    random = np.random.default_rng(4)
    positive = random.random(ROWS) < 0.01
    decisions = random.normal(np.where(positive, 1.2, -2.5), 1.0)
    uids = pa.array([f"{number:08x}" for number in range(ROWS)])
    order = np.arange(ROWS) if order is None else order
    return uids.take(pa.array(order)), decisions[order], positive[order]


def sampled(uids: pa.Array, decisions: np.ndarray, n: int) -> AuditSample:
    edges = np.linspace(-12, 12, 97)
    counts, _ = np.histogram(decisions, edges)
    strata = design(edges, counts, 0.0, n)
    ids, hashes = strata_of(strata, decisions), hash64(uids, hash_key(1, "mappool", "sample"))
    rows = draw(ids, hashes, [stratum.sample for stratum in strata])
    rows = rows[sheet_order(ids[rows], hashes[rows])]
    return AuditSample(strata, tuple(uids.take(pa.array(rows)).to_pylist()), tuple(ids[rows].tolist()))


def test_a_pool_in_any_order_gives_the_same_sample() -> None:
    shuffled = np.random.default_rng(1).permutation(ROWS)
    assert sampled(*pool()[:2], 300) == sampled(*pool(shuffled)[:2], 300)


def test_from_a_pool_to_a_sheet_to_its_accuracy(tmp_path: Path) -> None:
    uids, decisions, positive = pool()
    sample = sampled(uids, decisions, 800)
    truth = dict(zip(uids.to_pylist(), positive.tolist(), strict=True))
    write_sample(sample, tmp_path / "sample.json")
    sheet = tmp_path / "sheet.csv"
    write_sheet([SheetRow(uid) for uid in sample.uids], sheet)
    fill_csv(sheet, {uid: "yes" if truth[uid] else "no" for uid in sample.uids})
    found = accuracy(read_sample(tmp_path / "sample.json"), read_verdicts(sheet))
    kept = decisions >= 0
    for name, value in (
        ("precision", positive[kept].mean()), ("recall", kept[positive].mean()), ("prevalence", positive.mean())
    ):  # fmt: skip
        measure = getattr(found, name)
        assert measure.low <= value <= measure.high
    assert found.precision.half_width < 0.1
    assert found.recall.half_width < 0.3
    assert found.notes == ()


def test_a_sample_file_says_the_same_when_read(tmp_path: Path) -> None:
    uids, decisions, _ = pool()
    sample = sampled(uids, decisions, 100)
    endless = AuditSample(design([-np.inf, 0, np.inf], [5, 5], 0, 4), ("a", "b"), (0, 1))
    for one in (sample, endless):
        write_sample(one, tmp_path / "sample.json")
        assert read_sample(tmp_path / "sample.json") == one
    for text in ("{", "[]", '{"strata": [], "uids": [], "stratum": []}'):
        (tmp_path / "sample.json").write_text(text)
        with pytest.raises(InputError, match=r"sample\.json is not a sample file"):
            read_sample(tmp_path / "sample.json")
    with pytest.raises(InputError, match="No such file"):
        read_sample(tmp_path / "none.json")


def test_a_sheet_left_off_in_the_middle_is_a_sample_still() -> None:
    uids, decisions, positive = pool()
    sample = sampled(uids, decisions, 400)
    truth = dict(zip(uids.to_pylist(), positive.tolist(), strict=True))
    half = accuracy(sample, simulate({uid: truth[uid] for uid in sample.uids[:200]}))
    whole = accuracy(sample, simulate({uid: truth[uid] for uid in sample.uids}))
    assert half.notes == ()
    assert half.recall.half_width > whole.recall.half_width
    backwards = accuracy(sample, simulate({uid: truth[uid] for uid in sample.uids[200:]}))
    assert "were passed over" in backwards.notes[-1]


def test_the_order_of_verdicts_changes_nothing() -> None:
    uids, decisions, positive = pool()
    sample = sampled(uids, decisions, 200)
    truth = dict(zip(uids.to_pylist(), positive.tolist(), strict=True))
    verdicts = simulate({uid: truth[uid] for uid in sample.uids})
    verdicts += [Verdict(uid, "unsure", "bo") for uid in sample.uids[:30]]
    shuffled = [verdicts[index] for index in np.random.default_rng(0).permutation(len(verdicts))]
    found = accuracy(sample, verdicts)
    assert found == accuracy(sample, shuffled)
    assert sum(part.answers.unsure for part in found.strata) == 30


def test_verdicts_about_other_rows_are_an_error() -> None:
    uids, decisions, _ = pool()
    with pytest.raises(InputError, match="not in the sample: 'zz'"):
        accuracy(sampled(uids, decisions, 100), [Verdict("zz", "positive")])
