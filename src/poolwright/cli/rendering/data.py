"""Prints the results of bringing in data: conversions, trainings, fetched and recovered images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from poolwright.cli.rendering.console import console, grid
from poolwright.core.files import human_bytes
from poolwright.core.wording import counted
from poolwright.core.wording import rows as in_rows

if TYPE_CHECKING:
    from poolwright.api import BuiltEncoder, Converted, Fetched, Recovery, TrainedEncoder

_CLASSES_SHOWN = 30
_AGAIN = "fetch failed rows again with: --retry CLASS, or --retry all"


def print_converted(to: Path, converted: Converted) -> None:
    """Print what a conversion wrote, and what it rejected."""
    out = console()
    files = f"{len(converted.files):,} files, " if len(converted.files) > 1 else ""
    out.print(Text(f"{to}: {converted.rows:,} rows, {files}{human_bytes(converted.bytes)}"))
    if converted.rejected:
        where = converted.rejected_file
        out.print(Text(f"rejected {converted.rejected:,}: rows that cannot be read, each with its error in {where}"))


def print_built(built: BuiltEncoder) -> None:
    """Print what an encoder was built from, and how a recipe names it."""
    out = console()
    out.print(Text(f"{built.folder}: {'built' if built.fresh else 'already built'} from {', '.join(built.sources)}"))
    out.print(Text(f"licences: {', '.join(sorted(set(built.licenses.values())))}"))
    out.print(Text(f"images and texts, {built.width:,} dimensions: model: {built.model}"))
    out.print(Text(f"images alone, {built.feature_width:,} dimensions: model: {built.features}"))


def print_trained(trained: TrainedEncoder) -> None:
    """Print how a training ended, and how a recipe names the encoder."""
    out, record = console(), trained.record
    done = "trained" if trained.fresh else "already trained"
    out.print(
        Text(
            f"{trained.folder}: {done} on {counted(record.images, 'image')}, "
            f"{counted(record.settings['epochs'], 'epoch')}"
        )
    )
    for reason, rows in record.left_out.items():
        out.print(Text(f"left out {rows:,}: {reason}"))
    for name, ends in record.ends().items():
        out.print(Text(f"{name} {ends['first epoch']:.4g} in the first epoch, {ends['last epoch']:.4g} in the last"))
    out.print(Text(f"report {trained.folder / 'report.html'}"))
    out.print(Text(f"in a recipe: model: {trained.model}"))


def print_fetched(fetched: Fetched) -> None:
    """Outcomes by class, and what is odd."""
    from poolwright.api import FETCH_ERRORS

    out = console()
    out.print(
        Text(
            f"{fetched.folder}: {counted(fetched.succeeded, 'image')} of {in_rows(fetched.rows)}, "
            f"{counted(fetched.shards, 'shard')}, {human_bytes(fetched.bytes)}",
            style="bold",
        )
    )
    _print_errors(fetched)
    for one in fetched.repeated:
        out.print(Text(f"the same bytes from {one.urls:,} URLs, a placeholder? {one.sha256} such as {one.example}"))
    if fetched.failed_before:
        out.print(
            Text(
                f"{fetched.failed_before:,} rows failed in an earlier call and were not fetched again: other options, "
                f"such as --allow-private, do not do that; {_AGAIN}"
            )
        )
    elif any(FETCH_ERRORS[name].retried or name == "host_down" for name in fetched.errors if name in FETCH_ERRORS):
        out.print(Text(_AGAIN))


def _print_errors(fetched: Fetched) -> None:
    if not fetched.errors:
        return
    from poolwright.api import FETCH_ERRORS

    table = grid("no image because", "rows", "share", "what it means", numbers=("rows", "share"))
    for name, count in fetched.errors.items():
        words = FETCH_ERRORS[name].words if name in FETCH_ERRORS else ""
        table.add_row(name, f"{count:,}", f"{count / fetched.rows:.1%}", words)
    console().print(table)


def print_recovery(recovery: Recovery) -> None:
    """Print what was recovered, by class and by error."""
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
