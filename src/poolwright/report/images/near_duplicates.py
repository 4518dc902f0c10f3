"""Show the near-duplicates of a table: the largest groups, pairs near the threshold, and what a higher one keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.errors import PoolwrightError
from poolwright.core.rows import one_array
from poolwright.core.table import StepRecord, Table
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.hashing import hash_key
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.report.charts.charts import Tick, columns
from poolwright.report.charts.distributions import BATCH_ROWS
from poolwright.report.figures import Plot
from poolwright.report.sheets import Budget, Sheet, SheetCard, cards_of, dropped_cards
from poolwright.report.view import TableView

KIND = "duplicates"
MEMBERS = "members"
GROUPS, PER_GROUP, PAIRS, DROPPED = 4, 6, 6, 48


@dataclass(frozen=True)
class DuplicateGroups:
    """The near-duplicates that one step found.

    Attributes:
        title: the step.
        facts: what it learned.
        curve: rows that go by threshold; None unless vectors were compared.
        sheets: the largest groups, and pairs near the threshold.
    """

    title: str
    facts: str
    curve: Plot | None
    sheets: tuple[Sheet, ...]


def duplicate_groups(view: TableView, budget: Budget) -> list[DuplicateGroups]:
    """Return the near-duplicates of each step that looked for some."""
    steps = [step for step in view.table.record.steps if step.state_kind == KIND]
    return [_of_step(view, step, budget) for step in steps]


def _of_step(view: TableView, step: StepRecord, budget: Budget) -> DuplicateGroups:
    state = view.table.state(step.index)
    curve = _curve(step, state.values) if state.values.get("curve") else None
    sheets = _sheets(view, step, state.mapped[MEMBERS], budget) if len(state.mapped[MEMBERS]) else []
    return DuplicateGroups(f"Step {step.index + 1}, {step.verb}", step.learned, curve, tuple(sheets))


def _curve(step: StepRecord, values: Mapping[str, Any]) -> Plot:
    """Plot how many rows go if one of each group stays, by the least cosine of a link."""
    ladder = [(float(at), int(dropped)) for at, dropped in values["curve"]]
    rows = max(int(values["rows"]), 1)
    words = [f"above {at:.4g}: {in_rows(dropped)} go, {1 - dropped / rows:.2%} stay" for at, dropped in ladder]
    top = max(max(dropped for _, dropped in ladder), 1)
    title = f"Rows that go, by the threshold of step {step.index + 1}"
    facts = f"{in_rows(ladder[0][1])} of {rows:,} at {ladder[0][0]:.4g}, {in_rows(ladder[-1][1])} at 1"
    middle = len(ladder) // 2
    return Plot(
        title=title,
        meaning="Near-duplicates by their vectors that a higher threshold drops, one row of each group staying.",
        facts=facts,
        svg=columns([dropped for _, dropped in ladder], words, f"{title}: {facts}", top),
        across=tuple(
            Tick(round(100 * (number + 0.5) / len(ladder), 2), f"{ladder[number][0]:.4g}")
            for number in (0, middle, len(ladder) - 1)
        ),
        up=(Tick(50, f"{top / rows / 2:.1%}"), Tick(100, f"{top / rows:.1%}")),
        numbers=tuple((f"above {at:.4g}", f"{dropped:,} go, {1 - dropped / rows:.2%} stay") for at, dropped in ladder),
    )


def _sheets(view: TableView, step: StepRecord, members: pa.Table, budget: Budget) -> list[Sheet]:
    dropped, failed = _dropped(view, step, budget)
    shown = members
    if step.parameters.get("keep", "all") != "all":  # of the dropped rows, those of the sample can be shown
        known = pa.array(list(dropped), members.schema.field(UID).type)
        shown = members.filter(
            pc.or_(pc.equal(members.column("drop"), 0), pc.is_in(members.column(UID), value_set=known))
        )
    groups = _largest(members, shown)
    pairs = _near_threshold(shown, step, hash_key(view.table.record.seed, view.table.name, "near_duplicates"))
    wanted = [uid for _, uids in groups for uid in uids] + [uid for one, other, _ in pairs for uid in (one, other)]
    cards, problem = _kept_cards(view, [uid for uid in dict.fromkeys(wanted) if uid not in dropped], budget)
    cards |= dropped
    sheets = [
        Sheet(f"group of {uids[0]}", "", size, tuple(cards[uid] for uid in uids if uid in cards), failed=problem)
        for size, uids in groups
    ]
    if pairs:
        both = [
            replace(cards[uid], notes=((f"pair {number}", likeness),))
            for number, (one, other, likeness) in enumerate(pairs, start=1)
            for uid in (one, other)
            if one in cards and other in cards
        ]
        sheets.append(Sheet("pairs near the threshold", "drawn by a hash", len(both), tuple(both), failed=failed))
    return sheets


def _dropped(view: TableView, step: StepRecord, budget: Budget) -> tuple[dict[str, SheetCard], str]:
    """Return cards of some of the rows that the step dropped, by uid, and the reason if they cannot be read."""
    found: dict[str, SheetCard] = {}
    for reason in view.table.record.reasons:
        if reason.step == step.index:
            try:
                rows = view.dropped_sample(reason.code, min(DROPPED, budget.pictures // 4))
            except (PoolwrightError, OSError) as error:
                return {}, f"the rows cannot be read: {error}"
            uids = rows.strings(UID) if UID in rows.schema.names else []
            cards = dropped_cards(rows, (), budget)
            found |= {str(uid): card for uid, card in zip(uids, cards, strict=True)}
    return found, ""


def _largest(members: pa.Table, shown: pa.Table) -> list[tuple[int, list[str]]]:
    """Return the rows of each of the largest groups, and some of their uids: two or more can be shown."""
    sizes = dict(zip(*(column.to_pylist() for column in _counts(members).values()), strict=True))
    available = _counts(shown)
    some = available["values"].filter(pc.greater(available["counts"], 1)).to_pylist()
    names = sorted(some, key=lambda name: (-sizes[name], name))[:GROUPS]
    column = shown.column("group")
    return [
        (sizes[name], shown.filter(pc.equal(column, name)).column(UID).slice(0, PER_GROUP).to_pylist())
        for name in names
    ]


def _counts(members: pa.Table) -> dict[str, pa.Array]:
    counted = pc.value_counts(one_array(members.column("group")))
    return {"values": counted.field("values"), "counts": counted.field("counts")}


def _near_threshold(shown: pa.Table, step: StepRecord, key: int) -> list[tuple[str, str, str]]:
    """Return uid, twin and likeness of some of the least alike fifth of pairs, drawn by the hash rank of the uid."""
    cosine = shown.column("cosine").to_numpy()
    bits = shown.column("bits").cast(pa.float64()).to_numpy()
    alike = np.where(np.isnan(cosine), -bits / 64, cosine)
    alike[cosine < float(step.parameters.get("above", -1)) - 1e-6] = np.nan  # linked through others alone
    known = np.flatnonzero(~np.isnan(alike) & (shown.column(UID).to_numpy() != shown.column("twin").to_numpy()))
    if not len(known):
        return []
    least = known[alike[known] <= np.quantile(alike[known], 0.2)]
    ranks = hash_ranks(one_array(shown.column(UID)).take(pa.array(least)), key)
    picked = shown.take(pa.array(least[np.argsort(ranks, kind="stable")[:PAIRS]])).to_pylist()
    return [
        (row["uid"], row["twin"], f"{row['bits']} bits" if row["cosine"] is None else f"cosine {row['cosine']:.4f}")
        for row in picked
    ]


def _kept_cards(view: TableView, uids: list[str], budget: Budget) -> tuple[dict[str, SheetCard], str]:
    numbers = _row_numbers(view.table, uids)
    cards, failed = cards_of(view, list(numbers.values()), budget)
    return dict(zip(numbers, cards, strict=True)), failed


def _row_numbers(table: Table, uids: list[str]) -> dict[str, int]:
    """Return the number in the table of each of some rows that it has."""
    wanted, found, start = pa.array(uids, pa.string()), {}, 0
    for rows in table.batches([UID], BATCH_ROWS):
        at = pc.index_in(rows.column(UID).cast(pa.string()), value_set=wanted)
        for row in np.flatnonzero(pc.is_valid(at).to_numpy(zero_copy_only=False)):
            found[uids[at[row].as_py()]] = start + int(row)
        start += len(rows)
    return found
