"""Layout `datacomp`: the form that DataComp's resharder reads, and that the steps and pools of poolwright read back."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from poolwright.api import Recipe
from poolwright.core.errors import ReleaseError, StepError
from poolwright.release.layouts.datacomp import DataComp
from poolwright.testing.layouts import ABOUT
from tests.release.build import picture, write_table


def uid_of(row: int) -> str:
    return hashlib.md5(str(row).encode()).hexdigest()


def released(folder: Path, uids: list[str], **parameters: object) -> Path:
    rows = pa.table({"uid": uids, "image": [picture(row) for row in range(len(uids))], "text": ["a"] * len(uids),
                     "split": [("train", "test")[row % 3 == 2] for row in range(len(uids))]})  # fmt: skip
    layout = DataComp.model_validate({"figures": False, **parameters})
    layout.write(write_table(folder / "table", rows), folder / "out", ABOUT)
    return folder / "out"


def test_arrays_are_those_of_the_resharder(tmp_path: Path) -> None:
    """A subset is loaded and searched as in DataComp's resharder.py."""
    uids = [uid_of(row) if row % 2 else uid_of(row).upper() for row in range(30)]
    out = released(tmp_path, uids)
    assert not list(out.rglob("*.tar"))
    pair = np.dtype("u8,u8")
    for split in ("train", "test"):
        subset = np.load(out / f"{split}.npy", mmap_mode="r")
        assert (subset.dtype, subset.ndim) == (pair, 1)
        mine = {row for row in range(30) if (row % 3 == 2) == (split == "test")}
        for row, uid in enumerate(uids):
            key = np.array([divmod(int(uid, 16), 2**64)], pair)[0]
            assert np.searchsorted(subset, key, "right") - np.searchsorted(subset, key, "left") == (row in mine)


@pytest.mark.parametrize("step", ["keep", "remove"])
def test_steps_take_what_is_written(step: str, tmp_path: Path) -> None:
    out = released(tmp_path, [uid_of(row) for row in range(20)])
    pq.write_table(pa.table({"uid": [uid_of(row) for row in range(40)]}), tmp_path / "pool.parquet")
    steps = [{step: {"file": str(out / "test.npy"), "by": "uid"}}]
    data = {"recipe": 1, "name": "r", "pools": {"p": {"read": "table", "path": "pool.parquet"}},
            "tables": {"t": {"from": "p", "steps": steps}}}  # fmt: skip
    found = set(Recipe.from_data(data, tmp_path).run(tmp_path / "run").tables["t"].read().column("uid").to_pylist())
    held = {uid_of(row) for row in range(20) if row % 3 == 2}
    assert found == (held if step == "keep" else {uid_of(row) for row in range(40)} - held)


def test_tars_are_called_as_by_the_resharder(tmp_path: Path) -> None:
    out = released(tmp_path, [uid_of(row) for row in range(9)], tars=True, shard_rows=4)
    assert [file.name for file in sorted((out / "train").glob("*.tar"))] == ["00000000.tar", "00000001.tar"]
    samples = list(webdataset.WebDataset(f"{out}/train/{{00000000..00000001}}.tar", shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == [f"{uid_of(row)}-0" for row in range(9) if row % 3 != 2]
    assert [sample["json"]["uid"] for sample in samples] == [sample["__key__"][:-2] for sample in samples]
    assert '-s "train.npy"' in (out / "README.md").read_text()


def test_other_uids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="the uid 'row-1' has not 32 hexadecimal digits"):
        released(tmp_path, [uid_of(0), "row-1"])
    with pytest.raises(StepError, match="add 'tars: true'"):
        released(tmp_path / "images", [uid_of(0)], images={"resize": 12})
