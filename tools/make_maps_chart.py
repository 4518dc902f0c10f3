"""Draw docs/images/missed-maps.png: the maps that a filter misses, as samples estimate it, and as it is.

    python tools/make_maps_chart.py FOLDER

FOLDER holds runs/maps and runs/maps-again, made as docs/mappool.md says. The truth answers for people.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib import pyplot

from poolwright import api
from poolwright.api import Estimates

OUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "missed-maps.png"
VERDICTS = (100, 200, 400)
RUNS = {"maps": "first filter", "maps-again": "after twenty corrections"}


def main() -> None:
    folder = Path(sys.argv[1]) / "runs"
    figure, axes = pyplot.subplots(figsize=(7.5, 2.6))
    at = 0
    for name, words in RUNS.items():
        truth = truths(folder / name)
        missed = sum(row["truth"] == "map" != row["predicted"] for row in truth.values())
        axes.plot([missed, missed], [-at + 0.4, -at - 2.4], color="#c0392b")
        axes.annotate(f"{missed} are missed", (missed, -at + 0.4), (4, 0), textcoords="offset points", color="#c0392b")
        for verdicts in VERDICTS:
            one = audited(folder / name, verdicts, {uid: str(row["truth"]) for uid, row in truth.items()}).missed
            axes.plot([one.low, one.high], [-at, -at], color="#34495e", linewidth=2)
            axes.plot([one.value], [-at], "o", color="#34495e")
            print(f"{words}, {verdicts} verdicts: {one.value:.0f} ({one.low:.0f} to {one.high:.0f}), truth {missed}")
            at += 1
    axes.set_yticks(
        [-row for row in range(at)], [f"{words}, {n} verdicts" for words in RUNS.values() for n in VERDICTS]
    )
    axes.set_xlabel("maps that the filter misses, with 95 % intervals")
    axes.set_xlim(0)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(OUT, dpi=110, bbox_inches="tight")


def truths(run: Path) -> dict[str, dict[str, object]]:
    decided = next(table for table in api.show(run) if table.name == "decided")
    return {row["uid"]: row for row in decided.read(["uid", "truth", "predicted"]).to_pylist()}


def audited(run: Path, verdicts: int, truth: dict[str, str]) -> Estimates:
    with TemporaryDirectory() as folder:
        sheet = Path(folder) / "sheet.csv"
        api.audit(run, "decided", sheet, verdicts)
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.DictReader(file))
        with sheet.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, lines[0].keys())
            writer.writeheader()
            words = {"map": "positive", "other": "negative"}
            writer.writerows({**line, "verdict": words[truth[line["uid"]]]} for line in lines)
        return api.accuracy(sheet)


if __name__ == "__main__":
    main()
