"""Map the domains and classes of a table to the folders and lists of their rows."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from poolwright.core.columns import SPLIT, UID
from poolwright.core.errors import ReleaseError
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.release.data.class_names import ClassNames
from poolwright.release.data.image_files import image_stem
from poolwright.release.data.naming import safe_names, split_order, unspaced

MOST_DOMAINS = 1_000
_SPACES = re.compile(r"\s+")

DomainClass = tuple[str, str]
"""Domain and unique class name of a row."""


class DomainFolders:
    """Folders, files and lists of the rows of a table, determined before anything is written.

    Holds every uid in memory if images are copied, as names that would collide must be known beforehand.

    Args:
        table: a finished table.
        splits: name of each split by the value of the column `split`.
        domain, by, index: columns of the domain, of the class name, and of the integer that distinguishes classes.
        paths: column of the paths that the lists hold; None if images are copied and get paths of their own.

    Attributes:
        domains: folder of each domain, in order of the domains.
        class_ids: index of each class, in order of the names.
        classes: name of each class by index; see `ClassNames`.

    Raises:
        ReleaseError: a row has no domain, no class or no path, or two lists would have the same name.
    """

    def __init__(
        self,
        table: Table,
        splits: Mapping[str | None, str],
        domain: str,
        by: str,
        index: str | None,
        paths: str | None,
    ) -> None:
        self.domain, self.by, self.index = domain, by, index
        self.splits = sorted(splits.values(), key=split_order)
        self._named = ClassNames.of(table, by, index)
        members: dict[DomainClass, list[str]] = defaultdict(list)
        read = [UID, *(name for name in (domain, *self._named.columns, index, paths) if name)]
        for rows in table.batches(list(dict.fromkeys(read))):
            self._check(table.name, rows, paths)
            for key, uid in zip(self.of(rows), rows.strings(UID), strict=True):
                uids = members[key]
                if paths is None:
                    uids.append(str(uid))
        self.domains = _domain_folders(table.name, domain, {value for value, _ in members})
        kinds = self._named.names
        self.class_ids = {kind: number for number, kind in enumerate(kinds)}
        self.classes = shown_names(kinds)
        folders = safe_names(self.classes, folder_words)
        self._folders = {kind: folders[name] for kind, name in zip(kinds, self.classes, strict=True)}
        self._stems = {key: safe_names(uids, file_stem) for key, uids in members.items()}
        self._check_lists(table.name)

    def of(self, rows: Rows) -> Iterator[DomainClass]:
        """Yield domain and class of each row."""
        for domain, name in zip(rows.strings(self.domain), self._named.of_rows(rows), strict=True):
            yield str(domain), str(name)

    def files(self, rows: Rows, cells: list[DomainClass]) -> Iterator[tuple[str, str]]:
        """Yield folder and name without extension of the image of each row."""
        for (domain, kind), uid in zip(cells, rows.strings(UID), strict=True):
            yield f"{self.domains[domain]}/{self._folders[kind]}", self._stems[domain, kind][str(uid)]

    def lists(self) -> Iterator[tuple[str, str]]:
        """Yield every pair of domain and split name."""
        return ((domain, split) for domain in self.domains for split in self.splits)

    def list_name(self, domain: str, split: str) -> str:
        """Return the name of the list of a domain's rows in a split."""
        return list_name(self.domains[domain], split)

    def domains_by_folder(self) -> dict[str, str]:
        """Return the domains by folder."""
        return {folder: domain for domain, folder in self.domains.items()}

    def _check(self, table: str, rows: Rows, paths: str | None) -> None:
        for name, what in ((self.domain, "domain"), (self.by, "class"), (self.index, "class index"), (paths, "path")):
            if name and rows.table.column(name).null_count:
                at = rows.strings(name).index(None)
                raise ReleaseError(
                    f"table '{table}': the row of uid {rows.strings(UID)[at]!r} has no {what}, as '{name}' is null; "
                    f"drop such rows in a step: `where: {name} is not null`"
                )
        for at, path in enumerate(rows.strings(paths) if paths else ()):
            if path and not _SPACES.search(path):
                continue
            raise ReleaseError(
                f"table '{table}': the path {path!r} of uid {rows.strings(UID)[at]!r} "
                f"{'has white space' if path else 'is empty'}, and DomainNet loaders split lines at white space; "
                "`images: copy` gives the files new names"
            )

    def _check_lists(self, table: str) -> None:
        names = [self.list_name(domain, split).casefold() for domain, split in self.lists()]
        taken = {folder.casefold() for folder in self.domains.values()}
        wrong = [name for name, count in Counter(names).items() if count > 1 or name in taken]
        if wrong:
            raise ReleaseError(
                f"table '{table}': the list '{wrong[0]}' would have the name of another file; "
                f"rename a value of '{self.domain}' or '{SPLIT}' by `derive`"
            )


def list_name(folder: str, split: str) -> str:
    """Return the name of the list of a domain's rows in a split."""
    return f"{folder}_{split}.txt"


def folder_words(text: str) -> str:
    """Return the text in the style of DomainNet's folders: lower case, '_' for white space."""
    return unspaced(text).lower()


def shown_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return each class name on one line; names that would become equal are followed by their index."""
    plain = [" ".join(name.split()) for name in names]
    counts = Counter(plain)
    return tuple(name if counts[name] == 1 else f"{name} ({at})" for at, name in enumerate(plain))


def _domain_folders(table: str, column: str, domains: set[str]) -> dict[str, str]:
    if len(domains) > MOST_DOMAINS:
        raise ReleaseError(
            f"table '{table}': '{column}' has {len(domains):,} values, and a dataset has at most {MOST_DOMAINS:,} "
            "domains; is it the column you mean?"
        )
    folders = safe_names(domains, folder_words)
    return {domain: folders[domain] for domain in sorted(domains)}


def file_stem(uid: str) -> str:
    """Return the name of an image file, without extension, for the uid of its row."""
    return _SPACES.sub("_", image_stem(uid))
