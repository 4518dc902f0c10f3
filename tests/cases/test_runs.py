"""Runs tell the truth: after a change, a failure or a kill, what a run says and keeps is what it read."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright import api
from poolwright.annotation.exchange.worklist import answer_files
from poolwright.api.releasing import write_release
from poolwright.core.errors import ChangedError, InputError, PoolwrightError, RecipeError, ReleaseError, TooManyBad
from poolwright.core.pool import Part
from poolwright.core.table import Table
from poolwright.measure.store import _hidden
from poolwright.pools.table import TablePool
from poolwright.release.folder import find_release, release_lock
from poolwright.run.batches import Flow, stage_folder
from poolwright.run.run import Run, open_run
from poolwright.run.sources.inputs import Inputs
from poolwright.run.write import done_mark, done_units
from poolwright.studio.opened import PictureCache
from tests.calling import call

RECIPE = """recipe: 1
name: herbarium
pools: {plates: {read: table, path: plates.parquet}}
tables:
  large: {from: plates, steps: [{where: height >= 4}]}
  few: {from: large, steps: [{sample: {n: 3}}]}
releases: [{table: few, layout: huggingface, images: none, figures: false, to: out}]
"""


def write_plates(folder: Path, first: int = 0) -> None:
    table = pa.table({"uid": [f"p{row}" for row in range(12)], "height": list(range(first, first + 12))})
    pq.write_table(table, folder / "plates.parquet")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_plates(tmp_path)
    (tmp_path / "herbs.yaml").write_text(RECIPE)
    return tmp_path


def state_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "run.lock"}


def test_one_command_makes_a_table_what_comes_from_it_and_the_release_anew(project: Path) -> None:
    recipe = project / "herbs.yaml"
    api.run(recipe)
    recipe.write_text(RECIPE.replace("height >= 4", "height >= 6"))
    before = state_of(project / "runs")
    with pytest.raises(ChangedError, match=r"nothing was touched.*start the table over, with 'few'.*: --fresh large$"):
        api.run(recipe)
    assert state_of(project / "runs") == before
    made = api.run(recipe, fresh=["large"])
    assert made.tables["large"].record.rows_kept == 6
    assert made.tables["few"].record.rows_in == 6
    assert made.releases[0].fresh


def test_fresh_takes_along_what_comes_after_and_says_so(project: Path) -> None:
    api.run(project / "herbs.yaml")
    called = call("run", "herbs.yaml", "--fresh", "large", folder=project)
    assert "made anew, too, since they come from tables that are: 'few'" in called.err
    assert "few: already done" not in called.err
    assert "few: already done" in call("run", "herbs.yaml", folder=project).err


def test_a_kill_in_a_fresh_run_leaves_what_the_plain_command_continues(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = project / "herbs.yaml"
    api.run(recipe, release=False)
    recipe.write_text(RECIPE.replace("height >= 4", "height >= 6"))
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_begin", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            api.run(recipe, fresh=["large"], release=False)
    assert api.run(recipe, release=False).tables["few"].record.rows_in == 6


def _interrupted(run: Run) -> None:
    raise KeyboardInterrupt


def test_a_stale_table_is_known_everywhere(project: Path) -> None:
    recipe, run = project / "herbs.yaml", project / "runs" / "herbarium"
    result = api.run(recipe)
    assert [table.stale for table in result.tables.values()] == [None, None]
    recipe.write_text(RECIPE.replace("height >= 4", "height >= 6"))
    plan = api.plan(recipe)
    assert [(one.state, one.fresh) for one in plan] == [("changed", ("large",)), ("stale", ("large",))]
    assert "large: recipe: step 1 (where).expression" in call("plan", "herbs.yaml", folder=project).out
    called = call("run", "herbs.yaml", "--fresh", "large", "--table", "large", folder=project)
    assert "stale from now, since only some tables were asked for: 'few'" in called.err
    words = "table 'few' is stale: it was made from an earlier 'large'. Run the recipe with: --fresh few"
    assert words in call("show", run).out.replace("\n", " ")
    assert [table.stale is None for table in api.show(run)] == [True, False]
    assert json.loads(call("--json", "show", run).out)["tables"][1]["stale"] == words
    assert words.replace("'", "&#39;") in api.report(run).read_text(encoding="utf-8")
    assert [(one.state, one.fresh) for one in api.plan(recipe)] == [("done", ()), ("stale", ("few",))]
    assert "make these tables anew with: --fresh few" in call("plan", "herbs.yaml", folder=project).out
    with pytest.raises(ReleaseError, match="stale"):
        write_release(open_run(run), open_run(run).recipe.releases[0], False, ())
    assert api.run(recipe, fresh=["few"]).releases[0].fresh
    assert [table.stale for table in api.show(run)] == [None, None]


def test_two_recipe_files_of_one_name_do_not_share_a_run(project: Path) -> None:
    api.run(project / "herbs.yaml", release=False)
    (project / "other.yaml").write_text(RECIPE.replace("large", "tall"))
    before = state_of(project / "runs")
    for command in ("run", "plan"):
        called = call(command, "other.yaml", folder=project)
        assert called.code == 1
        assert "holds a run of another recipe" in called.err
        assert "--run" in called.err
    assert state_of(project / "runs") == before
    api.run(project / "herbs.yaml", project / "named", release=False)
    named = call("run", "other.yaml", "--run", "named", "--table", "tall", folder=project)
    assert "holds a run of" in named.err
    assert "other.yaml goes on with it" in named.err
    (project / "other.yaml").unlink()
    (project / "herbs.yaml").rename(project / "renamed.yaml")
    api.run(project / "renamed.yaml", release=False)


def test_why_of_a_source_that_changed_tells_what_the_table_recorded(project: Path) -> None:
    api.run(project / "herbs.yaml", release=False)
    write_plates(project, first=100)
    first, *_ = api.why(project / "runs" / "herbarium", "p1")
    assert not first.kept
    assert "content changed" in first.changed[0]
    assert api.why(project / "runs" / "herbarium", "p7")[0].kept


def test_why_of_a_project_that_was_moved_or_copied_reads_its_own_files(project: Path) -> None:
    api.run(project / "herbs.yaml", release=False)
    copy = shutil.copytree(project, project.with_name("copy"))
    pq.write_table(pa.table({"uid": ["p1"], "height": [99.0]}), project / "plates.parquet")
    story, *_ = api.why(copy / "runs" / "herbarium", "p1")
    assert (story.kept, story.changed) == (False, ())
    shutil.rmtree(project)
    assert api.why(copy / "runs" / "herbarium", "p7")[0].kept


def test_an_input_that_is_replaced_while_it_is_read_is_no_finished_table(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Inputs.look

    def then_replace(self: Inputs, *given: object) -> object:
        found = look(self, *given)  # type: ignore[arg-type]
        write_plates(project, first=5)
        return found

    monkeypatch.setattr(Inputs, "look", then_replace)
    with pytest.raises(ChangedError, match=r"plates.parquet.*the table was removed"):
        api.run(project / "herbs.yaml", release=False)
    monkeypatch.undo()
    assert api.run(project / "herbs.yaml", release=False).tables["large"].record.rows_kept == 12


def test_an_input_that_changes_in_place_with_its_old_time_is_noticed(project: Path) -> None:
    api.run(project / "herbs.yaml", release=False)
    path = project / "plates.parquet"
    status, content = path.stat(), bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ChangedError, match=r"plates.parquet: content changed"):
        api.run(project / "herbs.yaml", release=False)


def test_an_image_that_a_table_names_is_an_input(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    rows = {"uid": list("abc"), "image_path": ["0.png", "1.png", "gone.png"]}
    pq.write_table(pa.table(rows), tmp_path / "m.parquet")
    text = "recipe: 1\nname: r\npools: {p: {read: table, path: m.parquet, images: .}}\n"
    (tmp_path / "r.yaml").write_text(text + "tables: {t: {from: p, max_bad: 1, steps: [size]}}\n")
    api.run(tmp_path / "r.yaml")
    Image.new("RGB", (9, 5)).save(tmp_path / "1.png")
    with pytest.raises(ChangedError, match=r"1.png: content changed"):
        api.run(tmp_path / "r.yaml")


@pytest.mark.parametrize("more", [-3, 3])
@pytest.mark.parametrize("steps", ["[]", "[{top: {by: x, n: 3}}]", "[{sample: {n: 4}}]", "[{where: x > 3}]"])
def test_a_part_with_other_rows_than_were_counted_is_quarantined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int, steps: str
) -> None:
    for name in "ab":
        table = pa.table({"uid": [f"{name}{row}" for row in range(10)], "x": list(range(10))})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    text = (
        "recipe: 1\nname: r\nmax_bad: %s\npools: {p: {read: table, path: '*.parquet'}}\n"
        f"tables: {{t: {{from: p, steps: {steps}}}}}\n"
    )
    counted = TablePool.parts

    def parts(self: TablePool) -> list[Part]:
        first, second = counted(self)
        return [first.model_copy(update={"rows": 10 + more}), second]

    monkeypatch.setattr(TablePool, "parts", parts)
    (tmp_path / "r.yaml").write_text(text % "1%")
    with pytest.raises(TooManyBad, match=f"a.parquet: it has 10 rows, and {10 + more} when they were counted"):
        api.run(tmp_path / "r.yaml")
    (tmp_path / "r.yaml").write_text(text % "60%")
    table = api.run(tmp_path / "r.yaml", fresh=["t"]).tables["t"]
    assert table.record.rows_in == 10
    assert {uid[0] for uid in table.read(["uid"])["uid"].to_pylist()} == {"b"}


def test_a_part_that_rotted_is_in_no_later_table_and_no_release(project: Path) -> None:
    made = api.run(project / "herbs.yaml", tables=["large"]).tables["large"]
    part = made.folder / made.record.parts[0].file
    part.write_bytes(part.read_bytes()[:-1] + b"\0")
    with pytest.raises(InputError, match=r"part-00000.parquet: the file is damaged .* --fresh large"):
        api.run(project / "herbs.yaml")
    with pytest.raises(InputError, match=r"--fresh large"):
        Table(made.folder).check_files()


@pytest.mark.parametrize("name", ["table.json", "identity.json"])
def test_a_damaged_record_is_one_line(project: Path, name: str) -> None:
    made = api.run(project / "herbs.yaml", tables=["large"]).tables["large"]
    (made.folder / name).write_text('{"half": ')
    with pytest.raises(PoolwrightError, match=r"damaged(.|\n)*--fresh large"):
        api.run(project / "herbs.yaml")
    assert api.run(project / "herbs.yaml", fresh=["large"]).tables["large"].record.rows_kept == 8


def test_a_folder_in_place_of_a_record_is_one_line(project: Path) -> None:
    made = api.run(project / "herbs.yaml", tables=["large"]).tables["large"]
    for path, match in (
        (made.folder.parent.parent / "run.json", "damaged"),
        (made.folder / "identity.json", "damaged"),
    ):
        path.unlink()
        path.mkdir()
        with pytest.raises(PoolwrightError, match=match):
            api.why(project / "runs" / "herbarium", "p1") if path.name == "run.json" else api.run(
                project / "herbs.yaml"
            )
        path.rmdir()


@pytest.mark.parametrize(
    ("name", "command"),
    [("part-00000.parquet", "run"), ("part-00000.parquet", "report"), ("states/01-where.json", "why")],
)  # fmt: skip
def test_a_damaged_file_of_a_finished_table_is_one_line_for_every_reader(
    project: Path, name: str, command: str
) -> None:
    api.run(project / "herbs.yaml", release=False)
    (project / "runs/herbarium/tables/large" / name).write_bytes(b"\xffhalf")
    given = {"run": ["herbs.yaml"], "report": ["runs/herbarium"], "why": ["runs/herbarium", "p7"]}[command]
    called = call(command, *given, folder=project)
    assert called.code == 1
    assert re.search(rf"error: .*{name}: the file is damaged.*--fresh large", called.err)


def test_a_damaged_table_of_a_state_is_in_no_later_table(project: Path) -> None:
    text = RECIPE.replace("{where: height >= 4}", "{top: {by: height, n: 8}}")
    (project / "herbs.yaml").write_text(text)
    made = api.run(project / "herbs.yaml", tables=["large"]).tables["large"]
    state = next((made.folder / "states").glob("*.parquet"))
    pq.write_table(pq.read_table(state), state, compression="none")  # can be read, and is not what was written
    with pytest.raises(InputError, match=rf"{state.name}: the file is damaged .*--fresh large"):
        api.run(project / "herbs.yaml")


def test_a_changed_list_is_named(project: Path) -> None:
    (project / "gone.txt").write_text("p5\n")
    (project / "herbs.yaml").write_text(RECIPE.replace("{where: height >= 4}", "{remove: {file: gone.txt}}"))
    api.run(project / "herbs.yaml", release=False)
    (project / "gone.txt").write_text("p6\n")
    with pytest.raises(ChangedError, match=r"gone.txt: content changed"):
        api.run(project / "herbs.yaml", release=False)


def test_a_changed_variable_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "herbs.yaml").write_text(RECIPE.replace("{where: height >= 4}", '{where: "height >= ${LEAST}"}'))
    monkeypatch.setenv("LEAST", "4")
    api.run(project / "herbs.yaml", release=False)
    monkeypatch.setenv("LEAST", "5")
    with pytest.raises(ChangedError, match="LEAST"):
        api.run(project / "herbs.yaml", release=False)


def test_another_version_of_a_package_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("1.0", "1.1"):
        monkeypatch.setattr(
            sys.modules["poolwright.run.table_run"], "packages", lambda *_, now=version: {"herb-steps": now}
        )
        if version == "1.0":
            api.run(project / "herbs.yaml", release=False)
    with pytest.raises(ChangedError, match=r"herb-steps.*1\.0.*1\.1"):
        api.run(project / "herbs.yaml", release=False)


def test_damaged_timings_and_ledgers_cost_a_report_only_what_they_hold(project: Path) -> None:
    made = api.run(project / "herbs.yaml", release=False).tables["large"]
    (made.folder / "timings.json").write_text("nul")
    (made.folder / "dropped" / "part-00000.parquet").write_bytes(b"half")
    assert made.timings() == {}
    assert call("report", "runs/herbarium", folder=project).code == 0
    assert "the rows cannot be read: " in (project / "runs/herbarium/report.html").read_text()


def test_pairs_of_escapes_are_characters_and_halves_are_refused(project: Path) -> None:
    (project / "herbs.yaml").write_text(RECIPE.replace("height >= 4", "\"uid = '\\ud83d\\ude00'\""))
    assert api.Recipe.load(project / "herbs.yaml").tables["large"].steps[0].step.expression == "uid = '\U0001f600'"
    (project / "herbs.yaml").write_text(RECIPE.replace("height >= 4", "\"uid = '\\ud83d'\""))
    called = call("check", "herbs.yaml", folder=project)
    assert called.code == 2
    assert "herbs.yaml:5: tables.large.steps[0].where: an escape such as" in called.err


def test_one_process_writes_a_release_at_a_time(tmp_path: Path) -> None:
    with release_lock(tmp_path / "out"):
        with pytest.raises(PoolwrightError, match="another process is using it"), release_lock(tmp_path / "out"):
            pass
    assert not list(tmp_path.iterdir())


def test_targets_of_releases_that_cannot_be_meant_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = project / "herbs.yaml"
    recipe.write_text(RECIPE.replace("to: out", 'to: "hf://datasets/shelf/out"'))
    with pytest.raises(RecipeError, match="poolwright push"):
        api.check(recipe)
    monkeypatch.setenv("HOME", str(project / "home"))
    recipe.write_text(RECIPE.replace("to: out", "to: ~/out"))
    assert api.Recipe.load(recipe).releases[0].to == project / "home" / "out"
    (project / "link").symlink_to(project / "nowhere")
    (project / "outer").mkdir()
    (project / "outer" / "release.json").write_text("{}")
    for folder, words in (("link", "does not exist"), ("outer/inner", "inside the release")):
        with pytest.raises(PoolwrightError, match=words):
            find_release(project / folder, "", overwrite=False)


def test_a_half_written_file_of_answers_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "verdicts").mkdir()
    (tmp_path / "verdicts" / "studio.jsonl.0a1b2c3d.partial").write_text('{"uid": ')
    (tmp_path / "verdicts" / "ann.jsonl").write_text("")
    assert [path.name for path in answer_files(tmp_path)] == ["ann.jsonl"]


def test_the_studio_remembers_no_missing_and_no_replaced_picture(tmp_path: Path) -> None:
    cache, path = PictureCache(), tmp_path / "a.png"

    def image() -> bytes | str:
        return path.read_bytes() if path.exists() else "missing_file"

    assert cache.get(image, 160) == "missing_file"
    Image.new("RGB", (4, 4), (255, 0, 0)).save(path)
    red = cache.get(image, 160)
    Image.new("RGB", (4, 4), (0, 255, 0)).save(path)
    assert isinstance(red, bytes)
    assert cache.get(image, 160) not in (red, "missing_file")


def test_values_of_the_environment_are_written_nowhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELF", "a-secret-shelf")
    (project / "a-secret-shelf").mkdir()
    (project / "plates.parquet").rename(project / "a-secret-shelf" / "plates.parquet")
    text = RECIPE.replace("path: plates", 'path: "${SHELF}/plates').replace("parquet}}", 'parquet"}}')
    (project / "herbs.yaml").write_text(text)
    api.run(project / "herbs.yaml")
    for folder in ("runs", "out"):
        assert not [name for name, content in state_of(project / folder).items() if b"a-secret-shelf" in content]
    assert json.loads((project / "runs/herbarium/run.json").read_text())["data"]["pools"]["plates"]["path"][0] == "$"
    assert not api.why(project / "runs" / "herbarium", "p1")[0].kept
    (project / "a-secret-shelf" / "plates.parquet").unlink()
    called = call("run", "herbs.yaml", folder=project)
    assert called.code
    assert "a-secret-shelf" not in called.err
    assert "${SHELF}" in called.err


def test_the_demo_keeps_off_the_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("mine")
    called = call("demo", "--to", tmp_path)
    assert called.code == 2
    assert "holds other files" in called.err
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_the_demo_keeps_off_a_demo_of_other_images(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"images": 600, "seed": 2024}')
    called = call("demo", "--to", tmp_path, "--images", "700")
    assert called.code == 2
    assert "holds another demo" in called.err
    assert [path.name for path in tmp_path.iterdir()] == ["demo.json"]


def test_a_damaged_done_mark_is_a_unit_that_is_made_again(tmp_path: Path) -> None:
    mark = done_mark(tmp_path, 0)
    mark.parent.mkdir(parents=True)
    for text in ("", "{}", '{"unit": 0', "[]"):
        mark.write_text(text)
        assert done_units(tmp_path, 1) == {}


def test_what_killed_writers_left_is_swept_from_a_run_folder(project: Path) -> None:
    asked = RECIPE.replace("{sample: {n: 3}}", "{verify: {precision: 90%}}")
    (project / "herbs.yaml").write_text(asked.split("releases")[0])
    assert call("run", "herbs.yaml", folder=project).code == 3
    worklist = project / "runs" / "herbarium" / "verify" / "few"
    left = [worklist / "people.csv.00.partial", worklist / "sheets" / "s.csv.00.partial"]
    left += [project / "runs" / "herbarium" / "figures.json.00.partial", worklist / "verdicts" / "old.csv.00.partial"]
    writing = worklist / "verdicts" / "new.csv.00.partial"  # the studio may be writing this one
    for path in (*left, writing):
        path.write_text("half")
    os.utime(left[-1], (0, 0))
    assert call("run", "herbs.yaml", folder=project).code == 3
    assert [path.name for path in left if path.exists()] == []
    assert writing.exists()


@pytest.mark.parametrize("complete", [False, True])
def test_a_kill_between_the_renames_of_overwrite_leaves_a_release_that_the_next_run_finds(
    project: Path, complete: bool
) -> None:
    written = api.run(project / "herbs.yaml").releases[0].folder
    old = written.with_name(f".{written.name}.old")
    os.replace(written, old)
    if complete:
        shutil.copytree(old, written)
    assert not api.run(project / "herbs.yaml").releases[0].fresh
    assert written.is_dir()
    assert not old.exists()


@pytest.mark.parametrize("suffix", ["arrow", "codes.npy", "tallies.json"])
def test_a_damaged_stage_is_one_line(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "tables" / "leaves"
    stage = folder / stage_folder(1)
    stage.mkdir(parents=True)
    with pa.ipc.new_file(str(stage / "unit-00000.arrow"), pa.schema([("a", pa.int8())])) as writer:
        writer.write_table(pa.table({"a": pa.array([1], pa.int8())}))
    np.save(stage / "unit-00000.codes.npy", np.array([0, 2], np.uint16))
    (stage / "unit-00000.tallies.json").write_text("{}")
    flow = Flow(None, folder, ())  # type: ignore[arg-type]
    assert len(flow._read_stage(stage, 0)[0]) == 1
    damaged = stage / f"unit-00000.{suffix}"
    damaged.write_bytes(damaged.read_bytes()[:-1] if suffix == "tallies.json" else damaged.read_bytes()[:20])
    with pytest.raises(InputError, match=r"unit 0 are damaged.*--fresh leaves"):
        flow._read_stage(stage, 0)
    damaged.unlink()
    with pytest.raises(InputError, match="--fresh leaves"):
        flow._read_stage(stage, 0)


def test_values_of_the_environment_are_not_in_figures(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIND", "a-secret-kind")
    figure = 'figures: [{name: "even by ${KIND}", measure: balance, group: [uid], table: large}]\n'
    (project / "herbs.yaml").write_text(RECIPE.split("releases")[0] + figure)
    api.run(project / "herbs.yaml")
    stored = project / "runs" / "herbarium" / "figures.json"
    assert "a-secret-kind" not in stored.read_text()
    assert "${KIND}" in stored.read_text()

    def hide(value: str) -> str:
        return re.sub(r"/(old|new)/", "${DIR}", value)

    old, new = (
        _hidden({"files": f"/{name}/a"}, lambda data: {"files": hide(data["files"])}) for name in ("old", "new")
    )
    assert (old["files"], new["files"]) == ("${DIR}a", "${DIR}a")
    assert old != new  # a changed value is a figure to be measured again


def test_values_of_the_environment_are_refused_where_others_read_them(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "a-secret-token")
    shown = RECIPE.replace("figures: false", 'about_images: "${TOKEN}"')
    asked = RECIPE.replace("{sample: {n: 3}}", '{verify: {images: "https://shelf.example/${TOKEN}"}}')
    for text, where in ((shown, "the release"), (asked, "the sheets for people")):
        (project / "herbs.yaml").write_text(text)
        with pytest.raises(RecipeError, match=rf"herbs.yaml:\d+.*{where}.*TOKEN") as raised:
            api.check(project / "herbs.yaml")
        assert "a-secret-token" not in str(raised.value)


def test_an_error_in_a_pipe_is_one_line_and_lists_only_some_names(project: Path) -> None:
    table = {f"column_{number:03}": [1] for number in range(300)}
    pq.write_table(pa.table({"uid": ["a"], **table}), project / "plates.parquet")
    called = call("run", "herbs.yaml", folder=project)
    assert called.code == 2
    assert called.err.count("\n") == 1
    assert len(called.err) < 700


def test_a_folder_that_cannot_be_written_is_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(project / "runs"))

    monkeypatch.setattr(sys.modules[Run.__module__], "remember", refuse)
    called = call("run", "herbs.yaml", folder=project)
    assert called.code == 1
    assert called.err.splitlines()[-1].startswith(f"error: {project / 'runs'}: the file system is read-only")
    assert "Traceback" not in called.err
    monkeypatch.setattr(api, "check", refuse)
    called = call("check", "herbs.yaml", folder=project)
    assert (called.code, called.err) == (1, f"error: {project / 'runs'}: {os.strerror(errno.EROFS)}\n")
