"""Records the identity of a table: everything its rows depend on. A resumed run compares it and refuses to mix."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from poolwright.core.errors import ChangedError
from poolwright.core.files import write_text
from poolwright.core.table import TABLE_FORMAT
from poolwright.registry import packages_of
from poolwright.run.plan import TablePlan

IDENTITY = "identity.json"
_INPUT, _NEW = "input ", ": new"


def portable(value: Any, folder: Path) -> Any:
    """Return parameters with paths below `folder` made relative: a moved project is the same project.

    A path is a whole value, or follows the kind of a model: `onnx:/data/clip`.
    """
    if isinstance(value, dict):
        return {portable(name, folder): portable(item, folder) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [portable(item, folder) for item in value]
    if isinstance(value, str):
        return re.sub(rf"(^|:){re.escape(folder.as_posix())}/", r"\1", value)
    return value


@cache  # to read one takes as long as to write a part of a small table
def versions() -> Mapping[str, str]:
    """Return the versions of the software that determines rows and bytes."""
    return {name: version(name) for name in ("poolwright", "duckdb", "numpy", "pyarrow")}


def packages(plan: TablePlan, models: Iterable[str]) -> dict[str, str]:
    """Return the installed packages, except poolwright, whose code makes the rows of a table: versions by name.

    Args:
        plan: the plan of the table, with its pool and its steps.
        models: encoders that its steps use, as 'KIND:MODEL'.
    """
    pools = plan.source.pool_kinds()
    return packages_of([step.step.verb for step in plan.steps], pools, [model.partition(":")[0] for model in models])


def identity_digest(identity: Mapping[str, Any]) -> str:
    """Return the digest of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def claim(folder: Path, identity: Mapping[str, Any]) -> None:
    """Record the identity of a new table."""
    if not (folder / IDENTITY).exists():
        write_text(folder / IDENTITY, json.dumps(identity, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def known_models(folder: Path) -> dict[str, str]:
    """Return the digests of the models that a table was made with; none if they are not known."""
    try:
        return dict(json.loads((folder / IDENTITY).read_text(encoding="utf-8"))["models"])
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def differences(folder: Path, identity: Mapping[str, Any], changed_files: AbstractSet[str]) -> list[str]:
    """List what differs between what an existing table was made from, and what it would be made from now.

    Args:
        folder: the table's folder.
        identity: `format`, `seed`, `source`, `inputs`, `steps`, `models`, `quarantine`; `packages` if
            installed packages provide code that makes it.
        changed_files: inputs whose content differs from the last look, to be named.
    """
    path = folder / IDENTITY
    if not path.exists():
        return []
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        return differences_between(before, identity, changed_files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return [f"{IDENTITY}: the file is damaged, so that nobody knows what it was made from"]


def differences_between(
    before: dict[str, Any], identity: Mapping[str, Any], changed_files: AbstractSet[str] = frozenset()
) -> list[str]:
    """List what differs between an identity that was recorded and another one."""
    return _differences(before, json.loads(json.dumps(identity)), changed_files)


def refusal(
    folder: Path, changed: Mapping[str, Sequence[str]], fresh: Sequence[str], followers: Sequence[str], touched: bool
) -> ChangedError:
    """Make the error about tables that were made from something else, with the command that makes all anew.

    Args:
        folder: the folder of the tables.
        changed: what differs, by table.
        fresh: the tables to start over.
        followers: tables that come from those.
        touched: whether something was made before the difference was found.
    """
    blocks = []
    for table, found in changed.items():
        more = [f"and {len(found) - 12} more"] if len(found) > 12 else []
        listed = "\n".join(f"  - {difference}" for difference in [*found[:12], *more])
        blocks.append(f"table '{table}' in {folder / table} was made from something else:\n{listed}")
    first = "what was finished before is kept" if touched else "nothing was touched"
    command = " ".join(f"--fresh {table}" for table in fresh)
    them = "the table" if len(fresh) == 1 else "the tables"
    too = f", with {', '.join(map(repr, followers))} and their releases," if followers else ""
    only_new = all(line.startswith(_INPUT) and line.endswith(_NEW) for found in changed.values() for line in found)
    grow = ", add the new files to what was made with: --extend frozen," if only_new else ","
    blocks.append(f"{first}. Undo the change{grow} or start {them} over{too} with: {command}")
    return ChangedError("\n".join(blocks))


def _differences(before: dict[str, Any], now: dict[str, Any], changed_files: AbstractSet[str]) -> list[str]:
    found: list[str] = []
    if before.get("format", TABLE_FORMAT) != now["format"]:
        found.append(f"format: {before.get('format')} -> {now['format']} (made by another version of poolwright)")
    if before["seed"] != now["seed"]:
        found.append(f"seed: {before['seed']} -> {now['seed']}")
    found += _changed_values("source", before["source"], now["source"])
    found += _changed_inputs(before["inputs"], now["inputs"], changed_files)
    found += _changed_steps(before["steps"], now["steps"])
    found += _changed_values("joined by step", before.get("joined", {}), now.get("joined", {}))
    found += _changed_values("environment", before.get("environment", {}), now.get("environment", {}))
    found += _changed_values("ledger", before.get("ledger", "full"), now.get("ledger", "full"))
    if before.get("grown", []) != now.get("grown", []):
        found.append("the generations in which its parts came")
    if before.get("released", {}) != now.get("released", {}):
        found.append("what its steps learned in the release that they come from: it is another release")
    old, new = before.get("packages", {}), now.get("packages", {})
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            found.append(f"package {name}: version {old.get(name, 'none')} -> {new.get(name, 'none')}")
    for name in sorted({*before.get("tables", {}), *now.get("tables", {})}):
        if before.get("tables", {}).get(name) != now.get("tables", {}).get(name):
            found.append(f"table {name}, which a step learns from: its rows changed")
    for name in sorted({*before["models"], *now["models"]}):
        if before["models"].get(name) != now["models"].get(name):
            found.append(f"model {name}: weights {_short(before['models'], name)} -> {_short(now['models'], name)}")
    return found


def _short(models: Mapping[str, str], name: str) -> str:
    return models.get(name, "none")[:12]


def _changed_inputs(before: list[list[str]], now: list[list[str]], changed_files: AbstractSet[str]) -> list[str]:
    old, new = dict(before), dict(now)
    found = [f"{_INPUT}{file}: content changed" for file in sorted(changed_files)]
    if not found:
        found += [f"{_INPUT}{name}: content changed" for name in old if name in new and old[name] != new[name]]
    found += [f"{_INPUT}{name}: gone" for name in old if name not in new]
    found += [f"{_INPUT}{name}{_NEW}" for name in new if name not in old]
    if changed_files and not (old.items() ^ new.items()):
        return []
    if not found and before != now:
        found.append("inputs: their order or cut changed")
    return found


def _changed_steps(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[str]:
    found = []
    for index in range(max(len(before), len(now))):
        if index >= len(before):
            found.append(f"recipe: step {index + 1} ({now[index]['verb']}) is new")
        elif index >= len(now):
            found.append(f"recipe: step {index + 1} ({before[index]['verb']}) is gone")
        elif before[index]["verb"] != now[index]["verb"]:
            found.append(f"recipe: step {index + 1}: {before[index]['verb']} -> {now[index]['verb']}")
        else:
            where = f"recipe: step {index + 1} ({now[index]['verb']})"
            found += _changed_values(where, before[index]["parameters"], now[index]["parameters"])
    return found


def _changed_values(where: str, before: Any, now: Any) -> list[str]:
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for name in sorted({*before, *now}):
            found += _changed_values(f"{where}.{name}", before.get(name), now.get(name))
        return found
    return [f"{where}: {_brief(before)} -> {_brief(now)}"]


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
