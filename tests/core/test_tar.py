"""Members of tars are those that tarfile makes."""

from __future__ import annotations

import io
import tarfile

import pytest

from poolwright.core.images.tar import BLOCK, END, tar_member


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 100_000])
def test_members_have_the_bytes_of_tarfile(size: int) -> None:
    entry = tarfile.TarInfo("a" * 96 + ".jpg")
    entry.size, entry.mode, data = size, 0o444, b"x" * size
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(data))
    mine = b"".join(tar_member(entry.name, data))
    assert len(mine) % BLOCK == 0
    assert out.getvalue().startswith(mine + END)
