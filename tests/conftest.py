"""Provides fixtures that all tests share."""

from __future__ import annotations

import gc
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from PIL import Image
from xxhash import xxh3_128_hexdigest

from poolwright.models.classifiers import training
from poolwright.models.encoders.onnx import OnnxEncoder
from poolwright.release.card.figures.drawing import RECENT

REPOSITORY = Path(__file__).resolve().parent.parent


def real_data_folder() -> Path:
    """Return the folder of the real data: POOLWRIGHT_REAL_DATA, else ../shared/data next to the repository."""
    named = os.environ.get("POOLWRIGHT_REAL_DATA")
    return Path(named) if named else REPOSITORY.parent / "shared" / "data"


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of temporary files that all workers of pytest-xdist share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; the test is skipped if there is none."""
    folder = real_data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set POOLWRIGHT_REAL_DATA")
    return folder


@pytest.fixture(scope="session", autouse=True)
def quick_speed_figures() -> Iterator[None]:
    """Classifiers measure their speed, a figure of the report, for no longer than it takes to have one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_TIMED_SECONDS", 0.001)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_disk() -> Iterator[None]:
    """Nothing is flushed to the disk, which takes milliseconds each time: only a power cut would show the difference.

    Tests of crashes put a disk of their own in its place, which loses what was not flushed.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(autouse=True)
def quick_verification(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` loads releases only in tests that are marked so: each time takes seconds and several processes."""
    if request.node.get_closest_marker("loads") is None:
        monkeypatch.setattr("poolwright.release.verify.check_loaders", lambda *_: iter(()))


class QuickFigures:
    """Draws the figures of cards and clusters only in tests marked `draws`: one of them takes as long as many tests."""

    draws = False
    png, svg = FigureCanvasAgg.print_png, FigureCanvasSVG.print_svg

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Look for the mark, before any fixture of the test runs."""
        QuickFigures.draws = item.get_closest_marker("draws") is not None
        RECENT.clear()

    @staticmethod
    @wraps(FigureCanvasAgg.print_png)
    def print_png(canvas: FigureCanvasAgg, to: Any, **options: Any) -> None:
        """Draw, or write a small picture instead."""
        if QuickFigures.draws:
            QuickFigures.png(canvas, to, **options)
        else:
            Image.new("RGB", (8, 8)).save(to, "PNG")

    @staticmethod
    @wraps(FigureCanvasSVG.print_svg)
    def print_svg(canvas: FigureCanvasSVG, to: Any, **options: Any) -> None:
        """Draw, or write a small picture instead."""
        if QuickFigures.draws:
            QuickFigures.svg(canvas, to, **options)
        elif isinstance(to, io.TextIOBase):
            to.write(_EMPTY)
        else:
            Path(to).write_text(_EMPTY)


_EMPTY = "<svg xmlns='http://www.w3.org/2000/svg'/>"


LONGEST = (
    "docs/test_docs.py", "run/test_ray.py", "conformance/test_real_pictures.py", "conformance/test_maps.py",
    "conformance/test_whole_recipe.py", "run/test_every_step_runs.py", "conformance/test_geoyfcc.py",
    "train/test_features.py", "run/test_cluster.py", "fetch/test_nodes_of_ray.py", "steps/test_every_step.py",
    "release/test_every_layout.py", "studio/test_one_judge.py", "conformance/test_retrieval.py", "test_examples.py",
    "plugins/test_example.py", "studio/test_looking_browser.py", "cli/test_json.py", "run/test_filter_faults.py",
    "studio/test_exploring_browser.py", "studio/test_verify_browser.py", "conformance/test_clear.py",
    "hub/test_push.py", "studio/test_durable.py", "models/test_networks.py", "pools/test_every_pool.py",
    "kernels/test_ranks.py", "models/test_training.py", "conformance/test_reproductions.py",
    "conformance/test_imagenet_glt.py", "models/test_against_sklearn.py", "conformance/test_relabel.py",
    "conformance/test_two_sources.py", "hub/test_pull.py", "kernels/test_accuracy.py",
)  # fmt: skip
"""Files that take longest, in seconds of their processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left with one of them at the end."""
    places = {f"tests/{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect tests without the garbage collector: modules and tests live as long as the session."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Spare the garbage collector the modules and the thousands of tests that live as long as the session."""
    spare_modules()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Spare it, after a file of tests, the modules that these have imported: going through PyTorch takes 150 ms."""
    if nextitem is not None and nextitem.path != item.path and len(sys.modules) >= spared_modules[0] + _MANY_MODULES:
        spare_modules()


def spare_modules() -> None:
    """Collect what is garbage now; the garbage collector passes over all that is left from now on."""
    gc.collect()
    gc.freeze()
    spared_modules[0] = len(sys.modules)


spared_modules = [0]
_MANY_MODULES = 300


def keep_bytecode() -> None:
    """Let this process and those that tests start keep bytecode, even where the environment says that none is kept.

    Else each of them compiles anew what it imports, which takes longer than what most of them do.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    """Make figures quick for the whole session."""
    keep_bytecode()
    config.pluginmanager.register(QuickFigures())
    FigureCanvasAgg.print_png, FigureCanvasSVG.print_svg = QuickFigures.print_png, QuickFigures.print_svg


@pytest.fixture(scope="session")
def embedded_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """ONNX image encoders compute the vector of a prepared picture once in all tests that use this fixture.

    Several tests embed the same real pictures with the same network, which takes minutes. All workers of pytest-xdist
    share the vectors.
    """
    folder = shared_folder(tmp_path_factory) / "embedded"
    folder.mkdir(exist_ok=True)
    forward = OnnxEncoder._forward

    def remembered(self: OnnxEncoder, pixels: np.ndarray) -> np.ndarray:
        paths = [folder / f"{self.weights}-{xxh3_128_hexdigest(one.tobytes())}.npy" for one in pixels]
        new = [place for place, path in enumerate(paths) if not path.exists()]
        for place, vector in zip(new, forward(self, pixels[new]) if new else (), strict=True):
            partial = folder / f"{token_hex(8)}.npy"
            np.save(partial, vector)
            partial.rename(paths[place])
        return np.stack([np.load(path) for path in paths])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnnxEncoder, "_forward", remembered)
        yield


@dataclass(frozen=True)
class MadeDemo:
    """The small demo: `folder` holds `demo/`; what the command printed."""

    folder: Path
    out: str
    err: str


@pytest.fixture(scope="session")
def made_demo(tmp_path_factory: pytest.TempPathFactory) -> MadeDemo:
    """`poolwright demo --images 600`, run once. Tests read it, and write next to it under their own names."""
    from tests.calling import call

    made = shared_folder(tmp_path_factory) / "demo"
    with FileLock(f"{made}.lock"):
        if not (made / "said.json").exists():  # made in its place: the run knows where its encoder is
            made.mkdir(exist_ok=True)
            called = call("demo", "--images", "600", "--to", "demo", folder=made)
            assert called.code == 0, called.err
            (made / "said.json").write_text(json.dumps([called.out, called.err]))
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return MadeDemo(folder, *json.loads((folder / "said.json").read_text()))
