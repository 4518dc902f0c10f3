"""Exchange: verdicts of the studio as files, and files as verdicts of the studio."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from poolwright.annotation.answers import ClassName, YesNo
from poolwright.annotation.exchange.read_answers import read_answers, read_verdicts
from poolwright.annotation.exchange.spreadsheet_cells import guarded
from poolwright.annotation.exchange.worklist import answer_files
from poolwright.annotation.queue.queue import Queue, list_queues, read_queue
from poolwright.annotation.queue.store import STORE, Said, VerdictStore, counting
from poolwright.annotation.queue.tally import Snapshot
from poolwright.annotation.verdicts import UNSURE, Verdict, check_known
from poolwright.core.errors import InputError
from poolwright.core.files import write_text

FORMS: Mapping[str, tuple[str, str]] = {
    "csv": (".csv", "text/csv; charset=utf-8"),
    "jsonl": (".jsonl", "application/jsonl; charset=utf-8"),
    "label_studio": (".json", "application/json"),
}
"""Ending and media type of each form."""

ANSWERS = "verdicts/studio.jsonl"
"""Where a step `verify` finds what was said in the studio, in the folder of its queue."""

_IMPORTED = "import "
_COLUMNS = ("uid", "class", "verdict", "annotator", "time", "comment")


def exported(now: Snapshot, form: str) -> bytes:
    """All verdicts that count, one a line or task; `reading.read_verdicts` reads every form back."""
    writers = {"csv": _csv, "jsonl": _json_lines, "label_studio": _tasks}
    return writers[form](now.queue, now.counted).encode()


def _csv(queue: Queue, said: Sequence[Said]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for one in said:
        writer.writerow([guarded(str(value)) for value in _record(queue, one).values()])
    return "\ufeff" + out.getvalue()


def _json_lines(queue: Queue, said: Sequence[Said]) -> str:
    return "".join(json.dumps(_record(queue, one), ensure_ascii=False) + "\n" for one in said)


def _tasks(queue: Queue, said: Sequence[Said]) -> str:
    """Tasks with annotations, as Label Studio exports them."""
    of_row: dict[str, list[Said]] = {}
    for one in said:
        of_row.setdefault(one.uid, []).append(one)
    tasks = [
        {
            "data": {"uid": uid, "class": queue.classes[queue.place[uid]]},
            "annotations": [_annotation(one) for one in of_row[uid]],
        }
        for uid in sorted(of_row)
    ]
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"


def _annotation(said: Said) -> dict[str, object]:
    choice = {"from_name": "verdict", "to_name": "image", "type": "choices", "value": {"choices": [said.verdict]}}
    comment = {"from_name": "comment", "to_name": "image", "type": "textarea", "value": {"text": [said.comment]}}
    result = [choice, comment] if said.comment else [choice]
    return {"completed_by": {"email": said.annotator}, "updated_at": said.time, "result": result}


def _record(queue: Queue, said: Said) -> dict[str, str]:
    name = queue.classes[queue.place[said.uid]] if said.uid in queue.place else ""
    values = (said.uid, name, said.verdict, said.annotator, said.time, said.comment)
    return dict(zip(_COLUMNS, values, strict=True))


def imported(data: bytes, name: str, queue: Queue) -> list[Verdict]:
    """The verdicts in an uploaded file, about rows of this queue.

    Raises:
        InputError: the file cannot be read, or is about other rows.
    """
    with TemporaryDirectory(prefix="poolwright-") as scratch:
        path = Path(scratch) / name
        path.write_bytes(data)
        try:
            found = read_verdicts(path)
        except InputError as error:
            raise InputError(str(error).replace(f"{scratch}/", "")) from None
    check_known(found, queue.uids, f"the queue '{queue.name}'")
    return found


def as_said(found: Sequence[Verdict], queue: Queue) -> list[Said]:
    """Imported verdicts as things said; the same file again is the same things."""
    said = []
    for one in found:
        digest = hashlib.sha256("\n".join((queue.name, one.uid, one.annotator, one.verdict, one.time)).encode())
        key = f"{_IMPORTED}{digest.hexdigest()[:32]}"
        said.append(Said(queue.name, one.uid, one.annotator, one.verdict, key, time=one.time, comment=one.comment))
    return said


def said_in_files(queue: Queue) -> list[Said]:
    """What people answered a step in files, of rows as they are asked about now; words that only it knows are left."""
    classes = dict(zip(queue.uids, queue.classes, strict=True))
    meanings = ClassName(set(queue.classes), {}) if queue.answers else YesNo({})
    found = []
    for path in answer_files(queue.folder):
        for answer in read_answers(path) if path != queue.folder / ANSWERS else ():
            name = classes.get(answer.uid)
            if name is not None and answer.about in ("", name):
                with suppress(ValueError):
                    word = meanings.meaning(answer.word, name)
                    found.append(Verdict(answer.uid, word, answer.annotator, answer.time, answer.comment))
    return as_said(found, queue)


def write_answers(queue: Queue, said: Sequence[Said]) -> None:
    """Put what counts where the step that waits for it reads, in the words that it understands.

    Answers that came from files are left out: the step reads these, too.
    """
    lines = [_record(queue, one) for one in said if one.uid in queue.place and not one.key.startswith(_IMPORTED)]
    for line in lines:
        word = queue.answers.get(line["verdict"], line["verdict"])
        line["verdict"] = word.replace("{class}", line["class"]) if line["verdict"] != UNSURE else UNSURE
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path = queue.folder / ANSWERS
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def write_studio_answers(worklist: Path) -> None:
    """`write_answers` for a step that waits, from the history of its run's studio; nothing if there is none."""
    run_folder, name = worklist.parent.parent, worklist.name
    if not (run_folder / STORE).exists() or name not in list_queues(run_folder):
        return
    store = VerdictStore(run_folder / STORE)
    try:
        queue = read_queue(worklist)
        if queue.waiting:
            write_answers(queue, counting(store.history(name), store.aside(name)))
    finally:
        store.close()
