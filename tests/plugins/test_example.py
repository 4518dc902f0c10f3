"""The example package, installed into an environment of its own: its names work everywhere, and its version counts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
import yaml
from PIL import Image

from tests.calling import Called
from tests.conftest import REPOSITORY

SOURCE = REPOSITORY / "examples" / "plugin"

_CALLS = """
import json, sys
from tests.calling import call
print(json.dumps([(done.code, done.out, done.err) for done in (call(*one) for one in json.loads(sys.argv[1]))]))
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the example package, and a folder with its recipe and pictures."""

    python: Path
    package: Path
    folder: Path

    def call(self, *arguments: str, ok: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the folder, with these variables of the environment."""
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
        command, seen = [str(self.python), *arguments], clean | variables
        done = subprocess.run(command, cwd=self.folder, env=seen, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done

    def poolwright(self, *arguments: str, ok: bool = True) -> str:
        """Run the command; returns what it printed."""
        done = self.call("-m", "poolwright", *arguments, ok=ok)
        return done.stdout if ok else done.stderr

    def calls(self, *commands: list[str]) -> list[Called]:
        """Run several commands in one process: starting Python and finding the package takes a second each time."""
        done = self.call("-c", _CALLS, json.dumps(commands), PYTHONPATH=str(REPOSITORY))
        return [Called(*one) for one in json.loads(done.stdout)]

    def install(self, version: str) -> None:
        """Install the package as that version."""
        project = self.package / "pyproject.toml"
        text = (SOURCE / "pyproject.toml").read_text(encoding="utf-8")
        project.write_text(text.replace('version = "0.1.0"', f'version = "{version}"'), encoding="utf-8")
        options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
        self.call("-m", "pip", "install", *options, str(self.package))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    pytest.importorskip("hatchling")
    root = tmp_path_factory.mktemp("plugin")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / "env")], check=True)
    python = root / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    # The packages of this environment are seen from the new one, so that nothing is downloaded.
    there = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    seen = [str(REPOSITORY / "src"), sysconfig.get_path("purelib")]
    (Path(there) / "shared.pth").write_text("\n".join(seen) + "\n", encoding="utf-8")
    shutil.copytree(SOURCE, root / "package", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    made = Installed(python, root / "package", root / "project")
    write_project(made.folder)
    made.install("0.1.0")
    return made


def write_project(folder: Path) -> None:
    """The recipe of the example, and a list of pictures from black to white; one line is broken."""
    (folder / "lists").mkdir(parents=True)
    shutil.copy(SOURCE / "recipe.yaml", folder)
    lines = ["no tab here"]
    for number in range(8):
        grey = number * 36
        Image.new("RGB", (12, 10), (grey, grey, grey)).save(folder / "lists" / f"{number}.png")
        lines.append(f"{number}.png\tgrey {grey}")
    (folder / "lists" / "pictures.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_names_are_listed_with_their_package(installed: Installed) -> None:
    named = {"steps": "brightness", "pools": "captioned_list", "layouts": "csv_rows", "encoders": "thumbnail"}
    commands = [command for kind, name in named.items() for command in ([kind], [kind, name])]
    done = installed.calls(*commands)
    assert all(one.code == 0 for one in done)
    for listed, described, name in zip(done[::2], done[1::2], named.values(), strict=True):
        line = next(line for line in listed.out.splitlines() if line.split()[:1] == [name])
        assert "poolwright-example 0.1.0" in line
        assert "from the package poolwright-example 0.1.0" in described.out


def test_the_schema_has_the_names_and_the_shipped_one_has_not(installed: Installed) -> None:
    schema = json.loads(installed.poolwright("steps", "--schema"))
    recipe = yaml.safe_load((installed.folder / "recipe.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(recipe, schema)
    shipped = REPOSITORY / "src" / "poolwright" / "recipe" / "recipe.schema.json"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(recipe, json.loads(shipped.read_text(encoding="utf-8")))


def test_a_misspelt_name_is_corrected_to_that_of_the_package(installed: Installed) -> None:
    text = (installed.folder / "recipe.yaml").read_text(encoding="utf-8")
    (installed.folder / "wrong.yaml").write_text(text.replace("- brightness:", "- brihgtness:"), encoding="utf-8")
    assert "did you mean 'brightness'?" in installed.poolwright("check", "wrong.yaml", ok=False)


def test_its_own_tests_pass(installed: Installed) -> None:
    done = installed.call("-m", "pytest", "-q", "-p", "no:cacheprovider", str(installed.package / "tests"))
    assert " passed" in done.stdout


def test_a_run_uses_all_four_and_another_version_is_refused(installed: Installed) -> None:
    commands = (["check", "recipe.yaml"], ["run", "recipe.yaml"], ["verify", "out", "--full"], ["run", "recipe.yaml"])
    checked, run, verified, again = installed.calls(*commands)
    assert (checked.code, run.code, verified.code, again.code) == (0, 0, 0, 0)
    assert "nothing wrong" in checked.out
    assert "4 of 9 rows kept" in run.out
    assert "the image is too dark" in run.out
    record = json.loads((installed.folder / "runs" / "bright" / "tables" / "bright" / "table.json").read_text())
    assert record["versions"]["poolwright-example"] == "0.1.0"
    assert {reason["name"] for reason in record["reasons"]} >= {"too_dark"}
    release = json.loads((installed.folder / "out" / "release.json").read_text())
    assert release["versions"] == {"poolwright-example": "0.1.0"}
    assert "the release verifies" in verified.out
    assert "unchanged and verified" in again.out

    installed.install("0.2.0")  # the other tests of this file are before this one
    refused, anew = installed.calls(["run", "recipe.yaml"], ["run", "recipe.yaml", "--fresh", "bright", "--overwrite"])
    assert refused.code != 0
    assert "package poolwright-example: version 0.1.0 -> 0.2.0" in refused.err
    assert "--fresh bright" in refused.err
    assert anew.code == 0
    assert "4 of 9 rows kept" in anew.out
