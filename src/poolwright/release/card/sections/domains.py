"""Write the section of a dataset card on classes by domain."""

from __future__ import annotations

from poolwright.core.wording import counted
from poolwright.release.card.markdown import code, folded, grid, plain, share
from poolwright.release.domain_counts import DomainCounts

COUNTS = "domain_by_class.csv"
_MOST_CLASSES = 60
_TOP = 20
_MOST_DOMAINS = 12


def domains_section(found: DomainCounts, picture: str) -> str:
    """Return the classes of each domain, then the rows of each class in each domain, as Markdown."""
    words = f"Domains are the values of {code(found.column)}. "
    words += f"All counts: `{COUNTS}`, and `classes_by_domain` in `statistics.json`."
    classes = _class_table(found)
    classes = folded("Rows of each class in each domain", classes) if picture else classes
    parts = ["### Classes by domain", words, _domain_table(found), picture, classes]
    return "\n\n".join(part for part in parts if part)


def _domain_table(found: DomainCounts) -> str:
    rows = sum(found.domain_rows)
    lines = []
    for position, (name, size) in enumerate(zip(found.domain_names(), found.domain_rows, strict=True)):
        sizes = [line[position] for line in found.counts]
        nonzero = [count for count in sizes if count]
        lines.append(
            (
                plain(name),
                f"{size:,}",
                share(size, rows),
                f"{len(nonzero):,} of {len(sizes):,}",
                _class_size(found, position, max(nonzero)) if nonzero else "–",
                _class_size(found, position, min(nonzero)) if nonzero else "–",
            )
        )
    head = (plain(found.column), "rows", "share", "classes", "largest class", "smallest class")
    return grid(head, lines, (1, 2, 3))


def _class_size(found: DomainCounts, domain: int, size: int) -> str:
    """Return the class of that size in a domain, and the number of other classes of the same size."""
    names = [name for name, line in zip(found.class_names(), found.counts, strict=True) if line[domain] == size]
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return f"{plain(names[0])}{more}: {size:,}"


def _class_table(found: DomainCounts) -> str:
    domains = found.domain_names()[:_MOST_DOMAINS]
    number = len(found.classes) if len(found.classes) <= _MOST_CLASSES else _TOP
    names, counts = found.class_names(), [(*line[:_MOST_DOMAINS], sum(line)) for line in found.counts]
    lines = [
        [plain(name), *(f"{count:,}" for count in line)] for name, line in zip(names[:number], counts, strict=False)
    ]
    rest = counts[number:]
    if rest:
        sums = [sum(line[position] for line in rest) for position in range(len(domains) + 1)]
        lines.append(
            [f"*{len(rest):,} more, {rest[-1][-1]:,} to {rest[0][-1]:,} rows each*", *(f"{count:,}" for count in sums)]
        )
    if any(found.unclassed):
        without = [*found.unclassed[:_MOST_DOMAINS], sum(found.unclassed)]
        lines.append(["*no class*", *(f"{count:,}" for count in without)])
    head = ["class", *map(plain, domains), "rows"]
    table = grid(head, lines, range(1, len(head)))
    hidden = len(found.domains) - len(domains)
    return f"{table}\n\n{counted(hidden, 'smaller domain')} not shown." if hidden else table
