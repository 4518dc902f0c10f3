"""Read tasks as Label Studio exports them, in its formats JSON and JSON-MIN (https://labelstud.io/guide/export)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from poolwright.annotation.verdicts import SKIPPED

Task = Mapping[str, Any]

VERDICT = "verdict"
"""Name of the field that has the verdicts, unless another is named."""

FIELDS = "\0fields"
"""Key of a record that has the names of the fields it was looked for in."""


def records_of_task(task: Task, field: str = VERDICT) -> list[dict[str, Any]]:
    """Return uid, class, verdict, annotator, annotation_id, time and comment of every annotation of a task.

    Args:
        task: a task of JSON or JSON-MIN, or an object as in a sheet of JSON lines.
        field: name of the control that has the verdicts; 'verdict' is read if there is none.

    Returns:
        Records; several choices are a list as JSON. Those of annotations have the names of their controls as FIELDS.
        There is no key 'verdict' if neither name is there.

    Raises:
        ValueError: the task has no uid among its data, or an annotation is malformed.
    """
    if not isinstance(task.get("data"), dict) and not {"annotations", "completions"} & task.keys():
        return [_short(task, field)]
    data = task.get("data")
    if not isinstance(data, dict) or not data.get("uid"):
        raise ValueError("no uid among the data; import the tasks into Label Studio unchanged")
    asked = {"uid": str(data["uid"]), "class": data.get("class")}
    return [
        {**asked, "annotation_id": f"{task.get('id')}/{number}", **_of_annotation(annotation, field)}
        for number, annotation in enumerate(_annotations(task))
    ]


def _annotations(task: Task) -> list[Any]:
    annotations = task.get("annotations", task.get("completions")) or []
    if not isinstance(annotations, list):
        raise ValueError("its annotations are not a list")
    return annotations


def _short(task: Task, field: str) -> dict[str, Any]:
    """A task of JSON-MIN, or an object as in a sheet of JSON lines."""
    time = task.get("time") or task.get("updated_at") or task.get("created_at")
    record = {**task, "annotator": _name(task.get("annotator")), "time": time, "comment": _joined(task.get("comment"))}
    name = field if field in task else VERDICT
    return {**record, VERDICT: _one(task[name]), FIELDS: ()} if name in task else {**record, FIELDS: tuple(task)}


def _of_annotation(annotation: Any, field: str) -> dict[str, Any]:
    if not isinstance(annotation, dict) or not isinstance(annotation.get("result", []), list):
        raise ValueError("an annotation without result")
    results = [part for part in annotation.get("result", []) if isinstance(part, dict)]
    names = [str(part.get("from_name")) for part in results]
    name = field if field in names else VERDICT
    verdict = [choice for part in results for choice in _values(part, "choices", name)]
    other = next((part for part in results if part.get("from_name") == name and part.get("type") != "choices"), None)
    if other is not None and not verdict:
        raise ValueError(f"a verdict that is no choice but {other.get('type')}: {str(other.get('value'))[:80]}")
    comment = [text for part in results for text in _values(part, "text", "comment")]
    record = {
        "annotator": _name(annotation.get("completed_by")),
        "time": annotation.get("updated_at") or annotation.get("created_at"),
        "comment": _joined(comment),
        FIELDS: [one for one in names if one != "comment"],
    }
    if annotation.get("id") is not None:
        record["annotation_id"] = str(annotation["id"])
    if annotation.get("was_cancelled"):
        return {**record, VERDICT: SKIPPED}
    return {**record, VERDICT: _one(verdict)} if name in names else record


def _values(part: Mapping[str, Any], kind: str, name: str) -> list[Any]:
    value = part.get("value")
    if part.get("from_name") != name or not isinstance(value, dict):
        return []
    found = value.get(kind, [])
    return found if isinstance(found, list) else [found]


def _one(choices: Any) -> Any:
    if isinstance(choices, dict):
        if "choices" not in choices:
            raise ValueError(f"a verdict that is no choice: {str(choices)[:80]}")
        choices = choices["choices"]
    if not isinstance(choices, list):
        return choices
    if len(choices) > 1:
        return json.dumps(choices, ensure_ascii=False)
    return choices[0] if choices else None


def _name(who: Any) -> Any:
    """Return the name of an annotator; Label Studio gives a number, or an object with number and address."""
    return (who.get("email") or who.get("id")) if isinstance(who, dict) else who


def _joined(comment: Any) -> Any:
    return " ".join(map(str, comment)) if isinstance(comment, list) else comment
