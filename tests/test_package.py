"""The package: its extras, the licences of what they bring, and the metadata of its wheel."""

from __future__ import annotations

import ast
import email
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from email.message import Message
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from poolwright.core.errors import EXTRAS, MissingExtra
from poolwright.demo.needs import DEMO, DEMO_EXTRAS

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL: dict[str, list[str]] = PROJECT["optional-dependencies"]

FOR_DEVELOPERS = {"dev", "testing"}
"""Extras that users have no need of, if they are there."""

NO_METADATA = {"mlcroissant": "Apache-2.0", "skops": "MIT"}
"""Licences of distributions whose metadata says nothing, as their repositories say."""


def extras_of(text: str) -> set[str]:
    """Extras of poolwright that a requirement names."""
    requirement = Requirement(text)
    return set(requirement.extras) if requirement.name == "poolwright" else set()


def test_all_means_all() -> None:
    (line,) = OPTIONAL["all"]
    # The wheel of pi-heif has a library under the LGPL in it, and pdqhash is compiled: a user should ask for these.
    assert extras_of(line) == set(OPTIONAL) - FOR_DEVELOPERS - {"all", "heif", "pdq"}


def test_the_demo_checks_for_what_its_extra_brings() -> None:
    (line,) = OPTIONAL[DEMO]
    assert extras_of(line) == set(DEMO_EXTRAS)


@pytest.fixture(scope="module")
def distributions() -> Mapping[str, list[str]]:
    """The installed distributions by the modules that they bring."""
    return metadata.packages_distributions()


@pytest.mark.parametrize(("module", "extra"), EXTRAS.items())
def test_the_extra_that_an_error_names_brings_the_module(
    module: str, extra: str, distributions: Mapping[str, list[str]]
) -> None:
    assert extra in OPTIONAL
    brought = {canonicalize_name(Requirement(text).name) for text in OPTIONAL[extra]}
    providers = {canonicalize_name(name) for name in distributions.get(module, ())}
    assert not providers or providers & brought, f"{module} is of {providers}, {extra} brings {brought}"


def missing_extras() -> Iterator[tuple[str, ast.expr]]:
    """First arguments of all calls of MissingExtra, with their file."""
    source = ROOT / "src" / "poolwright"
    for path in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == MissingExtra.__name__:
                yield path.relative_to(source).as_posix(), node.args[0]


VARIABLE = {
    "core/errors.py": {"sklearn", "imagehash", "pdqhash"},  # `require_module`, by steps and the figure `probe`
    "core/remote/schemes.py": {"s3fs", "gcsfs", "adlfs", "huggingface_hub", "aiohttp"},
    "demo/needs.py": set(),  # names the extra itself
    "jobs/train.py": {"torch", "torchvision", "timm", "lightly", "safetensors"},
    "models/encoders/networks/network.py": {"torch", "torchvision", "open_clip", "timm"},
    "models/encoders/onnx.py": {"tokenizers", "open_clip"},
    "models/texts/package_files.py": {"open_clip", "timm", "tzdata"},
    "testing/__init__.py": {"pytest", "hypothesis"},
    "studio/serve.py": {"fastapi", "uvicorn", "jinja2", "python_multipart"},
}
"""Files that name a module by a variable, with what it can be."""


def test_every_missing_library_is_of_an_extra() -> None:
    found = list(missing_extras())
    assert len(found) > 20
    for file, argument in found:
        names = {argument.value} if isinstance(argument, ast.Constant) else VARIABLE[file]
        assert names <= set(EXTRAS), f"{file}: {names - set(EXTRAS)} are of no extra"


def test_what_a_missing_library_says() -> None:
    assert "needs imagehash; install it with: pip install 'poolwright[hash]'" in str(MissingExtra("imagehash", "x"))
    assert "install them with: pip install 'poolwright[demo]'" in str(MissingExtra("a, b", "x", "demo"))
    assert str(MissingExtra("theirs", "a plugin")).endswith("install it with: pip install theirs")


WITHOUT = """
import sys
for name in {modules}:
    sys.modules[name] = None
sys.argv = ["poolwright", "demo", "--to", {to!r}]
from poolwright.cli.main import main
main()
"""


@pytest.mark.parametrize("modules", [["matplotlib"], ["imagehash", "jinja2"]])
def test_the_demo_names_its_extra_before_it_draws(tmp_path: Path, modules: list[str]) -> None:
    code = WITHOUT.format(modules=modules, to=str(tmp_path / "demo"))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    said = " ".join((ended.stdout + ended.stderr).split())
    assert said.count("pip install") == 1
    assert "pip install 'poolwright[demo]'" in said
    assert all(name in said for name in modules)
    assert not (tmp_path / "demo").exists()


