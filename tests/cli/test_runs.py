"""Commands over runs and releases, as a user gives them: on the small demo, and on recipes over its tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.calling import Called, call
from tests.conftest import MadeDemo

RECIPE = """\
recipe: 1
name: chosen
seed: 5
pools:
  described: {{read: table, path: "{demo}/run/tables/described/part-*.parquet", images: {demo}/world/images}}
tables:
  few:
    from: described
    steps:
      - top: {{by: similarity, n: 60}}
  fewer:
    from: few
    steps:
      - cap: {{group: label, n: 2}}
releases:
  - {{table: fewer, layout: huggingface, images: none, figures: false, to: out/fewer}}
figures:
  - {{name: evenness, table: fewer, measure: balance, group: [label]}}
"""


@pytest.fixture
def chosen(tmp_path: Path, made_demo: MadeDemo) -> Path:
    """A folder with a recipe over what the demo described."""
    (tmp_path / "chosen.yaml").write_text(RECIPE.format(demo=made_demo.folder / "demo"), encoding="utf-8")
    return tmp_path


def ran(folder: Path, *arguments: str) -> Called:
    called = call("run", "chosen.yaml", *arguments, folder=folder)
    assert called.code == 0, called.err
    return called


def test_the_demo_ends_with_figures_against_the_truth(made_demo: MadeDemo) -> None:
    lines = [line.split() for line in made_demo.out.splitlines()]
    precision = next(float(words[1]) for words in lines if words[:1] == ["precision"] and "." in words[1])
    assert precision >= 0.95
    caught = next(words[3] for words in lines if words[:3] == ["broken", "files", "caught"])
    assert len(set(caught.split("/"))) == 1
    assert "poolwright studio " in made_demo.out
    assert made_demo.out.rstrip().endswith("report.html")
    assert (made_demo.folder / "demo" / "run" / "report.html").stat().st_size > 100_000


def test_progress_is_on_standard_error_alone(made_demo: MadeDemo) -> None:
    assert "described: done, 596 of 600 rows kept\n" in made_demo.err
    assert "described: done" not in made_demo.out


def test_piped_output_is_plain_text(made_demo: MadeDemo) -> None:
    run = made_demo.folder / "demo" / "run"
    uid = pq.read_table(run / "tables" / "domains" / "part-00000.parquet", columns=["uid"])["uid"][0].as_py()
    outputs = [call("show", run).out, call("why", run, uid).out, call("steps").out, call("recipes").out, made_demo.out]
    for line in "\n".join(outputs).splitlines():
        assert "\x1b" not in line
        assert line == line.rstrip()
    funnel = next(line for line in outputs[0].splitlines() if line.startswith(" largest"))
    assert funnel.endswith("and 1 more"), "a long line is not cut"


def test_show(made_demo: MadeDemo) -> None:
    called = call("show", made_demo.folder / "demo" / "run")
    assert called.code == 0
    assert called.out.index("described: 596 of 600 rows kept (99.3%)") < called.out.index("\ndomains: ")
    for words in ("the image file is empty", "kept similarity >= ", "dropped: Oceania"):
        assert words in called.out


def test_why_of_a_kept_a_dropped_and_an_unknown_row(made_demo: MadeDemo) -> None:
    demo = made_demo.folder / "demo"
    kept = pq.read_table(demo / "run" / "tables" / "domains" / "part-00000.parquet", columns=["uid"])["uid"][0].as_py()
    told = call("why", demo / "run", kept).out
    assert f"described: {kept} was kept" in told
    assert f"domains: {kept} was kept" in told
    assert "similarity = 0." in told
    truth = pq.read_table(demo / "world" / "truth.parquet")
    broken = truth.filter(truth["corrupt"])["uid"][0].as_py()
    assert f"described: {broken} was dropped" in call("why", demo / "run", broken).out
    unknown = call("why", demo / "run", "nobody")
    assert (unknown.code, unknown.out) == (1, "")
    assert "uid 'nobody'" in unknown.err


def test_plan_before_between_and_after(chosen: Path) -> None:
    def states() -> list[list[str]]:
        lines = call("plan", "chosen.yaml", folder=chosen).out.splitlines()
        return [line.split()[:5] for line in lines if line.startswith(" few")]

    assert states() == [["few", "pools.described", "new", "596", "0/1"], ["fewer", "tables.few", "waits", "?", "?"]]
    assert not (chosen / "runs").exists()
    ran(chosen, "--table", "few")
    assert [row[2] for row in states()] == ["done", "new"]
    ran(chosen)
    assert states() == [["few", "pools.described", "done", "596", "1/1"], ["fewer", "tables.few", "done", "60", "1/1"]]


def test_run_prints_funnels_releases_and_figures_last(chosen: Path) -> None:
    called = ran(chosen)
    lines = called.out.splitlines()
    assert lines[0] == "few: 60 of 596 rows kept (10.1%)"
    assert lines[-1].startswith("evenness ")
    assert any(line.startswith(f"released {chosen / 'out' / 'fewer'} (") for line in lines)
    assert call("verify", "out/fewer", folder=chosen).code == 0


def test_run_again_changes_nothing(chosen: Path) -> None:
    first = ran(chosen)
    before = {path: path.stat().st_mtime_ns for path in (chosen / "runs" / "chosen" / "tables").rglob("*")}
    again = ran(chosen)
    assert {path: path.stat().st_mtime_ns for path in (chosen / "runs" / "chosen" / "tables").rglob("*")} == before
    assert "few: already done, 60 of 596 rows kept" in again.err
    assert "unchanged and verified" in again.out
    assert again.out.splitlines()[0] == first.out.splitlines()[0]


def test_a_changed_number_is_refused_by_name_until_fresh(chosen: Path) -> None:
    ran(chosen)
    change = ("--set", "tables.few.steps.top.n=50")
    refused = call("run", "chosen.yaml", *change, folder=chosen)
    assert (refused.code, refused.out) == (1, "")
    assert "recipe: step 1 (top).n: 60 -> 50" in refused.err
    assert "--fresh few" in refused.err
    ran(chosen, "--no-release")
    # One command makes the table anew, those that come from it, and their release.
    assert ran(chosen, *change, "--fresh", "few").out.startswith("few: 50 of 596 rows kept")
    assert call("verify", "out/fewer", folder=chosen).code == 0
    again = ran(chosen, *change)
    assert again.out.startswith("few: 50 of 596 rows kept")
    assert "unchanged" in again.out


def test_another_run_folder(chosen: Path) -> None:
    ran(chosen, "--run", "elsewhere", "--no-release", "--workers", "1")
    assert (chosen / "elsewhere" / "tables" / "fewer" / "table.json").exists()
    assert not (chosen / "runs").exists()
    assert not (chosen / "out").exists()
    assert call("show", "elsewhere", folder=chosen).out.startswith("few: 60 of 596")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--table", "fe"), "the recipe has no table 'fe'; did you mean 'few'?"),
        (("--fresh", "fewwer"), "the recipe has no table 'fewwer'; did you mean 'fewer'?"),
        (("--engine", "spark"), "unknown engine 'spark'; known: local, ray"),
        (("--engine", "native"), "the engine 'native' is called 'local' now; write: --engine local"),
        (("--address", "ray://head:10001"), "an address is for the engine 'ray'"),
        (("--set", "tables.few.steps.cap.n=3"), "tables.few.steps has no 'cap'"),
    ],
)
def test_wrong_options_of_run(chosen: Path, arguments: tuple[str, ...], words: str) -> None:
    called = call("run", "chosen.yaml", *arguments, folder=chosen)
    assert (called.code, called.out) == (2, "")
    assert words in called.err
    assert not (chosen / "runs" / "chosen" / "tables").exists()


def test_report_to_a_file(chosen: Path, made_demo: MadeDemo) -> None:
    ran(chosen, "--no-release")
    called = call("report", "runs/chosen", "--to", "look.html", folder=chosen)
    assert (called.code, called.out) == (0, "open look.html\n")
    assert "few" in (chosen / "look.html").read_text(encoding="utf-8")


def test_verify_a_whole_and_a_damaged_release(tmp_path: Path, made_demo: MadeDemo) -> None:
    release = tmp_path / "release"
    shutil.copytree(made_demo.folder / "demo" / "release", release)
    whole = call("verify", release, "--full")
    assert (whole.code, whole.err) == (0, "")
    assert whole.out.endswith("the release verifies\n")
    shard = next(release.glob("data/train-*.parquet"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    damaged = call("verify", release)
    assert damaged.code == 1
    assert "BROKEN  checksums: " in damaged.out
    assert shard.name in damaged.out
    assert damaged.out.endswith("the release does not verify\n")
