"""Export verdicts of the studio as files, and import files as verdicts of the studio."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from poolwright.annotation.answers import NONE_OF_THEM, SEPARATOR, ClassName, YesNo, meanings_of
from poolwright.annotation.exchange.label_studio import VERDICT
from poolwright.annotation.exchange.read_answers import AnswerFile, answer_file, verdict_file
from poolwright.annotation.exchange.worklist import STUDIO_ANSWERS, answer_files, read_asked
from poolwright.annotation.interpreting import understood
from poolwright.annotation.queue.queue import Queue, list_queues, read_queue
from poolwright.annotation.queue.store import STORE, Said, VerdictStore
from poolwright.annotation.queue.tally import Snapshot, Tally
from poolwright.annotation.verdicts import NEGATIVE, POSITIVE, SKIPPED, UNSURE, WORDS, Verdict, check_known, check_uids
from poolwright.core.errors import InputError
from poolwright.core.files import PARTIAL, write_text
from poolwright.core.wording import guarded

FORMS: Mapping[str, tuple[str, str]] = {
    "csv": (".csv", "text/csv; charset=utf-8"),
    "jsonl": (".jsonl", "application/jsonl; charset=utf-8"),
    "label_studio": (".json", "application/json"),
}
"""File suffix and media type of each format."""

_IMPORTED = "import "
_LONGEST_NAME = 60  # characters, of up to four bytes; names of files have 255 at most
_COLUMNS = ("uid", "class", "verdict", "annotator", "time", "comment")


def exported(now: Snapshot, form: str) -> bytes:
    """Export all verdicts and skips that count, one per line or annotation; `read_verdicts` reads every format back."""
    writers = {"csv": _csv, "jsonl": _json_lines, "label_studio": _tasks}
    return writers[form](now.queue, [*now.counted, *now.skipped]).encode()


def _csv(queue: Queue, said: Sequence[Said]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for one in said:
        writer.writerow([guarded(str(value)) for value in _record(queue, one).values()])
    return "\ufeff" + out.getvalue()


def _json_lines(queue: Queue, said: Sequence[Said]) -> str:
    records = [_record(queue, one) | ({VERDICT: names} if len(names := _named(queue, one)) > 1 else {}) for one in said]
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _tasks(queue: Queue, said: Sequence[Said]) -> str:
    """Tasks with annotations, as Label Studio exports them."""
    of_row: dict[str, list[Said]] = {}
    for one in said:
        of_row.setdefault(one.uid, []).append(one)
    tasks = [
        {
            "data": {"uid": uid, "class": queue.classes[queue.row_of[uid]]},
            "annotations": [_annotation(one, _named(queue, one) or [_word(queue, one)]) for one in of_row[uid]],
        }
        for uid in sorted(of_row)
    ]
    return json.dumps(tasks, indent=1, ensure_ascii=False) + "\n"


def _annotation(said: Said, words: list[str]) -> dict[str, object]:
    if said.verdict == SKIPPED:
        who = {"completed_by": {"email": said.annotator}, "updated_at": said.time}
        return {**who, "was_cancelled": True, "result": []}
    choice = {"from_name": "verdict", "to_name": "image", "type": "choices", "value": {"choices": words}}
    comment = {"from_name": "comment", "to_name": "image", "type": "textarea", "value": {"text": [said.comment]}}
    result = [choice, comment] if said.comment else [choice]
    return {"completed_by": {"email": said.annotator}, "updated_at": said.time, "result": result}


def _record(queue: Queue, said: Said) -> dict[str, str]:
    name = queue.classes[queue.row_of[said.uid]] if said.uid in queue.row_of else ""
    values = (said.uid, name, _word(queue, said), said.annotator, said.time, said.comment)
    return dict(zip(_COLUMNS, values, strict=True))


def _word(queue: Queue, said: Said) -> str:
    """Return the word of an entry: a verdict, or the classes that were chosen if people are asked for them."""
    if not queue.choices or said.verdict not in (POSITIVE, NEGATIVE):
        return said.verdict
    if names := _named(queue, said):
        return f" {SEPARATOR} ".join(names)
    return queue.classes[queue.row_of[said.uid]] if said.verdict == POSITIVE else NONE_OF_THEM


def _named(queue: Queue, said: Said) -> list[str]:
    """Return the classes that were chosen, as far as they are still offered."""
    return [name for name in said.chosen if name in queue.choices]


def _meanings(queue: Queue) -> YesNo | ClassName:
    if queue.step:
        return queue.step.understanding.meanings(queue.classes)
    return meanings_of(queue.settings.answer, set(queue.classes), {})


def imported(data: bytes, name: str, queue: Queue, field: str = "") -> AnswerFile[Verdict]:
    """Read the verdicts in an uploaded file about rows of this queue.

    Args:
        field: name of the field that has the verdicts; '' is that of the step, see `verdict_file`.

    Raises:
        InputError: the file cannot be read, or is about other rows.
    """
    with TemporaryDirectory(prefix="poolwright-") as scratch:
        path = Path(scratch) / _plain(name)
        path.write_bytes(data)
        try:
            found = _verdicts(path, queue, field or _field(queue))
        except InputError as error:
            raise InputError(str(error).replace(f"{scratch}/", "")) from None
    check_known(found.answers, queue.uids, f"the queue '{queue.name}'")
    return found


def _verdicts(path: Path, queue: Queue, field: str) -> AnswerFile[Verdict]:
    if not queue.choices:
        return verdict_file(path, skips=True, field=field)
    found, class_of = answer_file(path, field), dict(zip(queue.uids, queue.classes, strict=True))
    check_uids([(one.uid, one.where) for one in found.answers], class_of, f"in the queue '{queue.name}'")
    words = {word: meaning for word, meaning in WORDS.items() if meaning != UNSURE}  # yes and no, too
    words |= queue.step.understanding.words if queue.step else {}
    meanings = meanings_of(queue.settings.answer, set(queue.choices), words)
    verdicts = understood(found.answers, class_of, class_of.items(), meanings)
    return AnswerFile(found.path, verdicts, found.tasks, found.people, found.rejected)


def _plain(name: str) -> str:
    """Return the name of an upload as one that every file system takes; its end, which says the format, stays."""
    return re.sub(r"[^\w .+-]", "_", name)[-_LONGEST_NAME:].strip(". ") or "answers"


def _field(queue: Queue) -> str:
    return queue.step.understanding.field if queue.step else VERDICT


def as_said(found: Sequence[Verdict], queue: Queue) -> list[Said]:
    """Convert imported verdicts to entries of the history; importing the same file again gives the same keys."""
    said = []
    for one in found:
        parts = (queue.name, one.uid, one.annotator, one.verdict, one.time, *one.chosen)
        digest = hashlib.sha256("\n".join(parts).encode())
        key = f"{_IMPORTED}{digest.hexdigest()[:32]}"
        about = queue.classes[queue.row_of[one.uid]]
        said.append(
            Said(queue.name, one.uid, one.annotator, one.verdict, key, time=one.time, comment=one.comment, about=about,
                 chosen=one.chosen)
        )  # fmt: skip
    return said


def verdicts_in_files(queue: Queue) -> list[Verdict]:
    """Read the verdicts that a step finds in files, about its current candidates, in the order in which it reads them.

    Answers that cannot be understood are left out; the step reports them.
    """
    step = queue.step
    files = [Path(path) for path in step.understanding.files] if step else []
    class_of = dict(zip(queue.uids, queue.classes, strict=True))
    asked = read_asked(queue.folder)
    given = [
        answer
        for path in answer_files(queue.folder, files, asked)
        if path != queue.folder / STUDIO_ANSWERS
        for answer in answer_file(path, _field(queue)).answers
    ]
    return understood(given, class_of, asked.pairs, _meanings(queue), ignore_bad=True)


def write_answers(queue: Queue, said: Sequence[Said]) -> None:
    """Write the verdicts that count to the file that the waiting step reads, in the words that it understands.

    Args:
        said: see `Tally.written`.
    """
    text = _json_lines(queue, said)
    path = queue.folder / STUDIO_ANSWERS
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if before != text:
        for left in path.parent.glob(f"{path.name}.*{PARTIAL}"):
            left.unlink(missing_ok=True)  # by a writer that was killed
        write_text(path, text)


def write_studio_answers(worklist: Path) -> None:
    """Write the answers for a waiting step from the history of its run's studio, if any; see `write_answers`."""
    run_folder, name = worklist.parent.parent, worklist.name
    if not (run_folder / STORE).exists() or name not in list_queues(run_folder):
        return
    store = VerdictStore(run_folder / STORE)
    try:
        queue = read_queue(worklist)
        if queue.waiting:
            write_answers(queue, Tally.of(queue, store, verdicts_in_files(queue)).written())
    finally:
        store.close()
