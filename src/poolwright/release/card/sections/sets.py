"""Write the section of a dataset card on the sets that a step drew."""

from __future__ import annotations

from poolwright.kernels.selection.row_sets import SetCounts
from poolwright.release.card.markdown import code, grid, share


def sets_section(found: SetCounts, picture: str) -> str:
    """Return the rows of each set, of its classes and of its attributes as Markdown."""
    ranks = range(found.attributes)
    lines = []
    for title, (column, name) in found.described.sets.items():
        classes, attributes = found.by_class(title), found.by_attribute(title)
        whole = sum(attributes)
        shares = [share(rows, whole) for rows in attributes]
        size = [f"{most(classes):,}" for most in (max, min)] if classes else ["", ""]
        lines.append((title, f"{code(column)} = {code(name)}", f"{whole:,}", *size, *shares))
    head = ["set", "column", "rows", "largest class", "smallest class", *(f"attribute {rank}" for rank in ranks)]
    groups = ", ".join(
        f"{count:,} {name}" for count, name in zip(found.groups, found.described.group_names, strict=True)
    )
    words = f"{found.classes:,} classes, numbered from the largest on: {groups}. {found.described.remarks}"
    parts = ["### Long-tailed and balanced sets", words, grid(head, lines, range(2, len(head))), picture]
    return "\n\n".join(part for part in parts if part)
