"""Prints the differences between two versions of a dataset, what datasets have in common, and published numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from poolwright.cli.rendering.console import console, grid
from poolwright.core.results.changes import Because, Changes, GroupChange, ValueChange
from poolwright.core.results.conformance import Conformance, in_digits
from poolwright.core.results.leaks import LeakReport

_MOST = 20


def print_all_changes(differences: Sequence[Changes]) -> None:
    """The differences of several tables, one after the other."""
    for changes in differences:
        print_changes(changes)


def print_changes(changes: Changes, files: Sequence[Path] = ()) -> None:
    """Counts first, then why, where to, by split, class and source, what differs in the recipe, and files written."""
    out = console()
    before, after = changes.before, changes.after
    out.print(Text(f"first version:  {before.name} ({before.kind}, {before.rows:,} rows)", style="bold"))
    out.print(Text(f"second version: {after.name} ({after.kind}, {after.rows:,} rows)", style="bold"))
    out.print(Text(", ".join(f"{rows:,} {what}" for what, rows in changes.counts.items())))
    _print_reasons(out, "removed", "dropped in the second version by", changes.removed_because)
    _print_reasons(out, "added", "dropped in the first version by", changes.added_because)
    _print_flows(out, "split", changes.splits)
    _print_flows(out, "class", changes.classes)
    if changes.columns:
        table = grid("column", "rows that differ", "where it comes from", numbers=("rows that differ",))
        for one in changes.columns:
            table.add_row(Text(one.column), f"{one.rows:,}", Text(one.by))
        out.print(table)
    for version, names in (("second", changes.columns_added), ("first", changes.columns_removed)):
        if names:
            out.print(Text(f"columns only in the {version} version: {', '.join(names)}"))
    for name, groups in (("split", changes.by_split), ("class", changes.by_class), ("source", changes.by_source)):
        _print_groups(out, name, groups)
    for line in changes.recipe:
        out.print(Text(f"differs: {line}"))
    for note in changes.notes:
        out.print(Text(f"note: {note}"))
    for path in files:
        print(f"wrote {path}")


def _print_reasons(out: Console, what: str, step: str, found: Sequence[Because]) -> None:
    if found:
        table = grid(what, step, "because", numbers=(what,))
        for one in found:
            by = f"{one.table}: {one.step}. {one.verb}" if one.verb else ""
            table.add_row(f"{one.rows:,}", Text(by), Text(one.because))
        out.print(table)


def _print_flows(out: Console, what: str, found: Sequence[ValueChange]) -> None:
    if found:
        table = grid("rows", f"{what} in the first version", "in the second", numbers=("rows",))
        for one in found[:_MOST]:
            table.add_row(f"{one.rows:,}", Text(one.before or "none"), Text(one.after or "none"))
        out.print(table)
        _print_more(out, len(found))


def _print_groups(out: Console, name: str, groups: Sequence[GroupChange]) -> None:
    changed = [one for one in groups if one.added or one.removed or one.moved or one.relabelled or one.changed]
    if not changed:
        return
    numbers = ("before", "after", "added", "removed", "moved", "relabelled", "changed")
    table = grid(name, *numbers, numbers=numbers)
    for one in changed[:_MOST]:
        values = (f"{getattr(one, number):,}" if getattr(one, number) else "" for number in numbers)
        table.add_row(Text(one.value if one.value is not None else "none"), *values)
    out.print(table)
    _print_more(out, len(changed))


def _print_more(out: Console, count: int) -> None:
    if count > _MOST:
        out.print(Text(f"and {count - _MOST:,} more"))


def print_leaks(report: LeakReport, files: Sequence[Path] = ()) -> None:
    """The sets, what each pair of them has in common, with a pair of rows, and files written."""
    out = console()
    table = grid("set", "rows", "unreadable", numbers=("rows", "unreadable"))
    for one in report.sets:
        table.add_row(Text(one.name), f"{one.rows:,}", f"{one.unreadable:,}" if one.unreadable else "")
    out.print(table)
    numbers = ("rows of one", "rows of other")
    table = grid("one", numbers[0], "other", numbers[1], "by", "such as", numbers=numbers)
    for leak in report.found:
        for pair in leak.pairs:
            example = " = ".join(pair.examples[0]) if pair.examples else ""
            rows = f"{pair.rows_one:,}", f"{pair.rows_other:,}"
            table.add_row(Text(pair.one), rows[0], Text(pair.other), rows[1], Text(leak.kind), Text(example))
    if table.row_count:
        out.print(table)
    for leak in report.found:
        if not leak.pairs:
            out.print(Text(f"no row of a set is in another by {leak.kind}"))
        elif leak.drawn:
            out.print(Text(f"{leak.kind}: counted on a random sample of rows"))
    for how, why in report.left_out.items():
        out.print(Text(f"not compared: {how} ({why})"))
    for path in files:
        print(f"wrote {path}")


def print_conformance(found: Conformance) -> None:
    """Print what was generated, and each number next to the published one."""
    out = console()
    out.print(Text(f"{found.recipe}, published in {found.source}", style="bold"))
    out.print(Text(found.generated))
    table = grid("number", "published", "ours", "", numbers=("published", "ours"))
    for one in found.numbers:
        table.add_row(Text(one.what), in_digits(one.published), in_digits(one.ours), Text(one.verdict))
    out.print(table)
    out.print(Text(f"look at it with: poolwright report {found.folder / 'run'}"))
