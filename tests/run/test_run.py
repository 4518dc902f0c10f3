"""A run: counts, resume, refusals, and what may change nothing."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.core.errors import BadPart, ChangedError, InputError, PoolwrightError, TooManyBad
from poolwright.demo.demo import clip_folder
from poolwright.demo.world import draw_world
from poolwright.kernels.selection.hashing import hash64
from poolwright.run import admit
from poolwright.run.sources import source
from poolwright.run.table_run import TableRun
from poolwright.run.write import UnitResult, WriteUnit
from tests.run.pools import STEPS, final_files, make_recipe, make_rows, write_pool


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    write_pool(tmp_path, make_rows(6000))
    return tmp_path


def kept_rows(table: api.Table) -> pa.Table:
    return table.read().sort_by("uid")


def test_counts_reconcile_and_every_row_has_an_outcome(pool: Path) -> None:
    table = api.run(make_recipe(pool), pool / "run").tables["chosen"]
    record, ledger = table.record, table.ledger()
    assert record.rows_in == 6000 == record.rows_kept + ledger.num_rows
    places = set(zip(ledger["part"].to_pylist(), ledger["row"].to_pylist(), strict=True))
    assert len(places) == ledger.num_rows
    for row in record.funnel:
        assert row.rows_in == row.kept + sum(row.dropped.values())
    assert 0 < record.rows_kept < 4800


def test_twice_the_same_run_gives_the_same_bytes(pool: Path) -> None:
    api.run(make_recipe(pool), pool / "one")
    api.run(make_recipe(pool), pool / "two")
    assert final_files(pool / "one") == final_files(pool / "two")


def test_a_finished_run_is_not_repeated(pool: Path) -> None:
    first = api.run(make_recipe(pool), pool / "run").tables["chosen"]
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    api.run(make_recipe(pool), pool / "run")
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before


def test_what_a_kill_left_beside_a_finished_table_is_removed(pool: Path) -> None:
    first = api.run(make_recipe(pool), pool / "run").tables["chosen"]
    before = final_files(pool / "run")
    (first.folder / "work" / "done").mkdir(parents=True)
    (first.folder / "work" / "done" / "unit-00002.json").write_text("{}")
    api.run(make_recipe(pool), pool / "run")
    assert final_files(pool / "run") == before


@pytest.mark.parametrize("options", [{"workers": 1}, {"batch_rows": 97}, {"batch_rows": 1}])
def test_workers_and_batches_change_no_byte(
    pool: Path, options: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "UNIT_ROWS", 64 * 100)
    write_pool(pool, make_rows(250 if options == {"batch_rows": 1} else 600))
    api.run(make_recipe(pool), pool / "one")
    api.run(make_recipe(pool), pool / "two", **options)
    assert final_files(pool / "one") == final_files(pool / "two")


def test_order_and_cut_of_the_input_change_no_row(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    rows = make_rows(6000)
    write_pool(other, rows.take(np.random.default_rng(1).permutation(6000)), parts=3, row_group=317)
    one = kept_rows(api.run(make_recipe(pool), pool / "run").tables["chosen"])
    two = kept_rows(api.run(make_recipe(other), other / "run").tables["chosen"])
    assert one.equals(two)


def test_a_dear_step_before_a_fit_is_computed_once(pool: Path) -> None:
    table = api.run(make_recipe(pool), pool / "run").tables["chosen"]
    split_in_two = {
        "tables": {
            "labelled": {"from": "rows", "steps": STEPS[:1]},
            "chosen": {"from": "labelled", "steps": STEPS[1:]},
        }
    }
    other = api.run(make_recipe(pool, **split_in_two), pool / "other").tables["chosen"]
    assert kept_rows(table).equals(kept_rows(other))


def test_a_row_without_uid_and_a_repeated_uid_are_dropped_and_told(pool: Path) -> None:
    rows = make_rows(3000)
    uids = rows["uid"].to_pylist()
    uids[10], uids[20], uids[2500] = None, uids[19], uids[0]
    write_pool(pool, rows.set_column(0, "uid", pa.array(uids)))
    result = api.run(make_recipe(pool, steps=[]), pool / "run")
    record = result.tables["chosen"].record
    assert record.funnel[0].dropped == {"missing_uid": 1, "duplicate_uid": 2}
    assert record.rows_kept == 2997
    (story,) = api.why(pool / "run", uids[19])
    assert story.kept


@pytest.mark.parametrize("most", [6_000, 100])
def test_of_rows_with_one_uid_the_first_is_kept(pool: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(admit, "_AT_ONCE", most)
    monkeypatch.setattr(admit, "_HASHES_AT_ONCE", most)
    numbers = np.random.default_rng(3).integers(0, 1200, 6000)
    numbers[::50] = 10_000 + np.arange(120)
    uids = [f"photo-{number}" for number in numbers]
    write_pool(pool, make_rows(6000).set_column(0, "uid", pa.array(uids)))
    table = api.run(make_recipe(pool, steps=[], max_bad="100%"), pool / "run").tables["chosen"]
    assert table.read(["uid"])["uid"].to_pylist() == list(dict.fromkeys(uids))
    assert table.ledger().num_rows == 6000 - len(set(uids))


@pytest.mark.parametrize("most", [4_000_000, 100])
def test_uids_of_one_hash_stay_two(pool: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """What is refused does not depend on hashes, nor on whether rows are compared in memory or by partitions."""
    monkeypatch.setattr(admit, "_AT_ONCE", most)
    monkeypatch.setattr(admit, "_HASHES_AT_ONCE", most)
    monkeypatch.setattr(
        admit, "hash64", lambda uids, key: np.array([len(uid or "") for uid in uids.to_pylist()], np.uint64)
    )
    uids: list[str | None] = [f"photo-{number}" for number in range(1_000)]
    uids[7], uids[400], uids[401], uids[900] = None, "", "photo-2", "photo-2"
    write_pool(pool, make_rows(1_000).set_column(0, "uid", pa.array(uids).dictionary_encode()))
    table = api.run(make_recipe(pool, steps=[], max_bad="5%"), pool / "run").tables["chosen"]
    kept = [uid for uid in dict.fromkeys(uids) if uid]
    assert table.read(["uid"])["uid"].to_pylist() == kept
    assert table.record.funnel[0].dropped == {"missing_uid": 2, "duplicate_uid": 2}
    assert not (table.folder / "work").exists()


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("hashes", [1, 40, 2**64 - 1])
@pytest.mark.parametrize("sought", [0, 5, 1_000])
def test_rows_are_refused_whatever_their_hashes_are(
    pool: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool, hashes: int, sought: int
) -> None:
    if not in_memory:
        for name in ("_AT_ONCE", "_HASHES_AT_ONCE"):
            monkeypatch.setattr(admit, name, 20)
    monkeypatch.setattr(source, "UNIT_ROWS", 64 * 30)
    monkeypatch.setattr(admit, "_SOUGHT", sought)
    monkeypatch.setattr(admit, "hash64", lambda uids, key: hash64(uids, key) % np.uint64(hashes))
    generator = np.random.default_rng(hashes % 97)
    uids: list[str | None] = [f"photo-{number}" for number in generator.permutation(200)]
    for at, row in zip(generator.permutation(200)[:12], [None, "", *range(10)], strict=True):
        uids[at] = uids[int(row)] if isinstance(row, int) else row
    write_pool(pool, make_rows(200).set_column(0, "uid", pa.array(uids)))
    table = api.run(make_recipe(pool, steps=[], max_bad="10%"), pool / "run").tables["chosen"]
    kept = [uid for uid in dict.fromkeys(uids) if uid]
    assert table.read(["uid"])["uid"].to_pylist() == kept
    missing = sum(not uid for uid in uids)
    assert table.record.funnel[0].dropped == {"missing_uid": missing, "duplicate_uid": 200 - missing - len(kept)}


def test_uids_that_do_not_repeat_are_read_once(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admit, "UidRows", None)
    assert api.run(make_recipe(pool, steps=[]), pool / "run").tables["chosen"].record.rows_kept == 6_000


def test_too_many_bad_rows_stop_the_run(pool: Path) -> None:
    rows = make_rows(1000)
    write_pool(pool, rows.set_column(0, "uid", pa.array([None] * 100 + rows["uid"].to_pylist()[100:])))
    with pytest.raises(TooManyBad, match=r"100 of 1,000 rows are bad \(10.00%\), max_bad is 1.00%.*no uid"):
        api.run(make_recipe(pool, steps=[]), pool / "run")
    assert api.run(make_recipe(pool, steps=[], max_bad="10%"), pool / "run").tables["chosen"].record.rows_kept == 900


def test_a_truncated_shard_is_quarantined_and_named(pool: Path) -> None:
    path = pool / "rows" / "003.parquet"
    path.write_bytes(path.read_bytes()[:-2000])
    record = api.run(make_recipe(pool, max_bad="20%"), pool / "run").tables["chosen"].record
    (bad,) = record.quarantined
    assert "003.parquet" in bad.name
    assert record.rows_in == 5000
    with pytest.raises(TooManyBad, match=r"003\.parquet"):
        api.run(make_recipe(pool), pool / "strict")


def test_no_unit_from_before_a_quarantine_is_taken_as_done(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, quarantine, running, found = WriteUnit.__call__, TableRun._quarantine, set[int](), list[int]()

    def slow(self: WriteUnit, unit: int) -> UnitResult:
        if unit == 3 and not self.flow.quarantined:
            raise BadPart(3, "003.parquet", "it was cut short")
        running.add(unit)
        time.sleep(0.1)
        result = write(self, unit)
        running.remove(unit)
        return result

    def noted(self: TableRun, bad: BadPart) -> None:
        assert not running, "units are written while others are removed"
        files = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        written = {path: data for path, data in files.items() if "unit-" in path.name or "part-" in path.name}
        found.append(len(written))
        quarantine(self, bad)
        for path, data in written.items():  # a worker of another node was still writing
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    monkeypatch.setattr(source, "UNIT_ROWS", 64 * 500)
    monkeypatch.setattr(WriteUnit, "__call__", slow)
    monkeypatch.setattr(TableRun, "_quarantine", noted)
    steps = [{"top": {"by": "width", "fraction": 0.8}}]
    table = api.run(make_recipe(pool, steps=steps, max_bad="20%"), pool / "run", workers=4).tables["chosen"]
    assert found[0] >= 3 * 3, "mark, rows and ledger of units that ran while the part was found bad"
    assert [part.name.endswith("003.parquet") for part in table.record.quarantined] == [True]
    monkeypatch.undo()
    clean = pool / "clean"
    write_pool(clean, make_rows(6000))
    (clean / "rows" / "003.parquet").unlink()
    other = api.run(make_recipe(clean, steps=steps), clean / "run").tables["chosen"]
    assert kept_rows(table).equals(kept_rows(other))


def test_a_shard_broken_in_the_middle_leaves_nothing_of_itself(pool: Path) -> None:
    path = pool / "rows" / "003.parquet"
    data = bytearray(path.read_bytes())
    group = pq.ParquetFile(path).metadata.row_group(0)
    (vectors,) = (group.column(at) for at in range(group.num_columns) if "embedding" in group.column(at).path_in_schema)
    begin = vectors.dictionary_page_offset or vectors.data_page_offset
    data[begin : begin + 8] = b"\xff" * 8  # the head of a page: what follows cannot be told
    path.write_bytes(data)
    steps = [{"top": {"by": "width", "fraction": 0.8}}, STEPS[0]]  # the first is fitted before the vectors are read
    table = api.run(make_recipe(pool, steps=steps, max_bad="20%"), pool / "run").tables["chosen"]
    (bad,) = table.record.quarantined
    assert "003.parquet" in bad.name
    clean = pool / "clean"
    write_pool(clean, make_rows(6000))
    (clean / "rows" / "003.parquet").unlink()
    other = api.run(make_recipe(clean, steps=steps), clean / "run").tables["chosen"]
    assert kept_rows(table).equals(kept_rows(other))


def change_input(pool: Path) -> None:
    rows = make_rows(6000, seed=6)
    pq.write_table(rows.slice(0, 1000), pool / "rows" / "000.parquet", row_group_size=1000)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 8}, "seed: 7 -> 8"),
        ({"steps": [*STEPS[:5], {"cap": {"group": "label", "n": 300}}, *STEPS[6:]]}, r"step 6 \(cap\)\.n: 400 -> 300"),
        ({"steps": STEPS[:6]}, r"step 7 \(split\) is gone"),
    ],
)
def test_a_changed_recipe_or_seed_is_refused_by_name(pool: Path, changed: dict, named: str) -> None:
    api.run(make_recipe(pool), pool / "run")
    before = final_files(pool / "run")
    with pytest.raises(ChangedError, match=named):
        api.run(make_recipe(pool, **changed), pool / "run")
    assert final_files(pool / "run") == before
    api.run(make_recipe(pool, **changed), pool / "run", fresh=["chosen"])


def test_a_changed_input_is_refused_by_name(pool: Path) -> None:
    api.run(make_recipe(pool), pool / "run")
    change_input(pool)
    with pytest.raises(ChangedError, match=r"rows/000\.parquet: content changed"):
        api.run(make_recipe(pool), pool / "run")
    with pytest.raises(ChangedError, match=r"000\.parquet"):  # and again: the refusal is not forgotten
        api.run(make_recipe(pool), pool / "run")


def test_a_touched_input_is_no_change(pool: Path) -> None:
    api.run(make_recipe(pool), pool / "run")
    (pool / "rows" / "000.parquet").touch()
    api.run(make_recipe(pool), pool / "run")


def test_a_moved_project_is_the_same_project(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    draw_world(before / "world", 60, 3)
    pools = {"rows": {"read": "table", "path": "world/metadata.parquet", "images": "world/images"}}
    shutil.copytree(clip_folder(), before / "clip")
    steps = [{"embed": {"image": "vector", "model": "onnx:clip"}}]
    more = {"pools": pools, "max_bad": 1.0}
    made = api.run(make_recipe(before, steps=steps, **more), before / "run").tables["chosen"]
    before.rename(after)
    said = api.run(make_recipe(after, steps=steps, **more), after / "run").tables["chosen"]
    assert said.record == made.record
    assert said.image_root == str(after / "world" / "images")
    api.report(after / "run")


def test_two_processes_do_not_share_a_run_folder(pool: Path) -> None:
    from poolwright.run.lock import run_lock

    with run_lock(pool / "run"), pytest.raises(PoolwrightError, match="another process"):
        api.run(make_recipe(pool), pool / "run")


def test_why_tells_where_every_row_went(pool: Path) -> None:
    table = api.run(make_recipe(pool), pool / "run").tables["chosen"]
    kept = set(table.read(["uid"])["uid"].to_pylist())
    verbs = set()
    for row in range(0, 6000, 301):
        uid = f"row-{row:07d}"
        (story,) = api.why(pool / "run", uid)
        assert story.kept == (uid in kept)
        verbs.add(story.chapters[-1].verb)
    assert len(verbs) > 2
    with pytest.raises(InputError, match="nobody"):
        api.why(pool / "run", "nobody")


def test_an_empty_pool_gives_an_empty_table(pool: Path) -> None:
    write_pool(pool, make_rows(6000).slice(0, 0), parts=6)
    record = api.run(make_recipe(pool), pool / "run").tables["chosen"].record
    assert (record.rows_in, record.rows_kept) == (0, 0)
    assert api.show(pool / "run")[0].read().num_rows == 0
