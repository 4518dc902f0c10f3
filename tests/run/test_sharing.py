"""What nodes of a cluster see of a run folder, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.core.errors import PoolwrightError
from poolwright.run.engine import sharing
from poolwright.run.engine.sharing import FolderProbe, check, check_here, look


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "_PATIENCE", 0.0)


def test_a_shared_folder_passes_and_nothing_is_left(tmp_path: Path) -> None:
    probe = FolderProbe.write(tmp_path)
    check(probe, {node: look(probe, node, [str(tmp_path)]) for node in ("one", "two")})
    check_here(probe)
    probe.remove()
    assert not list(tmp_path.iterdir())


def test_another_folder_under_the_same_path(tmp_path: Path) -> None:
    probe = FolderProbe.write(tmp_path)
    found = look(probe._replace(text="of another machine"), "0123456789", [])
    with pytest.raises(PoolwrightError, match=r"not on storage .* \(node 01234567\) has another folder there"):
        check(probe, {"0123456789": found})
    with pytest.raises(PoolwrightError, match="which has joined the Ray cluster, does not have this folder"):
        check_here(probe._replace(text="of another machine"))


def test_what_a_node_writes_does_not_arrive(tmp_path: Path) -> None:
    probe = FolderProbe.write(tmp_path)
    with pytest.raises(PoolwrightError, match="writes to another folder"):
        check(probe, {"one": sharing.NodeView("host", "", ())})


def test_an_input_that_a_node_lacks(tmp_path: Path) -> None:
    probe = FolderProbe.write(tmp_path)
    lost = [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    with pytest.raises(PoolwrightError, match=r"a\.parquet: .* does not have this input, nor .*b\.parquet\. Put it"):
        check(probe, {"one": look(probe, "one", lost)})
