"""Estimate a filter's accuracy from verdicts, and combine boxes: audit, accuracy, more_verdicts, combine_boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from poolwright.core.params import several
from poolwright.core.results.combined_boxes import CombinedBoxes
from poolwright.run.run import open_run

if TYPE_CHECKING:
    from poolwright.kernels.statistics.accuracy import Estimates
    from poolwright.kernels.statistics.sample_size import MoreVerdicts


def audit(
    folder: str | Path, table: str, to: str | Path, n: int = 400, format: str = "csv", show_decision: bool = False
) -> list[Path]:
    """Write a labelling sheet: a stratified sample of all rows that a table's classifier decided on, kept or dropped.

    Args:
        folder: the run folder.
        table: a finished table with a `classify` step of two classes.
        to: the sheet; the sample behind it is written next to it, as `<sheet>.sample.json`.
        n: rows on the sheet.
        format: csv, jsonl or label_studio.
        show_decision: also write the decision values; they influence people who see them.

    Returns:
        The files written.

    Raises:
        RecipeError: no such table, or it has no such classifier.
    """
    from poolwright.annotation.exchange.sheets import write_sheet
    from poolwright.annotation.sample import sample_beside, write_sample
    from poolwright.inspect.audit_sample import draw_sample

    sample, rows = draw_sample(open_run(folder), table, n)
    path = Path(to)
    written = write_sheet(rows, path, format, show_decision=show_decision)
    write_sample(sample, sample_beside(path))
    return [*written, sample_beside(path)]


def more_verdicts(estimates: Estimates, wanted: Mapping[str, float] | Sequence[str]) -> MoreVerdicts:
    """Compute how many more verdicts would narrow the intervals of estimates to a wanted width, and for which rows.

    Args:
        estimates: what `accuracy` returned.
        wanted: half-width by measure, such as {'recall': 0.05}; or texts such as 'recall=5%'.

    Raises:
        InputError: no such measure, or a width is not a share.
    """
    from poolwright.kernels.statistics.sample_size import how_many_more, parse_wanted

    return how_many_more(estimates, dict(wanted) if isinstance(wanted, Mapping) else parse_wanted(wanted))


def accuracy(
    sheet: str | Path,
    verdicts: str | Path | Sequence[str | Path] = (),
    words: Mapping[str, str] | None = None,
    field: str = "verdict",
) -> Estimates:
    """Estimate precision, recall and prevalence on the pool, from verdicts on a sheet that `audit` wrote.

    Args:
        sheet: the sheet that was written, with its sample next to it.
        verdicts: filled-in sheets or exports, of one or several people; default the sheet itself.
        words: meanings of words other than positive, negative and unsure.
        field: name of the field of the files that has the verdicts.

    Raises:
        InputError: a file cannot be read, or verdicts are about rows that are not on the sheet.
    """
    from poolwright.annotation.exchange.read_answers import read_verdicts
    from poolwright.annotation.sample import accuracy as estimate
    from poolwright.annotation.sample import read_sample, sample_beside

    given = [
        verdict for path in several(verdicts or sheet) for verdict in read_verdicts(Path(path), words, field=field)
    ]
    return estimate(read_sample(sample_beside(Path(sheet))), given)


def combine_boxes(
    *files: str | Path,
    to: str | Path,
    reviewer: str | Path | None = None,
    iou: float = 0.5,
    least: int | None = None,
    strip: str = "",
) -> CombinedBoxes:
    """Combine the boxes that several people drew on the same pictures, from files in the format of COCO, one a person.

    Boxes of one class are matched one to one. Of a group that more than half of the people drew, of those whose file
    lists the picture, the mean box is accepted; the other boxes are disputed.

    Args:
        files: the files.
        to: folder of the result: `instances.json`, which the pool `coco` reads; `disputed.json`, the pictures with
            disputed boxes and all boxes on them; `agreement.json`, the counts.
        reviewer: file of somebody whose boxes replace those of the others on the pictures it lists.
        iou: smallest intersection over union of two boxes of one object.
        least: how many people must have looked at a picture; default 2, or 1 for a single file.
        strip: regular expression of what is left out at the beginning of file names, such as '[0-9a-f]{8}-', which
            Label Studio puts before names of uploaded files.

    Raises:
        InputError: a file cannot be read or is given twice, sizes of a picture differ, or a number is out of range.
        RecipeError: a file is not in the format of COCO.
    """
    from poolwright.jobs.combine_boxes import combine

    paths = [Path(file) for file in files]
    people = min(2, len(paths)) if least is None else least
    return combine(paths, Path(to), Path(reviewer) if reviewer else None, iou, people, strip)
