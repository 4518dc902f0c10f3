"""Answer the questions of a datasheet that the record of a release, its ledger and its statistics can answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from poolwright.core.columns import LABEL, LICENSE, SHA256, SPLIT, URL
from poolwright.core.pool import FOLLOWED
from poolwright.core.wording import counted
from poolwright.release.card.facts.dropped import dropped_rows
from poolwright.release.card.facts.facts import ReleaseFacts
from poolwright.release.card.markdown import code, plain, share

_MOST_VALUES = 12


def answers(facts: ReleaseFacts) -> Mapping[str, str]:
    """Return Markdown by the key of the question, for the questions that facts answer."""
    found = {
        "creators": plain(", ".join(facts.about.authors)),
        "rows": _rows(facts),
        "count": _count(facts),
        "sample": " ".join(_sample(facts)),
        "data": ", ".join(f"{code(column.name)} ({code(column.type)})" for column in facts.release.columns) + ".",
        "labels": _labels(facts),
        "missing": facts.missing_words or "Every row has a value in every column that is not a list or a record.",
        "splits": _splits(facts),
        "errors": "\n".join(f"- {words}" for words in _errors(facts)),
        "external": _external(facts),
        "identifiable": _personal(facts),
        "collection": _collection(facts),
        "mechanisms": _mechanisms(facts),
        "sampling": "\n".join(_steps(facts, ("choose", "split"))),
        "workers": "\n".join(f"- {plain(work.step)}: {plain(work.words)}." for work in facts.people),
        "preprocessing": _preprocessing(facts),
        "raw": _raw(facts),
        "software": f"Yes: {_software(facts)}. `recipe.yaml` is the recipe, `states/` what its steps learned.",
        "distribution": facts.about.homepage or "",
        "date": facts.about.published.isoformat() if facts.about.published else "",
        "licence": _licence(facts),
        "rights": _rights(facts),
        "updates": f"This is version {facts.about.version}." if "version" in facts.about.model_fields_set else "",
    }
    return {key: text for key, text in found.items() if text}


def _rows(facts: ReleaseFacts) -> str:
    what = "an image with its columns" if facts.release.images else "the columns of an image, which is not contained"
    return f"{what[0].upper()}{what[1:]}, of {code(facts.family.record.source)}."


def _count(facts: ReleaseFacts) -> str:
    words = f"{counted(facts.release.rows, 'row')}"
    if facts.release.images:
        formats = ", ".join(f"{count:,} {name}" for name, count in facts.release.images.formats.items())
        words += f", {counted(facts.release.images.count, 'image')} ({formats})"
    labels = facts.statistics.counts(LABEL)
    if labels:
        words += f"; {len(labels):,} values of {code(LABEL)}: {_values(labels)}"
    return f"{words}."


def _values(counts: list[tuple[object, int]] | list[tuple[str | int | bool | None, int]]) -> str:
    shown = [f"{plain(value) if value is not None else 'none'} {rows:,}" for value, rows in counts[:_MOST_VALUES]]
    more = len(counts) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _sample(facts: ReleaseFacts) -> Iterator[str]:
    for name, rows in facts.sources.items():
        yield f"{counted(rows, 'row')} were read from {plain(name)}."
    read = sum(facts.sources.values())
    kept = f"{facts.release.rows:,} of them are here ({share(facts.release.rows, read)})"
    yield f"{kept}; preprocessing lists the others by reason."


def _labels(facts: ReleaseFacts) -> str:
    if not facts.release.has(LABEL) and not facts.release.class_column:
        return "No column is a class that poolwright knows of."
    by = {frozenset(): "given by the source", frozenset(("model",)): "given by a model"}
    words = by.get(facts.labelled_by, "given or confirmed by people")
    return f"{code(facts.release.class_column or LABEL)}, {words}."


def _splits(facts: ReleaseFacts) -> str:
    if len(facts.release.splits) < 2:
        return "No: all rows are one split."
    named = ", ".join(f"{code(name)} {rows:,}" for name, rows in facts.release.splits.items())
    made = "\n".join(_steps(facts, ("split",)))
    return f"{named}.\n\n{made}" if made else f"{named}; they are those of the column {code(SPLIT)} of the source."


def _errors(facts: ReleaseFacts) -> Iterator[str]:
    lost = [part for record in facts.family.records for part in record.quarantined]
    if lost:
        yield f"{counted(len(lost), 'input part')} could not be read; their rows are missing."
    for gone in dropped_rows(facts.family):
        if gone.bad:
            yield f"{counted(gone.rows, 'row')} left out: {plain(gone.reason)}."
    if any(FOLLOWED in record.remarks for record in facts.family.records):
        yield "Image paths and links were followed outside the folder of the source."
    if facts.release.has(SHA256):
        yield f"{code(SHA256)} finds files that are there twice; `poolwright verify` counts those in several splits."
    yield from (plain(limit) for limit in facts.about.known_limits)


def _external(facts: ReleaseFacts) -> str:
    if facts.release.images:
        return "Self-contained: the image files are part of it."
    if facts.release.has(URL):
        return f"The images are at the addresses in {code(URL)}: some will be gone or have changed."
    return "The images are not part of it."


def _personal(facts: ReleaseFacts) -> str:
    listed = "\n".join(f"- {code(name)}: {words}" for name, words in facts.personal.items())
    return f"These columns may identify people:\n\n{listed}" if listed else ""


def _collection(facts: ReleaseFacts) -> str:
    listed = "\n".join(f"- {plain(name)}: {counted(rows, 'row')}" for name, rows in facts.sources.items())
    files = sum(len(record.files) for record in facts.family.records)
    records = "`table.json`" if len(facts.family.records) == 1 else "`table.json` and `lineage/`"
    counts = f"{counted(files, 'input file')}, with digests in {records}."
    return f"Rows come from existing sources, which `recipe.yaml` names:\n\n{listed}\n\n{counts}"


def _mechanisms(facts: ReleaseFacts) -> str:
    models = "\n".join(f"- {code(name)}, weights {code(weights)}" for name, weights in facts.models.items())
    return f"{_software(facts)}." + (f" Models:\n\n{models}" if models else "")


def _software(facts: ReleaseFacts) -> str:
    versions = facts.family.record.versions
    return ", ".join(f"{plain(name)} {plain(version)}" for name, version in sorted(versions.items())) or "poolwright"


def _steps(facts: ReleaseFacts, kinds: tuple[str, ...]) -> Iterator[str]:
    for record in facts.family.records:
        for step in record.steps:
            if step.kind in kinds:
                words = f": {plain(step.learned)}" if step.learned else ""
                yield f"- {code(step.verb)}, step {step.index + 1} of table {plain(record.name)}{words}"


def _preprocessing(facts: ReleaseFacts) -> str:
    parts = ["\n".join(_steps(facts, ("describe",))), plain(facts.changed)]
    dropped = [
        f"- {counted(gone.rows, 'row')} dropped by {code(gone.verb)} of table {plain(gone.table)}: {plain(gone.reason)}"
        for gone in dropped_rows(facts.family)
    ]
    parts += ["\n".join(dropped) or "No row was dropped."]
    parts += ["\n".join(f"- {plain(work.step)}: {plain(work.learned)}" for work in facts.people)]
    return "\n\n".join(part for part in parts if part)


def _raw(facts: ReleaseFacts) -> str:
    changed = "The image files were changed on their way here." if facts.changed else ""
    kept = "The image files are as they were found." if facts.release.images and not changed else changed
    return f"{kept} The sources were read in place and not changed.".strip()


def _licence(facts: ReleaseFacts) -> str:
    if facts.about.license:
        link = f" ({facts.about.license_url})" if facts.about.license_url else ""
        return f"{plain(facts.about.license)}{link}."
    return ""


def _rights(facts: ReleaseFacts) -> str:
    counts = facts.statistics.counts(LICENSE)
    return f"Each image has its own licence, in {code(LICENSE)}: {_values(counts)}." if counts else ""
