"""Faults that users of such tools have met: rounding group by group, and likeness that is none."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image, ImageDraw

from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows, vector_array
from poolwright.core.state import State
from poolwright.kernels.similarity import cosine
from poolwright.kernels.similarity.unit_length import unit_rows
from poolwright.models.classifiers.examples import Examples
from poolwright.models.classifiers.options import ClassifierOptions
from poolwright.models.classifiers.training import train
from poolwright.steps.describe.classify import Classify
from poolwright.steps.describe.hash import Hash
from poolwright.steps.split.split import Split
from tests.calling import call


def run(folder: Path, rows: pa.Table, *steps: Any, **more: Any) -> tuple[pa.Table, str]:
    """The rows that a table of these steps keeps, and what the command printed."""
    pq.write_table(rows, folder / "rows.parquet")
    vectors = {name: {"model": "toy"} for name in ("v",) if name in rows.column_names}
    pool = {"read": "table", "path": "rows.parquet", **({"vectors": vectors} if vectors else {})}
    recipe = {"recipe": 1, "name": "toy", "pools": {"p": pool}, "tables": {"t": {"from": "p", "steps": list(steps)}}}
    (folder / "toy.yaml").write_text(yaml.safe_dump({**recipe, **more}, sort_keys=False))
    called = call("run", "toy.yaml", folder=folder)
    assert called.code == 0, called.err
    return _kept(folder), called.out + called.err


def _kept(folder: Path) -> pa.Table:
    return pa.concat_tables(pq.read_table(one) for one in sorted(folder.glob("runs/toy/tables/t/part-*.parquet")))


def strata(groups: int, each: int) -> pa.Table:
    names = [f"kind {at // each:03d}" for at in range(groups * each)]
    return pa.table({"uid": [f"r{at:05d}" for at in range(len(names))], "kind": names, "score": np.arange(len(names))})


def sizes(table: pa.Table, column: str = "split") -> dict[str, int]:
    return dict(zip(*np.unique(table[column].to_numpy(), return_counts=True), strict=True))


@pytest.mark.parametrize("more", [{}, {"group": "uid"}])
def test_small_strata_starve_no_split(tmp_path: Path, more: dict[str, str]) -> None:
    ratios = {"train": "70%", "a": "15%", "z": "15%"}
    kept, _ = run(tmp_path, strata(120, 3), {"split": {"ratios": ratios, "stratify": ["kind"], **more}})
    assert sizes(kept) == {"train": 252, "a": 54, "z": 54}
    for kind in pa.compute.unique(kept["kind"]).to_pylist():
        assert sizes(kept.filter(pa.compute.field("kind") == kind)).get("train", 0) in (2, 3)


def test_every_draw_is_rounded_over_the_strata(tmp_path: Path) -> None:
    kept, _ = run(
        tmp_path, strata(30, 4), {"split": {"ratios": {"a": "90%", "b": "10%"}, "stratify": ["kind"], "seeds": 2}}
    )
    assert [sizes(kept, f"split_{draw}") for draw in (0, 1)] == [{"a": 108, "b": 12}] * 2
    assert kept["split_0"] != kept["split_1"]


@pytest.mark.parametrize("verb", ["sample", "top"])
def test_a_fraction_of_small_groups_holds_over_all(tmp_path: Path, verb: str) -> None:
    step = {verb: {"fraction": "20%", "group": "kind", **({"by": "score"} if verb == "top" else {})}}
    kept, printed = run(tmp_path, strata(100, 2), step)
    assert len(kept) == 40
    assert "60 groups keep none" in printed


def test_files_with_copies_on_two_sides_are_counted(tmp_path: Path) -> None:
    rows = pa.table({"uid": [f"r{at}" for at in range(40)], "sha256": [f"{at // 2:064x}" for at in range(40)]})
    ratios = {"ratios": {"train": "50%", "test": "50%"}}
    release = [{"table": "t", "layout": "huggingface", "images": "none", "figures": False, "to": "out"}]
    kept, printed = run(tmp_path, rows, {"split": ratios}, releases=release)
    sides: dict[str, set[str]] = {}
    for digest, split in zip(kept["sha256"].to_pylist(), kept["split"].to_pylist(), strict=True):
        sides.setdefault(digest, set()).add(split)
    both = sum(len(one) > 1 for one in sides.values())
    assert both > 0
    assert f"{both} files have copies (equal sha256) in several splits" in " ".join(printed.split())
    assert f"leaks: split: {both} rows of 'test' in 'train' by equal SHA-256" in call("verify", tmp_path / "out").out
    (tmp_path / "grouped").mkdir()
    _, printed = run(tmp_path / "grouped", rows, {"split": {**ratios, "group": "sha256"}})
    assert "have copies" not in printed


def test_figures_leave_out_and_count_the_classes_that_no_probe_has_seen(tmp_path: Path) -> None:
    rows = []
    for place in ("here", "there"):
        for axis in (0, 1):
            rows += [(place, f"c{axis}", "train", axis)] * 10 + [(place, f"c{axis}", "test", axis)] * 2
        rows += [(place, f"new{axis}", "test", axis) for axis in range(2, 5)]
    place, label, split, axis = (list(column) for column in zip(*rows, strict=True))
    table = pa.table({
        "uid": [str(at) for at in range(len(rows))],
        "continent": place, "label": label, "split": split, "v": vector_array(np.eye(16, dtype=np.float32)[axis]),
    })  # fmt: skip
    figures = [
        {"name": "one", "table": "t", "measure": "probe", "vectors": "v", "truth": "label"},
        {"name": "two", "table": "t", "measure": "domain_gap", "vectors": "v", "truth": "label", "domain": "continent"},
    ]
    _, printed = run(tmp_path, table, {"where": "uid is not null"}, figures=figures)
    assert "one 1.000 (6 rows left out)" in printed
    assert "gap 0.000 (6 rows left out)" in printed


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def drawing(shape: str, ink: int) -> bytes:
    image = Image.new("RGBA", (96, 96), (ink, ink, ink, 0))
    getattr(ImageDraw.Draw(image), shape)((12, 20, 84, 60), fill=(ink, ink, ink, 255))
    return png(image)


def test_pictures_without_structure_have_no_perceptual_hash() -> None:
    pytest.importorskip("imagehash")
    flat = [png(Image.new("RGB", (64, 48), colour)) for colour in ("red", "navy", "white", "black")]
    drawn = [drawing(shape, ink) for ink in (255, 0) for shape in ("ellipse", "rectangle")]
    rows = Rows.of({"uid": [str(at) for at in range(8)], "image": pa.array([*flat, *drawn], pa.binary())})
    hashes = Hash().apply(rows, State()).columns["phash"].to_pylist()
    assert hashes[:4] == [None] * 4
    assert None not in hashes[4:]
    assert hashes[4] != hashes[5]
    assert hashes[6] != hashes[7]


def test_hashes_that_say_nothing_link_equal_bytes_alone(tmp_path: Path) -> None:
    nothing = ["0" * 16, "8" + "0" * 15, None, None, "f" * 16, "0" * 16]
    digests = ["a", "b", "c", "c", "d", "a"]
    rows = pa.table({"uid": list("012345"), "phash": nothing, "sha256": digests})
    kept, printed = run(tmp_path, rows, {"near_duplicates": {"phash": "phash"}})
    assert kept["duplicate_group"].to_pylist() == ["0", "1", "2", "2", "4", "0"]
    assert "6 rows without a hash that says something" in " ".join(printed.split())


def test_rows_are_ranked_by_angle_and_not_by_length(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    prompt = np.eye(256)[0]
    cosines = 0.3 + np.arange(60) * 4e-6
    others = np.hstack([np.zeros((60, 1)), rng.normal(size=(60, 255))])
    others *= (np.sqrt(1 - cosines**2) / np.linalg.norm(others, axis=1))[:, None]
    lengths = np.where(np.arange(60) % 2, 1.0009, 0.9991)[:, None]
    vectors = ((cosines[:, None] * prompt + others) * lengths).astype(np.float16)
    exact = vectors.astype(np.float64)
    exact = exact @ prompt / np.linalg.norm(exact, axis=1)
    best = {str(at) for at in np.argsort(-exact)[:20]}
    np.save(tmp_path / "prompt.npy", prompt[None].astype(np.float32))
    rows = pa.table({"uid": [str(at) for at in range(60)], "v": vector_array(vectors)})
    similarity = {"similarity": {"of": "v", "features": "prompt.npy", "features_model": "toy"}}
    kept, _ = run(tmp_path, rows, similarity, {"top": {"by": "similarity", "n": 20}})
    assert set(kept["uid"].to_pylist()) == best
    (tmp_path / "retrieved").mkdir()
    retrieve = {"with": "v", "prompts": ["x"], "features": "../prompt.npy", "features_axis": 0, "n": 20, "query": 40}
    kept, _ = run(tmp_path / "retrieved", rows, {"retrieve": {**retrieve, "features_model": "toy"}})
    assert set(kept["uid"].to_pylist()) == best


def test_examples_of_another_encoder_are_refused_at_check(tmp_path: Path) -> None:
    rows = pa.table({"uid": ["a"], "class": ["map"], "v": vector_array(np.ones((1, 16), np.float16))})
    pq.write_table(rows, tmp_path / "rows.parquet")
    one, other = (
        {"read": "table", "path": "rows.parquet", "vectors": {"v": {"model": name}}} for name in ("m/1", "n/2")
    )
    classify = {"classify": {"with": "v", "examples": "examples", "positive": "map"}}
    tables = {"examples": {"from": "q"}, "t": {"from": "p", "steps": [classify]}}
    recipe = {"recipe": 1, "name": "toy", "pools": {"p": one, "q": other}, "tables": tables}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    called = call("check", "toy.yaml", folder=tmp_path)
    assert called.code != 0
    assert "m/1" in called.err + called.out
    assert "n/2" in called.err + called.out


def test_a_decimal_has_the_precision_of_its_column(tmp_path: Path) -> None:
    rows = pa.table({"uid": list("abc"), "score": pa.array([0.3, 0.2, 0.7], pa.float32())})
    kept, _ = run(tmp_path, rows, {"where": "score >= 0.3 and score <= 0.7"}, {"derive": {"high": "score >= 0.7"}})
    assert kept["uid"].to_pylist() == ["a", "c"]
    assert kept["high"].to_pylist() == [False, True]


def test_strata_without_rows_of_a_split_are_counted_with_groups_too() -> None:
    rows = [("a", album) for album in range(8)] + [("b", 100), ("c", 101)]
    table = pa.table(
        {"uid": [str(at) for at in range(10)], "kind": [k for k, _ in rows], "album": [g for _, g in rows]}
    )
    step = Split.model_validate({"ratios": {"x": 0.5, "y": 0.5}, "stratify": ["kind"], "group": "album"})
    state = step.fit(MemoryFrame(table), Context(5))
    names = step.apply(Rows(table), state).columns["split"].to_pylist()
    lone = [names[8], names[9]]  # kinds of one album have rows of one split alone
    for name, other in (("x", "y"), ("y", "x")):
        assert (f"{lone.count(other)} without {name}" in step.learned(state)) == (other in lone)


def test_classes_that_no_validation_row_is_predicted_to_be_of_are_named() -> None:
    draw = np.random.default_rng(0)
    far, near = np.eye(8)[0], np.eye(8)[1]
    labels = np.repeat(["elm", "ash"], [60, 60])
    # On validation rows all look like elms.
    centres = np.where((np.arange(120) % 2 == 0)[:, None] | (labels == "elm")[:, None], far, near)
    centres[:60:2] = far
    train_rows = np.where((labels == "elm")[:, None], far, near)
    valid = np.arange(120) % 2 == 0
    vectors = np.where(valid[:, None], centres, train_rows) + 0.1 * draw.normal(size=(120, 8))
    examples = Examples(
        uids=np.array([str(at) for at in range(120)]),
        vectors=unit_rows(vectors.astype(np.float32)),
        labels=labels,
        split=np.where(valid, "validation", "train"),
    )
    trained = train(examples, ClassifierOptions(candidates=("mean",), positive="ash", near_duplicates=None), 3)
    assert trained.values["never_predicted"] == ["ash"]
    step = Classify.model_validate({"with": "clip", "examples": "e", "positive": "ash"})
    assert "never predicted on validation rows: ash" in step.learned(trained.to_state())


def test_lengths_are_computed_once_per_row_and_give_the_same_cosines(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    rows, texts = (draw.normal(size=(many, 40)).astype(np.float32) for many in (300, 7))
    i, j = np.repeat(np.arange(300), 7), np.tile(np.arange(7), 300)
    measured: list[int] = []
    lengths = cosine._lengths
    monkeypatch.setattr(cosine, "_lengths", lambda block: measured.append(len(block)) or lengths(block))
    pairs = cosine.exact_pairs(rows, texts, i, j)
    assert sum(measured) == len(rows)
    np.testing.assert_array_equal(pairs, cosine.exact_similarity(rows[i], texts[j]))
