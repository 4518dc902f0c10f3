"""Write labelling sheets: the rows of a sample as a file for people, in the formats that their tools open.

    csv            one line per row: uid, image, text, verdict, annotator, comment. UTF-8 with BOM, which Excel needs
    jsonl          the same, one JSON object per line
    label_studio   tasks to import as JSON, and the labelling configuration next to them: <name>.config.xml

If rows have a class and a question of their own, these are columns too.

The decision value is left out unless requested, so that it influences nobody. `read_answers.read_verdicts` reads them
back.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from poolwright.annotation.verdicts import NEGATIVE, POSITIVE, UNSURE
from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.core.files import write_text
from poolwright.core.wording import guarded

FORMATS = ("csv", "jsonl", "label_studio")
QUESTION = "Is this what the filter looks for?"
DECISION = "decision"


@dataclass(frozen=True)
class SheetRow:
    """One row to look at.

    Attributes:
        uid: unique on a sheet.
        image: URL, or path of the image file.
        text: caption, if there is one.
        decision: decision value of the filter.
        about: the class that is asked about.
        question: the question, if it is not the same for all rows.
    """

    uid: str
    image: str = ""
    text: str = ""
    decision: float | None = None
    about: str = ""
    question: str = ""

    @property
    def asked(self) -> dict[str, str]:
        """Class and question, if there are any."""
        return {name: value for name, value in (("class", self.about), ("question", self.question)) if value}


def write_sheet(
    rows: Sequence[SheetRow],
    path: Path,
    format: str = "csv",
    *,
    show_decision: bool = False,
    choices: Sequence[str] = (POSITIVE, NEGATIVE, UNSURE),
    question: str = QUESTION,
    several: bool = False,
) -> list[Path]:
    """Write a sheet, in the order of the rows, which is that of `strata.sheet_order`.

    Args:
        rows: with unique uids.
        path: the file; its folder is created.
        format: one of FORMATS.
        show_decision: also write the decision value. It influences people who see it.
        choices: words offered in Label Studio; the reader needs the meanings of unusual ones.
        question: shown above the picture in Label Studio, for rows without one of their own.
        several: whether Label Studio lets people choose several words.

    Returns:
        The files written.

    Raises:
        RecipeError: the format is not known.
        InputError: a uid is empty or occurs twice.
    """
    writers = {"csv": _csv, "jsonl": _json_lines, "label_studio": _tasks}
    if format not in writers:
        raise RecipeError(f"unknown sheet format '{format}'; {did_you_mean(format, FORMATS)}")
    _check(rows)
    write_text(path, writers[format](rows, show_decision))
    if format != "label_studio":
        return [path]
    config = path.with_suffix(".config.xml")
    shown = "$question" if any(row.question for row in rows) else question
    write_text(config, label_studio_config(choices, shown, any(row.text for row in rows), several))
    return [path, config]


def label_studio_config(
    choices: Sequence[str], question: str = QUESTION, with_text: bool = True, several: bool = False
) -> str:
    """Return the labelling configuration of Label Studio: choices and a comment for a picture and its text.

    Follows the tags Image, Text, Choices and TextArea of https://labelstud.io/tags/.
    """
    from xml.sax.saxutils import quoteattr  # imports clients of HTTP

    caption = '  <Text name="caption" value="$text"/>\n' if with_text else ""
    buttons = "".join(
        f"    <Choice value={quoteattr(choice)} hotkey={quoteattr(str(key))}/>\n"
        for key, choice in enumerate(choices, start=1)
    )
    kind = "multiple" if several else "single"
    return (
        "<View>\n"
        f"  <Header value={quoteattr(question)}/>\n"
        '  <Image name="image" value="$image" zoom="true"/>\n'
        f"{caption}"
        f'  <Choices name="verdict" toName="image" choice="{kind}" showInLine="true" required="true">\n'
        f"{buttons}"
        "  </Choices>\n"
        '  <TextArea name="comment" toName="image" placeholder="Comment" rows="1" maxSubmissions="1"/>\n'
        "</View>\n"
    )


def _check(rows: Sequence[SheetRow]) -> None:
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        if not row.uid.strip():
            raise InputError(
                f"row {number} of the sheet has no uid, so its verdict could not be assigned; give each row a uid"
            )
        if row.uid in seen:
            raise InputError(f"'{row.uid}' is on the sheet twice; give each row once")
        seen.add(row.uid)


def _csv(rows: Sequence[SheetRow], show_decision: bool) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    shown = [DECISION] if show_decision else []
    asked = list(dict.fromkeys(name for row in rows for name in row.asked))
    writer.writerow(["uid", "image", "text", *shown, *asked, "verdict", "annotator", "comment"])
    for row in rows:
        cells = [guarded(row.uid), guarded(row.image), guarded(row.text)]
        cells += [_number(row.decision)] if show_decision else []
        cells += [guarded(row.asked.get(name, "")) for name in asked]
        writer.writerow([*cells, "", "", ""])
    return "\ufeff" + out.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _json_lines(rows: Sequence[SheetRow], show_decision: bool) -> str:
    return "".join(json.dumps({**_data(row, show_decision), "verdict": None}) + "\n" for row in rows)


def _data(row: SheetRow, show_decision: bool) -> dict[str, object]:
    decision = {DECISION: row.decision} if show_decision else {}
    return {"uid": row.uid, "image": row.image, "text": row.text, **row.asked, **decision}


def _tasks(rows: Sequence[SheetRow], show_decision: bool) -> str:
    tasks = [{"data": {**_data(row, show_decision), "image": _served(row.image)}} for row in rows]
    return json.dumps(tasks, indent=1) + "\n"


def _served(image: str) -> str:
    """Return the address of a picture for Label Studio: a URL, or a file below its document root ('Local storage')."""
    if not image or urlsplit(image).scheme in ("http", "https", "s3", "gs", "data") or image.startswith("/data/"):
        return image
    return f"/data/local-files/?d={quote(image.lstrip('/'))}"
