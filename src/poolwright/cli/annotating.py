"""Commands that estimate a filter's accuracy from people's verdicts, and combine boxes that several people drew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from poolwright.cli.app import RunFolder, app
from poolwright.cli.completers import finished_tables
from poolwright.cli.output import OUTPUT


@app.command()
def audit(
    run_folder: RunFolder,
    table: Annotated[str, typer.Argument(help="A table with a classify step.", autocompletion=finished_tables)],
    to: Annotated[Path, typer.Argument(help="The sheet to write.", metavar="SHEET")],
    n: Annotated[int, typer.Option("--n", help="Rows on the sheet.", min=1)] = 400,
    format: Annotated[str, typer.Option(help="csv, jsonl or label_studio.")] = "csv",
    show_decision: Annotated[bool, typer.Option("--show-decision", help="Show decision values; they bias.")] = False,
) -> None:
    """Write a sheet of sampled rows for people to judge.

    Rows kept and dropped by a classifier, sampled to tell most about its precision and recall on the pool.
    """
    from poolwright.api import audit as write_audit
    from poolwright.cli.rendering.annotating import print_audit

    OUTPUT.show(print_audit, write_audit(run_folder, table, to, n, format, show_decision), asked=False)


@app.command()
def accuracy(
    sheet: Annotated[Path, typer.Argument(help="The sheet that `audit` wrote.", metavar="SHEET")],
    verdicts: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--verdicts", help="A filled-in copy or export; may be repeated. Default: the sheet itself."),
    ] = None,
    word: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--word", help="Meaning of a word: map=positive; may be repeated.", metavar="WORD=MEANING"),
    ] = None,
    field: Annotated[
        str, typer.Option("--field", help="Name of the field that has the verdicts.", metavar="NAME")
    ] = "verdict",
    want: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--want", help="Half-width wanted: recall=5%; may be repeated.", metavar="MEASURE=SHARE"),
    ] = None,
) -> None:
    """Estimate a filter's accuracy from verdicts.

    Precision, recall and prevalence on the whole pool, with intervals.
    """
    from poolwright.api import accuracy as estimate
    from poolwright.api import more_verdicts
    from poolwright.cli.rendering.annotating import print_accuracy

    words = {name: meaning for name, _, meaning in (pair.partition("=") for pair in word or ())}
    estimates = estimate(sheet, verdicts or (), words, field)
    OUTPUT.show(print_accuracy, estimates, more_verdicts(estimates, want) if want else None)


@app.command("combine-boxes")
def combine_boxes_of(
    files: Annotated[list[Path], typer.Argument(help="Files in the format of COCO, one a person.", metavar="FILE...")],
    to: Annotated[Path, typer.Option("--to", help="Folder of the result.", metavar="DIR")],
    reviewer: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="File of somebody who decides about the pictures in it.", metavar="FILE"),
    ] = None,
    iou: Annotated[float, typer.Option(help="Smallest overlap of two boxes of one object.")] = 0.5,
    least: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="How many people must have looked at a picture; default 2.", metavar="N"),
    ] = None,
    strip: Annotated[
        str, typer.Option(help="What to leave out where file names begin, a regular expression.", metavar="REGEX")
    ] = "",
) -> None:
    """Combine boxes that several people drew.

    Boxes are matched one to one; the mean box of a majority is accepted, the others are left to a reviewer.
    """
    from poolwright.api import combine_boxes
    from poolwright.cli.rendering.annotating import print_boxes

    OUTPUT.show(print_boxes, combine_boxes(*files, to=to, reviewer=reviewer, iou=iou, least=least, strip=strip))
