"""Large text files cut between rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poolwright.pools.readers import random_access
from poolwright.pools.table import TablePool
from poolwright.pools.text import row_cuts
from tests.packing import pack
from tests.pools.reading import read_all

ROWS = 400


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts files of a few kilobytes."""
    monkeypatch.setattr(row_cuts, "CUT_BYTES", 1_000)
    monkeypatch.setattr(row_cuts, "LEAST_BYTES", 2_000)
    monkeypatch.setattr(row_cuts, "LEAST_PACKED", 200)


def texts() -> list[str]:
    random = np.random.default_rng(3)
    signs = ["ä", " ", "b", "c7"]
    return ["".join(random.choice(signs, size=int(random.integers(1, 30)))).strip() or "x" for _ in range(ROWS)]


def quoted(odd: str = "") -> str:
    lines = [f'"{text}\n\n""and more"",",{at}' if at % 7 == 0 else f"{text},{at}" for at, text in enumerate(texts())]
    lines[300] = f"{lines[300]}{odd}"
    return "text,n\n\n" + "\n".join(lines) + "\n\n"


FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "rows.csv": (quoted(",too many"), {}),
    "ends.csv": (quoted().replace("\n", "\r\n"), {}),
    "marked.csv": ("\ufeff" + quoted(), {}),
    "rows.tsv": ("".join(f'"{text}\t{at}\n' for at, text in enumerate(texts())), {"header": ["text", "n"]}),
    "rows.txt": ("".join(f"{at}x  \t{at}\n" + " \n" * (at % 9 == 0) for at in range(ROWS)), {"header": ["text", "n"]}),
    "rows.jsonl": (
        "".join(json.dumps({"text": text, "n": at if at != 300 else "no"}) + "\n\n" for at, text in enumerate(texts())),
        {"types": {"n": "int64"}},
    ),
}


def opened(path: Path, **parameters: Any) -> TablePool:
    return TablePool(path=str(path), uid="row", **parameters)


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2"])
@pytest.mark.parametrize("name", FILES)
def test_the_parts_of_a_file_have_its_rows(
    tmp_path: Path, name: str, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, parameters = FILES[name]
    path = tmp_path / f"{name}{ending}"
    path.write_bytes(pack(ending[1:], text.encode()) if ending else text.encode())
    pool = opened(path, **parameters)
    parts = pool.parts()
    assert len(parts) >= 5
    found = read_all(pool)
    monkeypatch.setattr(row_cuts, "_is_large", lambda file: False)
    whole = opened(path, **parameters)
    assert len(whole.parts()) == 1
    assert found.combine_chunks().equals(read_all(whole).combine_chunks())
    assert len(found) == ROWS
    monkeypatch.undo()


def test_cuts_are_stored_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(pack("gz", quoted().encode()))
    parts = opened(path, index=str(tmp_path / "index")).parts()
    assert {file.suffix for file in (tmp_path / "index").rglob("*") if file.is_file()} == {".json", ".index"}
    monkeypatch.setattr(row_cuts, "_found", None)
    assert opened(path, index=str(tmp_path / "index")).parts() == parts
    assert len(read_all(opened(path, index=str(tmp_path / "index")))) == ROWS


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("stray.csv", quoted('"').encode()),
        ("old.csv", quoted().replace("\n", "\r").encode()),
        ("marked.csv", quoted().encode("utf-16")),
        ("rows.csv.zst", pack("zst", quoted().encode())),
    ],
)
def test_a_file_of_another_form_is_read_whole(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    pool = opened(tmp_path / name)
    assert len(pool.parts()) == 1
    said = "several read what is packed with gzip or bzip2" if name.endswith("zst") else ""
    assert said in "".join(pool.remarks())


def test_without_rapidgzip_packed_files_are_read_whole_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(pack("gz", quoted().encode()))
    for module in (random_access, row_cuts):
        monkeypatch.setattr(module, "is_installed", lambda name: False)
    pool = opened(tmp_path / "rows.csv.gz")
    assert len(pool.parts()) == 1
    assert "pip install 'poolwright[rapidgzip]'" in pool.remarks()[0]


def test_an_interpreter_may_end_with_a_file_open(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(pack("gz", bytes(200_000)))
    code = "import sys; from poolwright.pools.readers.random_access import SeekableFile\n"
    code += "file = SeekableFile(sys.argv[1]); file.read(9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.gz")], check=True, timeout=60)
