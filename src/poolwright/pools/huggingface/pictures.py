"""Read the image files of a repository that has no metadata of them: one row for each file."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

import pyarrow as pa
from pydantic import PrivateAttr

from poolwright.core.columns import IMAGE_PATH, LABEL, UID
from poolwright.core.pool import Part, Pool
from poolwright.pools.columns.casting import table_of
from poolwright.pools.huggingface.repository import Repository, SplitFiles
from poolwright.pools.image_folder import PART_FILES
from poolwright.pools.readers.paths import join, reading


class RepositoryPictures(Pool):
    """Image files of a repository, with `config`, `split`, and the name of the folder as `label`."""

    unique = True

    root: str
    labelled: bool

    _splits: tuple[SplitFiles, ...] = PrivateAttr(default=())

    @classmethod
    def of(cls, repository: Repository) -> RepositoryPictures:
        """Return the pool of the image files of a repository.

        Folders are classes if there are several, all at one depth, as in `datasets`.
        """
        names = [name for one in repository.splits for name in one.files]
        folders = {posixpath.basename(posixpath.dirname(name)) for name in names}
        labelled = len(folders) > 1 and len({name.count("/") for name in names}) == 1
        drop = repository.options.get("drop_labels")
        pool = cls(root=repository.root, labelled=labelled if drop is None else not drop, outside=False)
        pool._splits = repository.splits
        return pool

    def arrow_schema(self) -> pa.Schema:
        names = [UID, IMAGE_PATH, *([LABEL] if self.labelled else []), "config", "split"]
        return pa.schema([pa.field(name, pa.string()) for name in names])

    def parts(self) -> list[Part]:
        found: list[Part] = []
        for one in self._splits:
            for at in range(0, len(one.files), PART_FILES):
                names = one.files[at : at + PART_FILES]
                files = tuple(join(self.root, name) for name in names)
                shown = f"{names[0]} .. {names[-1]}" if len(names) > 1 else names[0]
                detail = {"config": one.config, "split": one.split}
                found.append(Part(index=len(found), name=shown, files=files, rows=len(files), detail=detail))
        return found

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        schema, offset = self.arrow_schema(), len(join(self.root, ""))
        with reading(part):
            for at in range(0, len(part.files), batch_rows):
                names = [file[offset:] for file in part.files[at : at + batch_rows]]
                values = {
                    UID: names,
                    IMAGE_PATH: names,
                    **{key: [part.detail[key]] * len(names) for key in part.detail},
                }
                values[LABEL] = [posixpath.basename(posixpath.dirname(name)) for name in names]
                arrays = [pa.array(values[name], pa.string()) for name in columns]
                yield table_of(arrays, [schema.field(name) for name in columns], len(names))

    def class_names(self) -> dict[str, set[str]]:
        folders = (posixpath.basename(posixpath.dirname(name)) for one in self._splits for name in one.files)
        return {LABEL: set(folders)} if self.labelled else {}

    def image_root(self) -> str:
        return self.root
