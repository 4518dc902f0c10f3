"""Runs tell the truth: after a change, a failure or a kill, what a run says and keeps is what it read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright import api
from poolwright.annotation.exchange.worklist import answer_files
from poolwright.core.errors import ChangedError, InputError, PoolwrightError, RecipeError
from poolwright.core.table import Table
from poolwright.release.folder import find_release, release_lock
from poolwright.run.inputs import Inputs
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


def test_two_recipe_files_of_one_name_do_not_share_a_run(project: Path) -> None:
    api.run(project / "herbs.yaml", release=False)
    (project / "other.yaml").write_text(RECIPE.replace("large", "tall"))
    before = state_of(project / "runs")
    called = call("run", "other.yaml", folder=project)
    assert called.code == 1
    assert "holds a run of another recipe" in called.err
    assert "--run" in called.err
    assert state_of(project / "runs") == before
    (project / "herbs.yaml").rename(project / "renamed.yaml")
    api.run(project / "renamed.yaml", release=False)


def test_why_of_a_source_that_changed_tells_what_the_table_recorded(project: Path) -> None:
    api.run(project / "herbs.yaml", release=False)
    write_plates(project, first=100)
    first, *_ = api.why(project / "runs" / "herbarium", "p1")
    assert not first.kept
    assert "content changed" in first.changed[0]
    assert api.why(project / "runs" / "herbarium", "p7")[0].kept


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


def test_one_process_writes_a_release_at_a_time(tmp_path: Path) -> None:
    with release_lock(tmp_path / "out"):
        with pytest.raises(PoolwrightError, match="another process is using it"), release_lock(tmp_path / "out"):
            pass
    assert not list(tmp_path.iterdir())


def test_targets_of_releases_that_cannot_be_meant_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = project / "herbs.yaml"
    recipe.write_text(RECIPE.replace("to: out", 'to: "s3://shelf/out"'))
    with pytest.raises(RecipeError, match="is a URL"):
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


def test_a_damaged_done_mark_is_a_unit_that_is_made_again(tmp_path: Path) -> None:
    mark = done_mark(tmp_path, 0)
    mark.parent.mkdir(parents=True)
    for text in ("", "{}", '{"unit": 0', "[]"):
        mark.write_text(text)
        assert done_units(tmp_path, 1) == {}
