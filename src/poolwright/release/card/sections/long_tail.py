"""The section of a dataset card on the sets of a generalized long tail."""

from __future__ import annotations

from poolwright.reference.glt_sets import GROUPS, TITLES, LongTail
from poolwright.release.card.markdown import code, grid, share


def sets_section(found: LongTail, picture: str) -> str:
    """Rows of each set, of its classes, and of its attributes."""
    ranks = range(found.attributes)
    lines = []
    for title, (column, name) in TITLES.items():
        classes, attributes = found.by_class(title), found.by_attribute(title)
        whole = sum(attributes)
        shares = [share(rows, whole) for rows in attributes]
        size = [f"{most(classes):,}" for most in (max, min)] if classes else ["", ""]
        lines.append((title, f"{code(column)} = {code(name)}", f"{whole:,}", *size, *shares))
    head = ["set", "column", "rows", "largest class", "smallest class", *(f"attribute {rank}" for rank in ranks)]
    groups = ", ".join(f"{count:,} {name}" for count, name in zip(found.groups, GROUPS, strict=True))
    words = f"{found.classes:,} classes, numbered from the largest on: {groups}. "
    words += "An attribute is a cluster of a class, 0 the largest; clusters of one number in two classes have nothing "
    words += (
        "else in common. The sets Test-CBL and Test-GBL are the same in both columns. No image of a test set is in "
    )
    words += "another set; Train-GLT and Train-CBL, and their vals, share images."
    parts = ["### Long-tailed and balanced sets", words, grid(head, lines, range(2, len(head))), picture]
    return "\n\n".join(part for part in parts if part)
