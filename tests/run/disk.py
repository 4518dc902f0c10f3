"""A disk that remembers what a kill, or a power cut, at every change of it would leave.

A kill leaves all that was written, the file that was being written only in part. A power cut leaves only what was
synced before: contents by an fsync of the file, names by one of the folder. No process is killed and nothing is synced:
the states are recorded while a program runs undisturbed, and put back afterwards, one at a time.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Tree = dict[str, bytes | None]
"""Files by their path below the root; None stands for a folder."""


class Disk:
    """Records changes below a folder, from now on; everything in it now is taken as synced.

    Attributes:
        killed: what a kill would leave before each rename and removal, and within each write.
        cut: what a power cut would leave after each sync of a folder.
        written: the files whose content was synced, by the names they had then.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.killed, self.cut, self.written = root, list[Tree](), list[Tree](), list[str]()
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._held: dict[int, int] = {}  # open, so that no other file is given the same inode
        for path in [root, *root.rglob("*")]:
            self._synced(path)
        for name in ("replace", "rename", "unlink", "remove", "rmdir"):
            monkeypatch.setattr(os, name, self._before(getattr(os, name)))
        monkeypatch.setattr(os, "fsync", self._sync)

    def watch(self, monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> None:
        """Record what a kill would leave before a method is called, too, which writes to an open file."""
        method = getattr(kind, name)

        def called(*args: Any, **options: Any) -> Any:
            _add(self.killed, self.now())
            return method(*args, **options)

        monkeypatch.setattr(kind, name, called)

    def synced(self, *paths: Path) -> None:
        """Note that these files and folders were synced by other means than `os.fsync`, as a database does."""
        for path in paths:
            self._synced(path)

    def close(self) -> None:
        """Forget the files."""
        for handle in self._held.values():
            os.close(handle)

    def now(self) -> Tree:
        """What is there."""
        paths = (path for path in sorted(self.root.rglob("*")) if ".lock" not in path.name)
        return {path.relative_to(self.root).as_posix(): None if path.is_dir() else path.read_bytes() for path in paths}

    def durable(self) -> Tree:
        """What is there after a power cut."""
        tree: Tree = {}

        def walk(folder: str, inode: int) -> None:
            for name, inner in self._names.get(inode, {}).items():
                known = inner in self._names
                tree[folder + name] = None if known else self._contents.get(inner, b"")
                if known:
                    walk(f"{folder}{name}/", inner)

        walk("", self.root.stat().st_ino)
        return tree

    def put_back(self, tree: Tree) -> None:
        """Make the folder what it was."""
        shutil.rmtree(self.root)
        self.root.mkdir()
        for name, content in sorted(tree.items()):
            path = self.root / name
            (path if content is None else path.parent).mkdir(parents=True, exist_ok=True)
            if content is not None:
                path.write_bytes(content)

    def _before(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(path: Any, *others: Any, **options: Any) -> Any:
            # Functions that walk a tree name what they remove by a handle of its folder; the tree is here all the same.
            if "dir_fd" in options or Path(path).is_relative_to(self.root):
                _add(self.killed, self.now())
            return change(path, *others, **options)

        return changed

    def _sync(self, handle: int) -> None:
        found = os.fstat(handle)
        paths = [self.root, *self.root.rglob("*")]
        path = next((path for path in paths if path.stat().st_ino == found.st_ino), None)
        if path is not None and not stat.S_ISDIR(found.st_mode):
            self.written.append(path.relative_to(self.root).as_posix())
            _add(self.killed, {**self.now(), self.written[-1]: path.read_bytes()[: found.st_size // 2]})
        if path is not None:
            self._synced(path)
            if path.is_dir():
                _add(self.cut, self.durable())

    def _synced(self, path: Path) -> None:
        if path.is_dir():
            self._names[self._inode(path)] = {inner.name: self._inode(inner) for inner in path.iterdir()}
            for inner in filter(Path.is_dir, path.iterdir()):
                self._names.setdefault(self._inode(inner), {})
        else:
            self._contents[self._inode(path)] = path.read_bytes()

    def _inode(self, path: Path) -> int:
        inode = path.stat().st_ino
        if inode not in self._held:
            self._held[inode] = os.open(path, os.O_RDONLY)
        return inode


def _add(states: list[Tree], tree: Tree) -> None:
    if tree not in states[-1:]:
        states.append(tree)
