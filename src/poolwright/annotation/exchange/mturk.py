"""Write the CSV and the page of a batch of HITs for Mechanical Turk, and read its results.

A batch is a project whose page (Crowd HTML Elements) names columns of the CSV as ${column}; each line of the CSV is
one HIT. The results have one line per assignment: HITId, WorkerId, AssignmentStatus, SubmitTime, `Input.<column>` and
`Answer.<name>.label`, or all answers as JSON in `Answer.taskAnswers`, as several choices are.
See the Requester UI guide, and the elements crowd-image-classifier and crowd-image-classifier-multi-select in the
developer guide of SageMaker Ground Truth.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from poolwright.annotation.exchange.label_studio import FIELDS, VERDICT
from poolwright.core.errors import InputError
from poolwright.core.texts.text_files import load_json
from poolwright.core.wording import counted, guarded

MOST_BYTES = 65_535
"""Maximum size of a HIT's page in bytes (HTMLQuestion, API reference)."""

NAME = VERDICT

REJECTED = "\0rejected"
"""Key of a record that says whether its assignment was rejected."""
_URL = ":/?#[]@!$&'()*+,;=%-._~"  # characters of URLs that need no escape; quotes and the brackets of tags do
_UID, _CLASS, _WORKER, _STATUS = "input.uid", "input.class", "workerid", "assignmentstatus"

_ELEMENT = "crowd-image-classifier"
_PAGE = """\
<script src="https://assets.crowd.aws/crowd-html-elements.js"></script>
<!-- Publish it with the CSV next to it, {assignments} for each task. -->
<crowd-form{flat}>
  <{kind}
    name="{name}"
    src="${{image_url}}"
    categories="{categories}"
    header="${{question}}">
    <full-instructions header="Instructions">
{full}
    </full-instructions>
    <short-instructions>
{short}
      <p>${{text}}</p>
    </short-instructions>
  </{kind}>
</crowd-form>
"""


def hit_page(
    choices: Sequence[str], assignments: int, instructions: str, elsewhere: str = "", *, several: bool = False
) -> str:
    """Return the page of a HIT, to paste into a project's Design Layout.

    Args:
        choices: the words that are offered.
        assignments: number of people asked about each row.
        instructions: HTML, shown in full next to the picture if it fits.
        elsewhere: URL of the instructions, shown in a frame if they do not fit.
        several: whether a worker may choose several words.

    Raises:
        InputError: the instructions do not fit and have no URL.
    """
    many = counted(assignments, "assignment")
    names = html.escape(json.dumps(list(choices), ensure_ascii=False))
    what = "all answers that are" if several else "the answer that is"
    shown = f"      <p>Choose {what} true of the picture.</p>"

    def page(full: str) -> str:
        kind, flat = (f"{_ELEMENT}-multi-select", "") if several else (_ELEMENT, ' answer-format="flatten-objects"')
        return _PAGE.format(
            assignments=many, name=NAME, categories=_plain(names), full=full, short=shown, kind=kind, flat=flat
        )

    whole = page(_plain(instructions))
    if len(whole.encode()) <= MOST_BYTES:
        return whole
    if not elsewhere:
        raise InputError(
            f"the page of the HITs has {len(whole.encode()):,} bytes with its instructions, and Mechanical Turk "
            f"accepts {MOST_BYTES:,}; put the folder instructions/ on the web and name it: hosted: https://..."
        )
    return page(f'<iframe src="{html.escape(elsewhere)}" width="100%" height="800"></iframe>')


def _plain(text: str) -> str:
    """Escape text so that nothing is taken for a ${variable} or Liquid."""
    return text.replace("$", "&#36;").replace("{", "&#123;").replace("}", "&#125;")


def hit_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """Return the CSV of a batch, one HIT per row with the keys uid, image_url, class, question and text.

    Raises:
        InputError: a picture has no URL that workers can open, or a uid has characters that the site refuses.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    names = ("uid", "image_url", "class", "question", "text")
    writer.writerow(names)
    for row in rows:
        if urlsplit(row["image_url"]).scheme not in ("http", "https"):
            raise InputError(
                f"'{row['uid']}' has no picture on the web, only '{row['image_url']}'; workers need a URL: "
                "set the URL of the folder of images, such as images: https://example.org/photos"
            )
        if _three_bytes(row["uid"]) != row["uid"]:
            raise InputError(f"uid '{row['uid']}' has characters that Mechanical Turk refuses; use another format")
        # They are put into the page unescaped: captions are text of strangers and must not become tags.
        shown = {name: html.escape(row[name]) for name in ("question", "text")}
        shown["image_url"] = quote(row["image_url"], safe=_URL)
        writer.writerow([guarded(_three_bytes({**row, **shown}[name])) for name in names])
    return out.getvalue()


def _three_bytes(text: str) -> str:
    """Replace characters of more than three bytes in UTF-8, such as emoji: Mechanical Turk refuses them."""
    return "".join(letter if ord(letter) < 0x10000 else "\ufffd" for letter in text)


def is_batch(names: Collection[str]) -> bool:
    """Whether a CSV with these column names, in lower case, is the result of a batch."""
    return _WORKER in names and _UID in names


def record_of_assignment(line: Mapping[str, str], field: str = NAME) -> dict[str, Any]:
    """Return uid, class, verdict, annotator, time and comment of an assignment. Rejected ones have no verdict.

    Args:
        line: cells by the names of their columns, in lower case.
        field: name of the answer that has the verdicts, in lower case.

    Raises:
        ValueError: the answers cannot be read.
    """
    rejected = _is_rejected(line)
    record = {
        "uid": line.get(_UID),
        "class": line.get(_CLASS),
        "annotator": line.get(_WORKER),
        "time": line.get("submittime"),
        "comment": line.get("answer.comment"),
        REJECTED: rejected,
        FIELDS: [name for name in line if name.startswith("answer.") and name != "answer.comment"],
    }
    tried = ((f"answer.{one}.label", f"answer.{one}.labels", f"answer.{one}", one) for one in (field, NAME))
    names = [name for several in tried for name in several if name in line]
    if rejected:
        return {**record, NAME: None} if names or "answer.taskanswers" in line else record
    if names:
        return {**record, NAME: next((line[name] for name in names if line[name]), None)}
    if "answer.taskanswers" in line:
        return {**record, NAME: _of_answers(line["answer.taskanswers"], field)}
    return record


def _is_rejected(line: Mapping[str, str]) -> bool:
    """Whether an assignment was rejected, or is marked to be: with a reason in the column Reject."""
    marks = (line.get("rejectiontime", ""), line.get("reject", ""))
    return line.get(_STATUS, "").strip().casefold().startswith("reject") or any(mark.strip() for mark in marks)


def _of_answers(text: str, field: str) -> Any:
    if not text:
        return None
    try:
        (answers,) = load_json(text)
        plain = {name.casefold(): answer for name, answer in answers.items()}
        names = [name for one in (field, NAME) for name in (one, f"{one}.label") if name in plain]
        found = plain[names[0]]
        if isinstance(found, dict) and "labels" in found:
            return json.dumps(found["labels"], ensure_ascii=False) if found["labels"] else None
        word = found["label"] if isinstance(found, dict) else found
    except (ValueError, TypeError, AttributeError, KeyError, IndexError):
        word = None
    if not isinstance(word, str):
        raise ValueError(f"no answer '{field}' in Answer.taskAnswers: {text[:80]}")
    return word
