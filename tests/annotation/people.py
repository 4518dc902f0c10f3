"""People who know the truth, for tests: they fill in sheets as tools would save them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poolwright.annotation.verdicts import NEGATIVE, POSITIVE, Verdict

Truth = Mapping[str, bool]


def simulate(truth: Truth, annotator: str = "ada") -> list[Verdict]:
    """A verdict for every uid, from a column of what is true."""
    return [Verdict(uid, POSITIVE if positive else NEGATIVE, annotator) for uid, positive in truth.items()]


def fill_csv(sheet: Path, words: Mapping[str, str], *, delimiter: str = ",", encoding: str = "utf-8-sig") -> None:
    """Write a word next to every uid, and save the sheet as a spreadsheet does."""
    rows = list(csv.reader(io.StringIO(sheet.read_bytes().decode("utf-8-sig"), newline="")))
    column = rows[0].index("verdict")
    for row in rows[1:]:
        row[column] = words.get(row[0], "")
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    sheet.write_bytes(out.getvalue().encode(encoding))


def fill_json_lines(sheet: Path, words: Mapping[str, str]) -> None:
    rows = [json.loads(line) for line in sheet.read_text("utf-8").split("\n") if line]
    filled = [{**row, "verdict": words.get(row["uid"]), "annotator": "ada"} for row in rows]
    sheet.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in filled), "utf-8")


def fill_label_studio(tasks: Path, words: Mapping[str, str], export: Path) -> None:
    """What Label Studio exports as JSON after somebody has been through the tasks."""
    done = [
        {"id": number, "data": task["data"], "annotations": [annotation(words[task["data"]["uid"]], number)],
         "predictions": [], "meta": {}, "project": 3}
        for number, task in enumerate(json.loads(tasks.read_text("utf-8")), start=1)
        if task["data"]["uid"] in words
    ]  # fmt: skip
    export.write_text(json.dumps(done), "utf-8")


def annotation(word: str, number: int = 1, by: Any = 1, **more: Any) -> dict[str, Any]:
    choice = {"id": "a", "from_name": "verdict", "to_name": "image", "type": "choices", "value": {"choices": [word]}}
    return {
        "id": number, "completed_by": by, "result": [choice], "was_cancelled": False,
        "created_at": "2026-03-01T10:00:00.000000Z", "updated_at": "2026-03-01T10:05:00.000000Z",
        "lead_time": 2.5, **more,
    }  # fmt: skip
