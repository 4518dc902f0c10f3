"""Write how a release was made: the steps of its table in short for the card, and all their counts for `funnel.md`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from poolwright.core.files import human_bytes
from poolwright.core.table import FunnelRow, StepRecord, TableRecord
from poolwright.core.wording import counted
from poolwright.release.card.markdown import code, grid, plain
from poolwright.release.lineage import Lineage

FUNNEL_FILE = "funnel.md"
_MOST_FILES = 20


def funnel_text(family: Lineage, title: str) -> str:
    """Return the text of `funnel.md`: rows before and after every step with reasons, what steps learned, inputs."""
    parts = [
        f"# Steps of {plain(title)}",
        "The released table is last, after those that it comes from. [`recipe.yaml`](recipe.yaml) has them as written.",
    ]
    parts += [f"{funnel(record)}\n\n{_learned(record)}" for record in family.records]
    return "\n\n".join([*parts, *filter(None, [_inputs(family)])]) + "\n"


def steps_table(family: Lineage) -> str:
    """Return a Markdown table of the steps that a released row went through, and the rows that were left."""
    lines: list[tuple[str, ...]] = []
    for record in family.records:
        known = {f"tables.{other.name}" for other in family.records}
        table = code(record.name)
        for name, read in record.rows_by_source.items():
            if name not in known or len(record.rows_by_source) > 1:
                lines.append((table, f"from {_source(name)}", "", f"{read:,}"))
        gone = {row.step: row for row in record.funnel}
        if -1 in gone and gone[-1].dropped:
            lines.append((table, "checks before the first step", "", f"{gone[-1].kept:,}"))
        for step in record.steps:
            kept = f"{gone[step.index].kept:,}" if step.index in gone else ""
            lines.append((table, f"{step.index + 1}. {code(step.verb)}", plain(_result(step)), kept))
    return grid(("table", "step", "result", "rows left"), lines, (3,))


def made_by(name: str, family: Lineage) -> str:
    """Return the step that gave a column last, in any table, as Markdown; '' if none did."""
    found = [
        f"{code(step.verb)}, step {step.index + 1} of {plain(record.name)}"
        for record in family.records
        for step in record.steps
        if name in step.gives
    ]
    return found[-1] if found else ""


def lost_parts(family: Lineage) -> str:
    """Return the input parts that could not be read as Markdown; '' if all could."""
    bad = [part for record in family.records for part in record.quarantined]
    if not bad:
        return ""
    listed = "\n".join(f"- {code(part.name)}: {plain(part.quarantined)}" for part in bad[:_MOST_FILES])
    more = f"\n- and {len(bad) - _MOST_FILES:,} more" if len(bad) > _MOST_FILES else ""
    head = f"**Not in this dataset: {counted(len(bad), 'input part')} that could not be read.**"
    return f"{head}\n\n{listed}{more}"


def grown(record: TableRecord) -> str:
    """Return a Markdown table of the generations in which the rows of a table came; '' if it never grew."""
    if not record.generations:
        return ""
    rows = [
        (str(number), f"{one.parts:,}", f"{one.rows_in:,}", f"{one.rows_kept:,}")
        for number, one in enumerate(record.generations, 1)
    ]
    head = (
        f"Table `{record.name}` was extended by new parts of its source. Its steps learned from the first generation, "
        "and decided about the rows of the others by that:"
    )
    return f"{head}\n\n{grid(('generation', 'parts', 'rows in', 'kept'), rows, (0, 1, 2, 3))}"


def funnel(record: TableRecord) -> str:
    """Return a Markdown table of the rows before and after every step, with the reasons for dropping them."""
    words = {(reason.step, reason.name): reason.words for reason in record.reasons}
    rows = [
        (_step_name(row), f"{row.rows_in:,}", _reasons(row, words), f"{row.kept:,}")
        for row in record.funnel
        if row.step >= 0 or row.dropped
    ]
    rows = [(f"from {_source(name)}", f"{read:,}", "", f"{read:,}") for name, read in record.sources.items()] + rows
    rows.append(("**all**", f"**{record.rows_in:,}**", f"{record.rows_dropped:,} dropped", f"**{record.rows_kept:,}**"))
    source = ", ".join(map(_source, record.rows_by_source))
    remarks = "".join(f"\n- {plain(remark)}" for remark in record.remarks)
    table = grid(("step", "rows in", "dropped, and why", "kept"), rows, (1, 3))
    return f"Table `{record.name}`, from {source}:\n\n{table}" + (remarks and f"\n{remarks}")


def _learned(record: TableRecord) -> str:
    lines = [f"- {step.index + 1}. {code(step.verb)}: {plain(_result(step))}" for step in record.steps]
    return "\n".join(["What its steps learned:\n", *lines]) if lines else "It has no steps: every row is in it."


def _result(step: StepRecord) -> str:
    return step.learned or (f"gives {', '.join(step.gives)}" if step.gives else "nothing to learn")


def _inputs(family: Lineage) -> str:
    pools = (record for record in family.records if len(record.parents) < len(record.rows_by_source))
    files = list(dict.fromkeys(file for record in pools for file in record.files)) or family.records[0].files
    rows = [(code(file.path), human_bytes(file.size), code(file.digest)) for file in files[:_MOST_FILES]]
    if not rows:
        return ""
    more = len(files) - len(rows)
    where = "table.json" if len(family.records) == 1 else "lineage/"
    rest = f"\n\nand {more:,} more, all in `{where}`." if more > 0 else ""
    return f"## Inputs\n\n{grid(('file', 'size', 'XXH3-128'), rows, (1,))}{rest}"


def _source(name: str) -> str:
    kind, _, own = name.partition(".")
    return f"{kind.removesuffix('s')} {own}"


def _step_name(row: FunnelRow) -> str:
    return f"{row.step + 1}. `{row.verb}`" if row.step >= 0 else f"`{row.verb}`"


def _reasons(row: FunnelRow, words: Mapping[tuple[int, str], str]) -> str:
    return "<br>".join(_counted_reasons(row, words)) or "–"


def _counted_reasons(row: FunnelRow, words: Mapping[tuple[int, str], str]) -> Iterator[str]:
    for name, count in row.dropped.items():
        if count:
            yield f"{count:,}: {plain(words.get((row.step, name), name))}"
