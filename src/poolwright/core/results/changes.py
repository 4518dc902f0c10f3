"""Changes: what differs between two versions of a dataset, row by row, and why."""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = "unknown"
NOT_IN_SOURCE = "not_in_source"

MEANINGS = {
    "same": "in both versions, with the same values",
    "added": "only in the second version",
    "removed": "only in the first version",
    "moved": "in both versions, in another split",
    "relabelled": "in both versions, with another class",
    "changed": "in both versions, with other values in other columns",
}
"""What a comparison counts, and what it means."""


@dataclass(frozen=True)
class VersionInfo:
    """One of two versions.

    Attributes:
        name: as it was named, or the name of its folder.
        kind: 'release' or 'table'.
        table: name of the table.
        rows: number of rows.
        digest: SHA-256 of the checksums of a release, hex; digest of what a table was made from.
    """

    name: str
    kind: str
    table: str
    rows: int
    digest: str


@dataclass(frozen=True)
class Because:
    """Rows that are in one version only, for one reason.

    Attributes:
        table: the table whose step dropped them in the other version; '' if that is not known.
        step: number of the step from 1; 0 for what is dropped before the first, and for rows that were never read.
        verb: the step; '' if none dropped them.
        reason: short name, as in the ledger; 'not_in_source' for rows that the other version never read, and 'unknown'.
        because: the reason as people read it.
        rows: how many.
    """

    table: str
    step: int
    verb: str
    reason: str
    because: str
    rows: int


@dataclass(frozen=True)
class ValueChange:
    """Rows of both versions whose split, or whose class, differs.

    Attributes:
        before, after: the value in the first and in the second version.
        rows: how many.
    """

    before: str | None
    after: str | None
    rows: int


@dataclass(frozen=True)
class ColumnChange:
    """Rows of both versions in which a column has other values.

    Attributes:
        column: its name.
        rows: how many.
        by: where it comes from in each version, and what differs there, in words.
    """

    column: str
    rows: int
    by: str


@dataclass(frozen=True)
class GroupChange:
    """Changes among the rows with one value of a column.

    Attributes:
        value: the value: a split, class or source; None for rows without one.
        before, after: rows with it in each version.
        added, removed: rows with it that are in the second or in the first version only.
        moved, relabelled, changed: rows of both versions, by their value in the second, that are in another split, have
            another class, or differ otherwise.
    """

    value: str | None
    before: int
    after: int
    added: int
    removed: int
    moved: int
    relabelled: int
    changed: int


@dataclass(frozen=True)
class RowChange:
    """One row that differs.

    Attributes:
        uid: of the row.
        what: 'added', 'removed', 'moved', 'relabelled' or 'changed'.
        before, after: split or class in each version, if it was moved or relabelled.
        columns: other columns that differ.
        verb, because: the step that dropped it in the other version, and why, if it is in one only.
    """

    uid: str
    what: str
    before: str | None = None
    after: str | None = None
    columns: tuple[str, ...] = ()
    verb: str = ""
    because: str = ""


@dataclass(frozen=True)
class Changes:
    """The differences between two versions of a dataset, by the uids of their rows.

    A row that is moved may be relabelled and changed too, and is counted in each.

    Attributes:
        before, after: the versions.
        same: rows that are the same in both, in all columns that were compared.
        added, removed: rows that are in the second or the first version only.
        moved: rows in another split.
        relabelled: rows with another class.
        changed: rows with other values in other columns.
        removed_because, added_because: why, most rows first.
        splits, classes: where rows were moved and how they were relabelled, most rows first.
        columns: the columns that differ; `split` and the class among them.
        columns_added, columns_removed: columns that one version only has.
        by_split, by_class, by_source: changes by value.
        recipe: what differs in the steps, in sentences.
        examples: a few rows of each kind, by uid.
        notes: what is not known, and why.
    """

    before: VersionInfo
    after: VersionInfo
    same: int
    added: int
    removed: int
    moved: int
    relabelled: int
    changed: int
    removed_because: tuple[Because, ...]
    added_because: tuple[Because, ...]
    splits: tuple[ValueChange, ...]
    classes: tuple[ValueChange, ...]
    columns: tuple[ColumnChange, ...]
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    by_split: tuple[GroupChange, ...]
    by_class: tuple[GroupChange, ...]
    by_source: tuple[GroupChange, ...]
    recipe: tuple[str, ...]
    examples: tuple[RowChange, ...]
    notes: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Rows by what happened to them."""
        return {name: getattr(self, name) for name in MEANINGS}
