"""Options and outcomes of `poolwright fetch` and `poolwright rebuild`, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from rich.text import Text

from poolwright.cli.tables import _console as console
from poolwright.cli.tables import _grid as grid
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.core.files import human_bytes
from poolwright.fetch.fetch import Fetched
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import CLASSES
from poolwright.fetch.recovery import Recovery
from poolwright.recipe.source import parse_parameters

_CLASSES_SHOWN = 30


def fetch_options(sets: Sequence[str], **given: Any) -> FetchOptions:
    """Options from the command line.

    Args:
        sets: 'key=value'.
        given: options with a flag of their own; None where it was not used.

    Raises:
        RecipeError: an option is unknown or its value wrong.
    """
    values = {**parse_parameters(sets), **{name: value for name, value in given.items() if value is not None}}
    for name in values:
        if name not in FetchOptions.model_fields:
            raise RecipeError(f"no option '{name}'; {did_you_mean(name, FetchOptions.model_fields)}")
    try:
        return FetchOptions(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:1])
        raise RecipeError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None


def print_fetched(fetched: Fetched) -> None:
    """Outcomes by class, and what is odd."""
    out = console()
    out.print(
        Text(
            f"{fetched.folder}: {fetched.succeeded:,} images of {fetched.rows:,} rows, {fetched.shards:,} shards, "
            f"{human_bytes(fetched.bytes)}",
            style="bold",
        )
    )
    _print_errors(fetched)
    for one in fetched.repeated:
        out.print(Text(f"the same bytes from {one.urls:,} URLs, a placeholder? {one.sha256} such as {one.example}"))
    if any(CLASSES[name].retried or name == "host_down" for name in fetched.errors if name in CLASSES):
        out.print(Text("fetch failed rows again with: --retry CLASS, or --retry all"))


def _print_errors(fetched: Fetched) -> None:
    if not fetched.errors:
        return
    table = grid("no image because", "rows", "share", "what it means", numbers=("rows", "share"))
    for name, count in fetched.errors.items():
        words = CLASSES[name].words if name in CLASSES else ""
        table.add_row(name, f"{count:,}", f"{count / fetched.rows:.1%}", words)
    console().print(table)


def print_recovery(recovery: Recovery) -> None:
    """What was recovered, by class and by error."""
    print_fetched(recovery.fetched)
    out = console()
    out.print(Text(f"{recovery.verified:,} images are those of the release, by their SHA-256"))
    if recovery.classes:
        table = grid("class", "rows", "recovered", "share", "lost to", numbers=("rows", "recovered", "share"))
        for one in recovery.classes[:_CLASSES_SHOWN]:
            lost = ", ".join(f"{name} {count:,}" for name, count in sorted(one.errors.items(), key=lambda p: -p[1]))
            table.add_row(Text(one.name), f"{one.rows:,}", f"{one.recovered:,}", f"{one.share:.1%}", lost)
        out.print(table)
        if len(recovery.classes) > _CLASSES_SHOWN:
            out.print(Text(f"and {len(recovery.classes) - _CLASSES_SHOWN:,} classes more"))
    out.print(Text(f"the whole report: {', '.join(map(str, recovery.files))}"))