def installed(*requirements: str) -> dict[str, metadata.Distribution]:
    """Installed distributions that these requirements bring, by name."""
    found: dict[str, metadata.Distribution] = {}
    done: set[tuple[str, str]] = set()

    def walk(text: str, extras: set[str]) -> None:
        requirement = Requirement(text)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            return
        name, wanted = canonicalize_name(requirement.name), {"", *requirement.extras}
        if {(name, extra) for extra in wanted} <= done:
            return
        done.update((name, extra) for extra in wanted)
        if name == "poolwright":
            inner = [line for extra in requirement.extras for line in OPTIONAL[extra]]
        else:
            try:
                found[name] = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                return
            inner = found[name].requires or []
        for line in inner:
            walk(line, wanted)

    for text in requirements:
        walk(text, {""})
    return found


def licences(distribution: metadata.Distribution) -> list[str]:
    """What a distribution says of its licence: its expression or its classifiers, else a short text."""
    about = distribution.metadata
    if about.get("License-Expression"):
        return [about["License-Expression"]]
    classifiers = [line for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    named = [line.rpartition(" :: ")[2] for line in classifiers if not line.endswith("OSI Approved")]
    first = (about.get("License") or "").strip().partition("\n")[0]
    return named or [first] * bool(first)


def is_gpl(licence: str) -> bool:
    """Whether a licence is the GPL or AGPL, and leaves no other choice. The LGPL is not meant."""
    gpl = re.compile(r"\bA?GPL|GNU (Affero )?General Public", re.IGNORECASE)
    return all(gpl.search(choice) for choice in re.split(r"\s+OR\s+", licence.strip("()")))


def test_gpl_is_recognised() -> None:
    for licence in (
        "GPL-3.0-or-later",
        "GNU General Public License v3 (GPLv3)",
        "AGPL-3.0",
        "GNU Affero General Public",
    ):
        assert is_gpl(licence)
    for licence in ("MIT OR GPL-2.0-only", "LGPL-2.1", "GNU Lesser General Public License v3 (LGPLv3)", "BSD-3-Clause"):
        assert not is_gpl(licence)


def test_nothing_that_users_install_is_gpl() -> None:
    found = installed(*PROJECT["dependencies"], "poolwright[demo,all]")
    assert len(found) > 30
    said = {name: licences(distribution) for name, distribution in found.items()}
    unknown = {name for name, lines in said.items() if not lines} - set(NO_METADATA)
    assert not unknown, f"no licence in the metadata: look it up, and add it to NO_METADATA: {sorted(unknown)}"
    assert not {name: lines for name, lines in said.items() if any(map(is_gpl, lines))}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built; without an environment of its own if the build backend is installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    here = ["--no-build-isolation"] if find_spec("hatchling") and find_spec("hatch_fancy_pypi_readme") else []
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *here, "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def about(wheel: Path) -> Message:
    """METADATA of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


BLOB, RAW = (
    "https://github.com/poolwright/poolwright/blob/main/",
    "https://raw.githubusercontent.com/poolwright/poolwright/main/",
)


def links(text: str) -> Iterator[tuple[str, str]]:
    """Links and images of a Markdown text: (kind, URL)."""
    for block in MarkdownIt("commonmark").enable("table").parse(text):
        for token in block.children or ():
            if token.type in ("link_open", "image"):
                yield token.type, str(token.attrs["href" if token.type == "link_open" else "src"])


def test_links_of_the_wheel_are_absolute_and_lead_somewhere(about: Message) -> None:
    assert about["Description-Content-Type"] == "text/markdown"
    urls = {line.partition(",")[0] for line in about.get_all("Project-URL", [])}
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= urls
    assert all(", https://" in line for line in about.get_all("Project-URL", []))
    found = list(links(str(about.get_payload())))
    assert len(found) > 5
    for kind, url in found:
        assert url.startswith("https://"), url
        ours = url.removeprefix(RAW if kind == "image" else BLOB)
        if ours != url:
            assert (ROOT / ours.partition("#")[0]).is_file(), url
    assert {kind for kind, url in found if url.startswith((BLOB, RAW))} == {"link_open", "image"}


def test_links_of_the_readme_stay_relative() -> None:
    assert not re.search(re.escape(BLOB), (ROOT / "README.md").read_text(encoding="utf-8"))


def test_what_the_wheel_says_and_holds(about: Message, wheel: Path) -> None:
    classifiers = about.get_all("Classifier", [])
    assert "Typing :: Typed" in classifiers
    assert "Programming Language :: Python :: 3.11" in classifiers
    assert about["License-Expression"] == "Apache-2.0"
    assert set(about.get_all("Provides-Extra", [])) == set(OPTIONAL)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {"poolwright", f"poolwright-{about['Version']}.dist-info"}
    assert "poolwright/py.typed" in names
