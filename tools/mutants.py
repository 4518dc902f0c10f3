"""Check that the tests hold what the documentation promises: break the code on purpose, and see whether a test fails.

`mutants.toml` lists the breaks, one for each promise, with the tests that must fail. Each is applied to a copy of the
sources, alone, and its tests are run on that copy.

    make mutants                 # all of them, in minutes
    make mutants NAME=resume     # those whose name contains a word
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = REPOSITORY / "src"
SECONDS = 600
_FAILED = 1  # pytest: tests ran, and one of them failed


@dataclass(frozen=True)
class Mutant:
    """A deliberate break.

    Attributes:
        name: what is broken, in a word or two.
        promise: the sentence it breaks.
        page: the page that makes the promise.
        file: path of the module below `src/poolwright`.
        old: text that occurs once in it.
        new: the text in its place.
        tests: the tests that must fail, as pytest names them.
    """

    name: str
    promise: str
    page: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The module, from `src` on."""
        return Path("poolwright") / self.file

    def broken(self) -> str:
        """Return the text of the module with the break.

        Raises:
            ValueError: the old text is not there, or more than once.
        """
        text = (SOURCES / self.path).read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {self.old!r} occurs {count} times in {self.file}; mend mutants.toml")
        return text.replace(self.old, self.new)


def read_mutants() -> list[Mutant]:
    """Read the list."""
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["mutant"]
    return [Mutant(**{**fields, "tests": tuple(fields["tests"])}) for fields in listed]


def survives(mutant: Mutant, sources: Path) -> str:
    """Return what pytest said if the tests of a mutant do not fail; '' if one of them does.

    Args:
        sources: a copy of `src`; it is as before afterwards.
    """
    path = sources / mutant.path
    whole = path.read_text(encoding="utf-8")
    path.write_text(mutant.broken(), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests]
    environment = {**os.environ, "PYTHONPATH": str(sources), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return ""  # a run that hangs does not pass
    finally:
        path.write_text(whole, encoding="utf-8")
    return "" if done.returncode == _FAILED else (done.stdout + done.stderr).strip() or f"status {done.returncode}"


def main(words: list[str]) -> int:
    """Try the mutants whose name contains one of the words, all without words; return the exit status."""
    chosen = [one for one in read_mutants() if not words or any(word in one.name for word in words)]
    left = []
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "src"
        shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("__pycache__"))
        for mutant in chosen:
            said = survives(mutant, sources)
            print(f"{'survived' if said else 'killed':9} {mutant.name}: {mutant.promise} ({mutant.page})", flush=True)
            if said:
                left.append(mutant.name)
                print("\n".join(f"          {line}" for line in said.splitlines()[-5:]))
    print(
        f"{len(chosen) - len(left)} of {len(chosen)} mutants killed"
        + (f"; survived: {', '.join(left)}" if left else "")
    )
    return int(bool(left) or not chosen)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
