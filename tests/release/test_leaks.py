"""A release counts the rows that several of its parts have in common; verify counts them again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright import Recipe, verify
from poolwright.core.errors import ReleaseError
from poolwright.core.results.leaks import Leak
from poolwright.core.rows import vector_array
from poolwright.release.checks.result import Check
from poolwright.release.checksums import write_sums
from poolwright.release.leaks import near
from poolwright.release.leaks.tally import leak_tally
from poolwright.release.record import ReleaseRecord


def release(folder: Path, rows: pa.Table, **options: Any) -> Path:
    """Release rows as they are, and return the folder."""
    pq.write_table(rows, folder / "rows.parquet")
    pool = {
        "read": "table",
        "path": "rows.parquet",
        **({"images": "images"} if "image_path" in rows.schema.names else {}),
    }
    data = {
        "recipe": 1,
        "name": "leaky",
        "pools": {"rows": pool},
        "tables": {"all": {"from": "rows"}},
        "releases": [{"table": "all", "layout": "parquet", "figures": False, "to": "out", **options}],
    }
    Recipe.from_data(data, folder).run(folder / "run", workers=1)
    return folder / "out"


def counts(folder: Path) -> dict[tuple[str, str], int]:
    """Return the rows of later parts that an earlier part has, by what makes the parts and how they were compared."""
    leaks = ReleaseRecord.load(folder).leaks
    return {(leak.by, leak.how): leak.rows for leak in leaks.found} if leaks else {}


def check(folder: Path) -> Check:
    return next(check for check in verify(folder, load=False).checks if check.name == "leaks")


def digests(numbers: list[int]) -> list[str]:
    return [f"{number:064x}" for number in numbers]


def rows_of(split: list[str], sha256: list[int], **more: Any) -> pa.Table:
    return pa.table({"uid": [f"u{at}" for at in range(len(split))], "split": split, "sha256": digests(sha256), **more})


def test_equal_digests_are_counted_across_splits_and_buckets(tmp_path: Path) -> None:
    rows = rows_of(
        ["train"] * 3 + ["test"] * 3 + ["val"],
        [1, 1, 2, 1, 2, 3, 2],
        bucket=pa.array([0, 0, 0, 0, 1, 1, None], pa.int32()),
    )
    folder = release(tmp_path, rows)
    assert counts(folder) == {("split", "sha256"): 3, ("bucket", "sha256"): 1}
    split, bucket = ReleaseRecord.load(folder).leaks.found
    assert [(pair.one, pair.other, pair.values, pair.rows_one, pair.rows_other) for pair in split.pairs] == [
        ("train", "test", 2, 3, 2), ("train", "val", 1, 1, 1), ("val", "test", 1, 1, 1),
    ]  # fmt: skip
    assert bucket.pairs[0].examples == (("u2", "u4"),)
    found = check(folder)
    assert found.ok
    assert found.warning
    assert "2 rows of 'test' in 'train', 1 row of 'val' in 'train', 1 row of 'test' in 'val' by" in found.words
    assert "('u3' is 'u0', 'u4' is 'u2', ...)" in found.words
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| `split` | equal SHA-256 | 3 of 4 | 75.0% |" in card
    assert verify(folder, load=False).ok


def test_copies_encoded_anew_are_found_by_what_the_images_show(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    for number in range(6):
        pixels = draw.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)
        image.save(tmp_path / f"images/{number}.png")
        image.save(tmp_path / f"images/{number}.bmp")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "images/red.png")
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "images/blue.png")
    paths = [*(f"{number}.png" for number in range(6)), "red.png", "2.bmp", "3.bmp", "blue.png"]
    rows = pa.table({"uid": paths, "image_path": paths, "split": ["train"] * 7 + ["test"] * 3})
    for options in ({"layout": "image_folder"}, {"layout": "webdataset"}, {"layout": "parquet", "images": "bytes"}):
        folder = tmp_path / str(options["layout"])
        folder.mkdir()
        (folder / "images").symlink_to(tmp_path / "images")
        out = release(folder, rows, **options)
        assert counts(out) == {("split", "sha256"): 0, ("split", "phash"): 2}
        assert ReleaseRecord.load(out).leaks.sources["phash"] == "images"
        assert "2 rows of 'test' in 'train' by equal perceptual hash ('2.bmp' is '2.png'" in check(out).words


@pytest.mark.parametrize(("limit", "refused"), [(0, True), (2, True), (3, False), ("70%", True), ("75%", False)])
def test_a_limit_refuses_the_release_before_it_is_there(tmp_path: Path, limit: Any, refused: bool) -> None:
    rows = rows_of(["train"] * 3 + ["test"] * 4, [1, 1, 2, 1, 2, 3, 2])
    if not refused:
        assert verify(release(tmp_path, rows, max_leak=limit), load=False).ok
        return
    with pytest.raises(ReleaseError, match="3 rows of 'test' in 'train' by equal SHA-256"):
        release(tmp_path, rows, max_leak=limit)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_a_limit_without_anything_to_compare_is_an_error(tmp_path: Path) -> None:
    rows = rows_of(["train", "test"], [1, 1]).drop_columns(["sha256"])
    with pytest.raises(ReleaseError, match="nothing to compare them by"):
        release(tmp_path, rows, max_leak=0)


def test_a_leak_that_is_not_stated_is_an_error(tmp_path: Path) -> None:
    folder = release(tmp_path, rows_of(["train"] * 3 + ["test"] * 3, [1, 2, 3, 3, 4, 5]))
    shard = next((folder / "data").glob("test-*.parquet"))
    table = pq.read_table(shard)
    digest = pa.array(digests([3, 1, 5]))
    pq.write_table(table.set_column(table.schema.get_field_index("sha256"), "sha256", digest), shard)
    write_sums(folder, {})
    found = check(folder)
    assert found.ok is False
    assert "2 rows of 'test' in 'train'" in found.words
    assert "the card states 1 row" in found.words


def test_a_release_made_before_leaks_were_counted_gives_a_warning(tmp_path: Path) -> None:
    folder = release(tmp_path, rows_of(["train", "test"], [7, 7]))
    record = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    del record["leaks"]
    (folder / "release.json").write_text(json.dumps(record), encoding="utf-8")
    found = check(folder)
    assert (found.ok, found.warning) == (True, True)
    assert "1 row of 'test' in 'train'" in found.words
    assert "not stated" in found.words


def test_hashes_that_are_not_released_are_counted_from_the_table(tmp_path: Path) -> None:
    rows = rows_of(["train", "test"], [7, 7], phash=["00ff00ff00ff00ff", "00FF00FF00FF00FF"])
    folder = release(tmp_path, rows, columns=["split"])
    assert counts(folder) == {("split", "sha256"): 1, ("split", "phash"): 1}
    assert "not counted again" in check(folder).words


def test_rows_of_one_part_make_no_leak(tmp_path: Path) -> None:
    folder = release(tmp_path, rows_of(["train"] * 4, [1, 1, 2, 2]))
    assert ReleaseRecord.load(folder).leaks is None
    assert check(folder).ok is None


def near_rows() -> pa.Table:
    """Make 300 rows of which the last ten of the test rows are near a training row each."""
    draw = np.random.default_rng(2)
    vectors = draw.normal(size=(300, 16)).astype(np.float32)
    vectors[290:] = vectors[:10] + 0.05 * draw.normal(size=(10, 16))
    vectors[150] = 0
    valid = np.arange(300) != 151
    split = ["train"] * 200 + ["test"] * 100
    return rows_of(split, list(range(300)), clip=vector_array(vectors.astype(np.float16), valid))


def test_near_vectors_are_counted_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_BLOCK", 64)
    folder = release(tmp_path, near_rows())
    assert counts(folder) == {("split", "sha256"): 0, ("split", "clip"): 10}
    assert "10 rows of 'test' in 'train' by near vectors of 'clip' ('u290' is near 'u0'" in check(folder).words


def test_near_rows_count_for_the_limit_if_their_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    assert release(tmp_path / "all", near_rows(), max_leak=0).is_dir()
    with pytest.raises(ReleaseError, match="10 rows of 'test' in 'train' by near vectors"):
        release(tmp_path, near_rows(), max_leak=0, leak_vectors="clip")


def test_of_too_many_vectors_a_sample_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "MOST_PRODUCTS", 200 * 100 * 16 // 2)
    folder = release(tmp_path, near_rows())
    leak = next(leak for leak in ReleaseRecord.load(folder).leaks.found if leak.how == "clip")
    assert leak.drawn
    assert 30 < leak.later < 70
    assert 0 < leak.rows < 10
    assert "random sample" in (folder / "README.md").read_text(encoding="utf-8")
    assert check(folder).ok


def test_a_column_of_too_many_values_divides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poolwright.release.leaks.tally.MOST_PARTS", 2)
    with leak_tally(["few", "many"]) as tally:
        names = pa.array(["a", "b", "c"])
        tally.add_parts(names, {"few": pa.array(["x", "y", "y"]), "many": pa.array(["1", "2", "3"])})
        tally.add_keys("sha256", names, pa.array(["k", "k", None]))
        assert [(leak.by, leak.rows) for leak in tally.count_equal("sha256", str)] == [("few", 1)]


def test_words_name_parts_and_rows() -> None:
    assert Leak("split", "phash", 0, 9).words == "split: none by equal perceptual hash"


@pytest.mark.real
def test_real_splits_leak_as_exact_products_say(tmp_path: Path, real_data: Path) -> None:
    file = np.load(real_data / "clip_vitb32" / "caltech101.npz")
    val, test = file["val_emb"], file["test_emb"]
    rows = pa.table({
        "uid": [*(f"val {path}" for path in file["val_path"]), *(f"test {path}" for path in file["test_path"])],
        "split": ["val"] * len(val) + ["test"] * len(test),
        "clip": vector_array(np.concatenate([val, test])),
    })  # fmt: skip
    left, right = (part.astype(np.float64) for part in (val, test))
    cosines = left @ right.T / np.linalg.norm(left, axis=1)[:, None] / np.linalg.norm(right, axis=1)
    for above in (0.95, 0.99):
        (tmp_path / str(above)).mkdir()
        folder = release(tmp_path / str(above), rows, leak_above=above)
        assert counts(folder) == {("split", "clip"): int((cosines >= above).any(axis=0).sum())}
        assert counts(folder)[("split", "clip")] > 0
