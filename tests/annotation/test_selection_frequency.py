"""selection_frequency: it asks several people about every row, keeps all rows, and counts who picked them."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from tests.annotation.asking import recipe, write_instructions, write_pool

from poolwright import api
from poolwright.annotation.selection_frequency import SelectionFrequency
from poolwright.api import Recipe
from poolwright.core.errors import InputError, WaitingForPeople
from poolwright.core.table import Table
from poolwright.demo.annotators import Annotator, answer_worklist


def asking(folder: Path, **parameters: Any) -> Recipe:
    return recipe(folder, verb="selection_frequency", **parameters)


def run(made: Recipe, folder: Path) -> Table:
    return api.run(made, folder / "run", workers=1).tables["good"]


def frequencies(table: Table) -> dict[str, tuple[float | None, int]]:
    rows = table.read(["uid", "selection_frequency", "judges"]).to_pylist()
    return {row["uid"]: (row["selection_frequency"], row["judges"]) for row in rows}


def test_people_are_asked_and_the_share_who_picked_a_row_is_given(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    made = asking(tmp_path, annotators=3, instructions=str(write_instructions(tmp_path)))
    with pytest.raises(WaitingForPeople, match="good: waiting for 216 verdicts on 72 rows"):
        run(made, tmp_path)
    people = [Annotator(name, error=0.2, unsure=0.1) for name in ("zoe", "yu", "xi")]
    desk = tmp_path / "run" / "verify" / "good"
    answer_worklist(desk, people, truth)
    table = run(made, tmp_path)

    picked, judges = Counter[str](), Counter[str]()
    for file in (desk / "verdicts").glob("*.csv"):
        for line in csv.DictReader(file.read_text("utf-8-sig").splitlines()):
            picked[line["uid"]] += line["verdict"] == "yes"
            judges[line["uid"]] += bool(line["verdict"])
    found = frequencies(table)
    assert found == {uid: (picked[uid] / judges[uid], judges[uid]) for uid in truth}
    assert {count for _, count in found.values()} == {3}
    assert len({share for share, _ in found.values()}) == 4
    assert table.record.rows_kept == 72
    assert "72 rows judged, by 216 verdicts of 3 people; picked in" in table.record.steps[0].learned
    names = [document["name"] for document in table.state(0).values["documents"]]
    assert names == ["instructions"]
    assert "zoe" not in str(table.state(0).values)


def test_imported_verdicts_of_several_people_are_read_without_asking(tmp_path: Path) -> None:
    truth = write_pool(tmp_path)
    given: dict[str, list[str]] = defaultdict(list)
    lines = ["uid,verdict,annotator"]
    for row, uid in enumerate(truth):
        for person in range(row % 4):
            word = "unsure" if person == 2 else "yes" if (row + person) % 3 else "no"
            given[uid].append(word)
            lines.append(f"{uid},{word},person-{person}")
    lines += ["r001,no,person-0", "elsewhere,yes,person-0"]  # the last verdict of a person counts
    given["r001"] = ["no"]
    (tmp_path / "judged.csv").write_text("\n".join(lines))
    made = asking(tmp_path, annotators=3, verdicts=["judged.csv"], partial=True, unknown="ignore")
    table = run(made, tmp_path)
    for uid, found in frequencies(table).items():
        words = given[uid]
        assert found == (words.count("yes") / len(words) if words else None, len(words))
    learned = table.record.steps[0].learned
    assert "54 rows judged, by 108 verdicts of 3 people" in learned
    assert "18 rows that nobody judged; 36 rows judged by fewer than 3; 1 answer on other rows" in learned
    step, rows = SelectionFrequency(annotators=3), {row["uid"]: row for row in table.read().to_pylist()}
    assert step.explain(rows["r000"], table.state(0)) == "nobody judged it"
    assert step.explain(rows["r003"], table.state(0)) == "selection_frequency = 0.333: picked by 1 of 3"

    with pytest.raises(InputError, match="1 verdict is about rows that are not among the rows"):
        api.run(asking(tmp_path, verdicts=["judged.csv"]), tmp_path / "other", workers=1)
