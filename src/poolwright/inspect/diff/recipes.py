"""Say what differs in the steps of two versions, and which step gives a column."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from poolwright.core.table import StepRecord, TableRecord

_MOST = 80


def recipe_changes(before: Sequence[TableRecord], after: Sequence[TableRecord]) -> Iterator[str]:
    """Yield a sentence per difference in what two versions were made from, and in what their steps learned."""
    old, new = {record.name: record for record in before}, {record.name: record for record in after}
    if before[-1].name != after[-1].name:
        old[after[-1].name] = before[-1]
    for name, record in new.items():
        if name not in old:
            yield f"table {name}: only in the second version"
            continue
        yield from _of_table(old[name], record)
    yield from (
        f"table {name}: only in the first version" for name in old if name not in new and name != before[-1].name
    )


def _of_table(old: TableRecord, new: TableRecord) -> Iterator[str]:
    if old.seed != new.seed:
        yield f"{new.name}: seed {old.seed} -> {new.seed}"
    yield from _of_inputs(old, new)
    for one, other in zip_longest(old.steps, new.steps):
        place = f"{new.name}, step {(one or other).index + 1}"
        if one is None or other is None:
            yield f"{place} ({(one or other).verb}): only in the {'first' if other is None else 'second'} version"
        elif one.verb != other.verb:
            yield f"{place}: {one.verb} in the first version, {other.verb} in the second"
        elif words := _of_step(one, other):
            yield f"{place} ({new.steps[other.index].verb}): {words}"


def _of_inputs(old: TableRecord, new: TableRecord) -> Iterator[str]:
    was, now = ({file.path: file.digest for file in record.files} for record in (old, new))
    new_files = [path for path in now if path not in was and now[path] not in was.values()]
    gone = [path for path in was if path not in now and was[path] not in now.values()]
    changed = [path for path in now if path in was and was[path] != now[path]]
    only = "only in the {} version"
    for words, files in ((only.format("second"), new_files), (only.format("first"), gone), ("other content", changed)):
        if files:
            more = f" and {len(files) - 1:,} more input files" if len(files) > 1 else ""
            yield f"{new.name}: {words}: input file {files[0]}{more}"


def _of_step(old: StepRecord, new: StepRecord) -> str:
    words = [
        f"{name} {_brief(old.parameters.get(name))} -> {_brief(new.parameters.get(name))}"
        for name in sorted({*old.parameters, *new.parameters})
        if _value(old.parameters, name) != _value(new.parameters, name)
    ]
    if old.state != new.state and old.learned != new.learned:
        words.append(f"learned {_cut(old.learned)} -> {_cut(new.learned)}")
    elif old.state != new.state:
        words.append("learned something else")
    return "; ".join(words)


def _value(parameters: Mapping[str, Any], name: str) -> str:
    return json.dumps(parameters.get(name), sort_keys=True, default=str)


def _brief(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."


def given_by(column: str, before: Sequence[TableRecord], after: Sequence[TableRecord]) -> str:
    """Say where a column comes from in each version, and what differs there."""
    old, new = _giver(column, before), _giver(column, after)
    if old is None and new is None:
        return "read from the source in both versions; its values there differ"
    if old is None or new is None:
        one, other = ("first", "second") if old is None else ("second", "first")
        return f"read from the source in the {one} version; given by step {_named(old or new)} in the {other}"
    (_, was), (_, step) = old, new
    if was.verb != step.verb:
        return f"given by step {_named(old)} in the first version, by step {_named(new)} in the second"
    difference = _of_step(was, step)
    if not difference:
        return f"given by step {_named(new)}, which is the same in both versions; what it reads differs"
    return f"given by step {_named(new)}, which differs: {difference}"


def _giver(column: str, records: Sequence[TableRecord]) -> tuple[str, StepRecord] | None:
    found = [(record.name, step) for record in records for step in record.steps if column in step.gives]
    return found[-1] if found else None


def _named(found: tuple[str, StepRecord] | None) -> str:
    assert found is not None
    table, step = found
    return f"{step.index + 1} ({step.verb}) of {table}"
