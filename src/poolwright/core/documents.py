"""Documents of a step: files that a release shows next to its data, such as the instructions to annotators.

A step's fit keeps them in its table's folder and notes them, with digests, in its state; a release copies them.

    documents/<name>/...        in the folder of the table; in a release without `documents/`
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from poolwright.core.errors import InputError
from poolwright.core.files import digest_file, write_atomically
from poolwright.core.table import Table

FOLDER = "documents"
DOCUMENTS = "documents"
"""Key of a state's values that holds what `keep_documents` returned."""


@dataclass(frozen=True)
class Documents:
    """A folder of files that a step wants shown.

    Attributes:
        name: of the folder.
        words: what it is, for the card, in Markdown.
        files: digest (XXH3-128, hex) of each file, by its path in the folder.
        folder: where it is.
    """

    name: str
    words: str
    files: Mapping[str, str]
    folder: Path


def keep_documents(folder: Path | None, name: str, words: str, files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Write documents of a step and return the value that belongs under `DOCUMENTS` in its state.

    Args:
        folder: `Context.documents`; nothing is written if it is None.
        name, words: as in `Documents`.
        files: content by path in the folder.
    """
    digests = {}
    for path, content in sorted(files.items()):
        digests[path] = _digest(content)
        if folder:
            write_atomically(folder / name / path, partial(_put, content))
    return [{"name": name, "words": words, "files": digests}]


def documents_of(table: Table) -> Iterator[Documents]:
    """Yield the documents of a table's steps, except steps that came with a release, whose annotators saw other rows.

    Raises:
        InputError: a file is missing or has changed since.
    """
    for step in table.record.steps:
        if step.released:
            continue
        state = json.loads((table.folder / "states" / f"{step.state_name}.json").read_text(encoding="utf-8"))
        for found in state["values"].get(DOCUMENTS, ()):
            documents = Documents(**found, folder=table.folder / FOLDER / found["name"])
            for path, digest in documents.files.items():
                if not (documents.folder / path).exists() or digest_file(documents.folder / path) != digest:
                    raise InputError(
                        f"{documents.folder / path} is missing or changed; make the table again: --fresh {table.name}"
                    )
            yield documents


def _put(content: bytes, out: Any) -> None:
    out.write(content)


def _digest(content: bytes) -> str:
    from xxhash import xxh3_128

    return str(xxh3_128(content).hexdigest())
