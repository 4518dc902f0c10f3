"""Verify loads a release with the libraries that its card names, each in a process of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import verify
from poolwright.core.table import Table
from poolwright.release.checks.loaders import loader as loaders
from poolwright.release.checks.loaders import with_datasets, with_mlcroissant, with_pandas, with_torchvision
from poolwright.release.checks.loaders.loader import Loader, check_loaders
from poolwright.release.checks.result import Check, Findings, Verification
from poolwright.release.checksums import write_sums
from poolwright.release.layouts.image_folder import ImageFolderLayout
from poolwright.release.record import ReleaseRecord
from tests.models.conftest import torchvision  # noqa: F401
from tests.release import failing
from tests.release.conftest import ABOUT

pytestmark = pytest.mark.loads


@pytest.fixture
def folder(released: Path, tmp_path: Path) -> Path:
    """A release to damage."""
    shutil.copytree(released, tmp_path / "toy")
    return tmp_path / "toy"


def named(found: Verification, name: str) -> Check:
    return next(check for check in found.checks if check.name == name)


def loaded(load: Callable[[Path, ReleaseRecord, bool], Findings], folder: Path, full: bool = False) -> Check:
    """Load a release in another process."""
    return next(check_loaders([Loader("json", load)], folder, ReleaseRecord.load(folder), full))


def respelled(spelling: str) -> Callable[[pa.Table], pa.Table]:
    """Return what gives the column `similarity` another type in the metadata that `datasets` reads."""

    def change(table: pa.Table) -> pa.Table:
        metadata = json.loads(table.schema.metadata[b"huggingface"])
        metadata["info"]["features"]["similarity"]["dtype"] = spelling
        return table.replace_schema_metadata({b"huggingface": json.dumps(metadata)})

    return change


def test_types_that_datasets_does_not_know_are_found_in_every_file(folder: Path) -> None:
    shard = sorted((folder / "data").glob("train-*"))[-1]
    pq.write_table(respelled("decimal[3,1]")(pq.read_table(shard)), shard)
    wrong, _ = with_datasets.load(folder, ReleaseRecord.load(folder), False)
    assert len(wrong) == 1
    assert f"'data/{shard.name}'" in wrong[0]


def test_a_release_that_cannot_be_loaded_does_not_verify(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(card.replace("path: data/test-*", "path: data/nothing-*"), encoding="utf-8")
    croissant = (folder / "croissant.json").read_text(encoding="utf-8")
    changed = croissant.replace('"@type": "cr:FileSet"', '"@type": "cr:Nothing"', 1)
    (folder / "croissant.json").write_text(changed, encoding="utf-8")
    write_sums(folder, {})
    found = verify(folder)
    assert {check.name for check in found.failed} == {"datasets", "mlcroissant"}
    assert named(found, "datasets").words.startswith(f"datasets {version('datasets')}: ")


def test_a_damaged_release_is_not_loaded(folder: Path) -> None:
    (folder / "statistics.json").write_text("{}", encoding="utf-8")
    found = verify(folder)
    assert [check.name for check in found.checks if check.ok is None] == ["loading"]


def test_a_release_is_not_loaded_if_asked(released: Path) -> None:
    assert not {"datasets", "mlcroissant"} & {check.name for check in verify(released, load=False).checks}


def test_what_is_not_installed_is_named_with_its_command(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("datasets", "mlcroissant"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    found = verify(released)
    assert found.ok
    assert named(found, "datasets").ok is None
    assert "pip install 'poolwright[huggingface]'" in named(found, "datasets").words
    assert "pip install 'poolwright[croissant]'" in named(found, "mlcroissant").words
    strange = next(check_loaders([Loader("not_there", with_pandas.load, "not-there")], released, None, False))  # type: ignore[arg-type]
    assert strange.words.endswith("pip install not-there")


def test_a_crash_is_a_failed_check(released: Path) -> None:
    check = loaded(failing.crash, released)
    assert check.ok is False
    assert check.words == "its process ended with signal 9"


def test_loaders_have_no_network(released: Path) -> None:
    assert loaded(failing.connect, released).words.endswith("OSError: a release is verified without network")


def test_a_loader_with_a_database_reaches_this_machine_alone(released: Path) -> None:
    loader = Loader("json", failing.connect_here, local=True)
    check = next(iter(check_loaders([loader], released, ReleaseRecord.load(released), False)))
    assert check.ok, check.words
    assert check.words.endswith("a release is verified without network")


def test_the_cause_of_an_error_is_given_on_one_line(released: Path) -> None:
    assert loaded(failing.chain, released).words.endswith("KeyError: 'the cause,\\non two lines'")


def test_loaders_are_offline_and_leave_nothing(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    offline, silent, cache, token, own, full = json.loads(
        loaded(failing.look, released, full=True).words.partition(": ")[2]
    )
    assert (offline, silent, token, full) == ("1", "1", None, True)
    assert cache == own
    assert not Path(own).exists()


def test_a_loader_that_takes_too_long_is_stopped(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "SECONDS", 1)
    check = loaded(failing.wait, released)
    assert check.ok is None
    assert check.words == "skipped: not loaded within 1 s; --full waits for it"


@pytest.mark.parametrize("full", [False, True])
def test_a_large_release_is_streamed(released: Path, monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    monkeypatch.setattr(with_datasets, "SMALL", 0)
    monkeypatch.setattr(with_pandas, "SMALL", 0)
    release = ReleaseRecord.load(released)
    read = 130 if full else 8 * len(release.files)
    wrong, words = with_datasets.load(released, release, full)
    assert (wrong, words) == ([], f"load_dataset streams 2 splits; {read} rows read, with their images")
    wrong, words = with_pandas.load(released, release, full)
    assert (wrong, words.split(" with ")[0].split(" at ")[0]) == ([], f"reads {read} rows")


def test_records_of_large_files_are_read_only_if_all_are(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = ReleaseRecord.load(released)
    monkeypatch.setattr(with_mlcroissant, "SMALL", 0)
    assert "first records: 2 of splits, 3 of classes, 40 of rows" in with_mlcroissant.load(released, release, False)[1]
    monkeypatch.setattr(with_mlcroissant, "LARGEST", 0)
    assert "only with --full" in with_mlcroissant.load(released, release, False)[1]
    assert "130 of rows" in with_mlcroissant.load(released, release, True)[1]


def test_rows_that_a_library_leaves_out_are_found(toy: Table, tmp_path: Path, torchvision: Any) -> None:  # noqa: F811
    out = tmp_path / "out"
    layout = ImageFolderLayout(figures=False)
    layout.write(toy, out, ABOUT)
    release = ReleaseRecord.load(out)
    assert [loader.module for loader in layout.loaders(release)] == ["datasets", "torchvision"]
    assert "torchvision.datasets.ImageFolder" in (out / "README.md").read_text(encoding="utf-8")
    assert with_torchvision.load(out, release, True)[0] == []
    picture = next((out / "train").rglob("*.jpg"))
    picture.rename(picture.with_suffix(".avif"))
    wrong, _ = with_torchvision.load(out, release, False)
    assert wrong == ["ImageFolder finds 86 images in 'train', the release has 87"]
