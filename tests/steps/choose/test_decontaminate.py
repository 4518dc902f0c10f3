"""decontaminate drops the rows that other sets have too, and says which row of which set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import Recipe, ledger, why
from poolwright.core.errors import RecipeError
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from poolwright.kernels.similarity.hash_search import HashSearch

DIGESTS = [f"{number:064x}" for number in range(100)]


def decontaminated(
    folder: Path, rows: pa.Table, sets: dict[str, pa.Table], verb: str = "decontaminate", **parameters: Any
) -> Table:
    """Run the step against pools of these rows."""
    for name, table in {"rows": rows, **sets}.items():
        pq.write_table(table, folder / f"{name}.parquet")
    step = {"against": list(sets), **parameters}
    data = {
        "recipe": 1,
        "name": "clean",
        "pools": {name: {"read": "table", "path": f"{name}.parquet"} for name in ("rows", *sets)},
        "tables": {"kept": {"from": "rows", "steps": [{verb: step}]}},
    }
    return Recipe.from_data(data, folder).run(folder / "run", workers=2).tables["kept"]


def kept(table: Table) -> list[str]:
    return [str(uid) for uid in table.read(["uid"]).column("uid").to_pylist()]


def rows_of(prefix: str, digests: list[str | None], **more: Any) -> pa.Table:
    uids = [f"{prefix}{at}" for at in range(len(digests))]
    return pa.table({"uid": uids, "sha256": pa.array(digests, pa.string()), **more})


def test_equal_files_go_with_the_name_of_the_set_and_the_row(tmp_path: Path) -> None:
    rows = rows_of("r", [DIGESTS[0], DIGESTS[1].upper(), DIGESTS[2], None, ""])
    sets = {"one": rows_of("a", [DIGESTS[9], DIGESTS[1], None, ""]), "two": rows_of("b", [DIGESTS[1], DIGESTS[2]])}
    table = decontaminated(tmp_path, rows, sets, sha256=True)
    assert kept(table) == ["r0", "r3", "r4"]
    assert table.record.funnel[-1].dropped == {"equal_file": 2}
    assert "compared with 4 rows of one, 2 rows of two, 2 without sha256" in table.record.steps[0].learned
    (story,) = why(tmp_path / "run", "r1")
    assert "equal SHA-256: 'a1' of one" in str(story)


def test_near_hashes_go_and_those_of_flat_pictures_stay(tmp_path: Path) -> None:
    hashes = ["00ff00ff00ff00ff", "00ff00ff00ff00fe", "00ff00ff00ff0000", "0" * 16, None]
    rows = rows_of("r", [None] * 5, phash=pa.array(hashes, pa.string()))
    sets = {"eval": rows_of("e", [None] * 2, phash=["00FF00FF00FF00FF", "0" * 16])}
    (tmp_path / "two").mkdir()
    assert kept(decontaminated(tmp_path, rows, sets, phash=True, distance=0)) == ["r1", "r2", "r3", "r4"]
    assert kept(decontaminated(tmp_path / "two", rows, sets, phash="phash", distance=8)) == ["r3", "r4"]


def test_near_vectors_go_in_several_sets(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(60, 16)).astype(np.float32)
    near = vectors[:8] + 0.05 * draw.normal(size=(8, 16))
    sets = {
        name: rows_of(name, [None] * 4, clip=vector_array(near[at : at + 4].astype(np.float16)))
        for at, name in ((0, "one"), (4, "two"))
    }
    rows = rows_of("r", [None] * 60, clip=vector_array(vectors.astype(np.float16)))
    table = decontaminated(tmp_path, rows, sets, vectors="clip", into="leaked_from")
    assert kept(table) == [f"r{number}" for number in range(8, 60)]
    (story,) = why(tmp_path / "run", "r5")
    assert "'two1' of two" in str(story)
    assert table.read(["leaked_from"]).column("leaked_from").null_count == 52


def test_many_vectors_are_compared_exactly(tmp_path: Path) -> None:
    draw = np.random.default_rng(6)
    steep = 1 / np.arange(1, 65)
    others = (draw.normal(size=(5_000, 64)) * steep).astype(np.float16)
    rows = (draw.normal(size=(300, 64)) * steep).astype(np.float16)
    left, right = (part.astype(np.float64) for part in (rows, others))
    cosines = left @ right.T / np.linalg.norm(left, axis=1)[:, None] / np.linalg.norm(right, axis=1)
    wanted = [f"r{at}" for at in np.flatnonzero((cosines < 0.93).all(axis=1)).tolist()]
    assert 30 < len(wanted) < 270
    eval_rows = rows_of("e", [None] * 5_000, clip=vector_array(others))
    table = decontaminated(
        tmp_path, rows_of("r", [None] * 300, clip=vector_array(rows)), {"eval": eval_rows}, vectors="clip", above=0.93
    )
    assert kept(table) == wanted


def test_the_ledger_names_set_and_row(tmp_path: Path) -> None:
    rows, sets = rows_of("r", DIGESTS[:3]), {"eval": rows_of("e", DIGESTS[2:4])}
    decontaminated(tmp_path, rows, sets, sha256=True, into="leaked_from")
    (dropped,) = ledger(tmp_path / "run", "kept").to_arrow().to_pylist()
    assert (dropped["uid"], dropped["reason"], dropped["leaked_from"]) == ("r2", "equal_file", "eval e0")


def test_the_named_row_does_not_depend_on_the_order_of_a_set(tmp_path: Path) -> None:
    vector = vector_array(np.ones((2, 16), np.float16))
    found = set()
    for order in ([0, 1], [1, 0]):
        rows = rows_of("r", [DIGESTS[1]] * 2, clip=vector)
        eval_rows = rows_of("e", [DIGESTS[1]] * 2, clip=vector).take(pa.array(order))
        for parameters in ({"sha256": True}, {"vectors": "clip"}):
            folder = tmp_path / f"{order[0]}{len(found)}{len(parameters)}{next(iter(parameters))}"
            folder.mkdir()
            decontaminated(folder, rows, {"eval": eval_rows}, **parameters)
            (story,) = why(folder / "run", "r1")
            assert "'e0' of eval" in str(story)


def test_a_file_is_a_set_and_a_changed_one_is_noticed(tmp_path: Path) -> None:
    pq.write_table(rows_of("r", DIGESTS[:4]), tmp_path / "rows.parquet")
    data = {
        "recipe": 1,
        "name": "clean",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"kept": {"from": "rows", "steps": [{"decontaminate": {"against": "eval.parquet", "sha256": True}}]}},
    }
    pq.write_table(rows_of("e", DIGESTS[1:2]), tmp_path / "eval.parquet")
    recipe = Recipe.from_data(data, tmp_path)
    assert kept(recipe.run(tmp_path / "run").tables["kept"]) == ["r0", "r2", "r3"]
    pq.write_table(rows_of("e", DIGESTS[2:3]), tmp_path / "eval.parquet")
    with pytest.raises(Exception, match=r"eval\.parquet"):
        recipe.run(tmp_path / "run")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "needs sha256, phash, pdq or vectors"),
        ({"vectors": "clip"}, "'eval' has no column 'clip'"),
        ({"against": ["eval", "eval"], "sha256": True}, "names a set twice"),
        ({"against": ["evil"], "sha256": True}, "no pool, table or file 'evil'"),
        ({"phash": "sha256"}, "not a 64-bit hash"),
    ],
)
def test_mistakes_are_found(tmp_path: Path, parameters: dict[str, Any], message: str) -> None:
    rows = rows_of("r", DIGESTS[:2], clip=vector_array(np.ones((2, 16), np.float16)))
    with pytest.raises(RecipeError, match=message):
        decontaminated(tmp_path, rows, {"eval": rows_of("e", DIGESTS[:2])}, **parameters)


@pytest.mark.parametrize(("distance", "words"), [(0, 1), (1, 1), (4, 1), (11, 1), (0, 4), (3, 4), (31, 4)])
def test_the_nearest_hash_is_found_as_by_comparing_all(distance: int, words: int) -> None:
    draw = np.random.default_rng(distance)
    known = np.unique(draw.integers(0, 2**64, (300, words), np.uint64), axis=0)
    flips = np.zeros((400, words), np.uint64)
    for row in range(400):
        for place in draw.integers(0, 64 * words, draw.integers(0, 7 * words)):
            flips[row, place // 64] |= np.uint64(1) << np.uint64(place % 64)
    unknown = draw.integers(0, 2**64, (50, words), np.uint64)
    hashes = np.concatenate([known[draw.integers(0, len(known), 400)] ^ flips, known[:5], unknown])
    bits = np.bitwise_count(hashes[:, None] ^ known[None]).sum(axis=2, dtype=int)
    wanted = np.where(bits.min(axis=1) <= distance, bits.argmin(axis=1), -1)
    found, differ = HashSearch(known, distance).nearest(hashes)
    assert found.tolist() == wanted.tolist()
    assert differ[found >= 0].tolist() == bits.min(axis=1)[found >= 0].tolist()


def test_pictures_are_found_by_pdq(tmp_path: Path) -> None:
    hashes = [f"{number:064x}" for number in (7 << 200, 1 << 130, (1 << 256) - 1)]
    near = [f"{(7 << 200) ^ ((1 << 31) - 1):064x}", f"{(1 << 130) ^ ((1 << 32) - 1):064x}", None]
    rows = rows_of("r", DIGESTS[:3], pdq=pa.array(near, pa.string()))
    sets = {"eval": rows_of("e", DIGESTS[3:6], pdq=hashes)}
    for name in ("fewer", "other"):
        (tmp_path / name).mkdir()
    made = decontaminated(tmp_path, rows, sets, pdq=True, into="found")
    assert kept(made) == ["r1", "r2"]
    assert kept(decontaminated(tmp_path / "fewer", rows, sets, pdq=True, pdq_distance=30)) == ["r0", "r1", "r2"]
    with pytest.raises(RecipeError, match="not a 256-bit hash of 64 hex digits"):
        decontaminated(tmp_path / "other", rows, sets, pdq="uid")


def test_near_duplicates_against_other_rows_is_this_step(tmp_path: Path) -> None:
    rows, sets = rows_of("r", DIGESTS[:3]), {"eval": rows_of("e", DIGESTS[2:4])}
    found = []
    for verb in ("decontaminate", "near_duplicates"):
        (tmp_path / verb).mkdir()
        table = decontaminated(tmp_path / verb, rows, sets, verb=verb, sha256=True, into="leaked_from")
        (story,) = why(tmp_path / verb / "run", "r2")
        found.append((table.record.plan, table.record.steps[0].verb, kept(table), str(story)))
    assert found[0] == found[1]
    assert found[0][1:3] == ("decontaminate", ["r0", "r1"])


def test_mistakes_in_near_duplicates_against_are_those_of_this_step(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"near_duplicates\.keep: unknown key; known: above, against"):
        decontaminated(tmp_path, rows_of("r", []), {}, verb="near_duplicates", against=["rows"], keep="first")
