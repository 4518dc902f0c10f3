"""Count the rows of each class in each domain, such as each continent."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from poolwright.core.columns import CLASS_INDEX, LABEL, LABEL_INDEX, is_groupable
from poolwright.core.errors import StepError, did_you_mean
from poolwright.core.table import Table
from poolwright.core.wording import guarded

NO_DOMAIN = "no domain"
_INDICES = (CLASS_INDEX, LABEL_INDEX)
_NAMES = (LABEL, "class")

Kind = tuple[int | None, str | None]
"""A class: its index and its name, as far as the table has them. Two classes of the same name have two indices."""
Cell = tuple[str | None, tuple[int | None, ...], str | None]


@dataclass(frozen=True)
class DomainCounts:
    """Rows of each class in each domain.

    Attributes:
        column: column of the domains.
        index, name: columns that identify the classes; None if there is no such column.
        domains: largest first, or in numeric order if all are numbers; None for rows without one.
        classes: largest first.
        counts: rows by class and domain.
        unclassed: rows without a class, by domain.
    """

    column: str
    index: str | None
    name: str | None
    domains: tuple[str | None, ...]
    classes: tuple[Kind, ...]
    counts: tuple[tuple[int, ...], ...]
    unclassed: tuple[int, ...]

    @property
    def class_rows(self) -> tuple[int, ...]:
        """Rows of each class."""
        return tuple(sum(line) for line in self.counts)

    @property
    def domain_rows(self) -> tuple[int, ...]:
        """Rows of each domain, including those without a class."""
        classed = [sum(line[position] for line in self.counts) for position in range(len(self.domains))]
        return tuple(map(sum, zip(classed, self.unclassed, strict=True)))

    def domain_names(self) -> list[str]:
        """Return a name for each domain."""
        return [NO_DOMAIN if domain is None else domain for domain in self.domains]

    def class_names(self) -> list[str]:
        """Return a name for each class; classes of the same name are followed by their index."""
        names = [str(index) if name is None else name for index, name in self.classes]
        counts = Counter(names)
        return [
            name if counts[name] == 1 else f"{name} ({index})"
            for name, (index, _) in zip(names, self.classes, strict=True)
        ]

    def document(self) -> dict[str, Any]:
        """Return the counts for `statistics.json`."""
        return {
            "column": self.column,
            "class_columns": [name for name in (self.index, self.name) if name],
            "domains": list(self.domains),
            "without_class": list(self.unclassed),
            "classes": [
                {
                    **({"index": index} if self.index else {}),
                    **({"name": name} if self.name else {}),
                    "rows": list(line),
                }
                for (index, name), line in zip(self.classes, self.counts, strict=True)
            ],
        }

    def to_csv(self) -> str:
        """Return CSV with a line per class: index, name, rows, rows in each domain."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        columns = [name for name in (self.index, self.name) if name]
        writer.writerow([*columns, "rows", *map(guarded, self.domain_names())])
        for kind, line, rows in zip(self.classes, self.counts, self.class_rows, strict=True):
            cells = (kind[0], guarded(kind[1] or ""))
            values = [value for value, column in zip(cells, (self.index, self.name), strict=True) if column]
            writer.writerow([*values, rows, *line])
        return out.getvalue()


def check_domain(schema: pa.Schema, domain: str, named: str | None) -> None:
    """Check that classes can be counted by domain.

    Args:
        named: column of the class names, if the layout names one.

    Raises:
        StepError: the domain column is missing or has an unsuitable type, or there is no class column.
    """
    if domain not in schema.names:
        raise StepError(
            f"'domain' names the column '{domain}', which the table does not have; {did_you_mean(domain, schema.names)}"
        )
    if not is_groupable(schema.field(domain).type):
        raise StepError(
            f"'domain: {domain}' has type {schema.field(domain).type}; domains are strings, integers or booleans"
        )
    if not any(_class_columns(schema, named)):
        raise StepError(
            f"'domain: {domain}' shows classes by domain, and the table has no column of classes: "
            f"{', '.join((*_NAMES, *_INDICES))}; leave 'domain' out"
        )


def count_domains(table: Table, domain: str, named: str | None = None) -> DomainCounts:
    """Count the rows of each class in each domain, in one pass over narrow columns.

    A class is identified by its index and its name. The index is the column, `class_index` or `label_index`, whose
    values have one name each: if labels were predicted, the true `class_index` is not the index of `label`.
    """
    indices, name = _class_columns(table.schema, named)
    cells: Counter[Cell] = Counter()
    for rows in table.batches(list(dict.fromkeys([domain, *indices, *([name] if name else [])]))):
        cells.update(_cells(rows.table, domain, indices, name))
    position = next(
        (position for position in range(len(indices)) if name is None or _one_name_each(cells, position)), None
    )
    kinds: Counter[tuple[str | None, Kind]] = Counter()
    for (in_domain, numbers, text), count in cells.items():
        kinds[in_domain, (None if position is None else numbers[position], text)] += count
    return _table_of(kinds, domain, None if position is None else indices[position], name)


def _class_columns(schema: pa.Schema, named: str | None) -> tuple[tuple[str, ...], str | None]:
    names = [name for name in (named, *_NAMES) if name in schema.names and is_groupable(schema.field(name).type)]
    indices = (name for name in _INDICES if name in schema.names and pa.types.is_integer(schema.field(name).type))
    return tuple(indices), names[0] if names else None


def _cells(rows: pa.Table, domain: str, indices: Sequence[str], name: str | None) -> dict[Cell, int]:
    columns = {"domain": rows.column(domain).cast(pa.string())}
    columns |= {f"index{position}": rows.column(index).cast(pa.int64()) for position, index in enumerate(indices)}
    columns |= {"name": rows.column(name).cast(pa.string())} if name else {}
    counted = pa.table(columns).group_by(list(columns)).aggregate([([], "count_all")]).to_pydict()
    nothing = [None] * len(counted["count_all"])
    numbers = zip(*(counted[f"index{position}"] for position in range(len(indices))), strict=True) if indices else None
    keys = zip(counted["domain"], numbers or [()] * len(nothing), counted.get("name", nothing), strict=True)
    return dict(zip(keys, counted["count_all"], strict=True))


def _one_name_each(cells: Counter[Cell], position: int) -> bool:
    name_of: dict[int | None, str | None] = {}
    return all(name_of.setdefault(numbers[position], name) == name for _, numbers, name in cells)


def _table_of(
    kinds: Counter[tuple[str | None, Kind]], domain: str, index: str | None, name: str | None
) -> DomainCounts:
    by_domain: Counter[str | None] = Counter()
    by_class: Counter[Kind] = Counter()
    for (in_domain, kind), count in kinds.items():
        by_domain[in_domain] += count
        if kind != (None, None):
            by_class[kind] += count
    domains = sorted(by_domain, key=lambda value: (-by_domain[value], value is None, str(value)))
    if all(value is None or value.isdecimal() for value in domains):  # such as time buckets or years
        domains.sort(key=lambda value: (value is None, int(value or 0)))
    classes = sorted(by_class, key=lambda kind: (-by_class[kind], str(kind[1]), kind[0] is None, kind[0] or 0))
    return DomainCounts(
        column=domain,
        index=index,
        name=name,
        domains=tuple(domains),
        classes=tuple(classes),
        counts=tuple(tuple(kinds[in_domain, kind] for in_domain in domains) for kind in classes),
        unclassed=tuple(kinds[in_domain, (None, None)] for in_domain in domains),
    )
