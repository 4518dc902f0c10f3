"""The Hub's rules, as they are checked before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.hub import rules
from poolwright.hub.card_rules import check_header
from poolwright.hub.rules import hub_checks

_HEADER = """---
license: mit
configs:
- config_name: default
  data_files:
  - {split: train, path: "data/train-*.parquet"}
---
"""
_FILES = dict.fromkeys(("README.md", "data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"), 10)


def faults(folder: Path, header: str, files: dict[str, int] | None = None) -> list[str]:
    (folder / "README.md").write_text(header)
    return check_header(folder, files or _FILES)[0]


def failed(sizes: dict[str, int], folder: Path) -> dict[str, str]:
    (folder / "README.md").write_text(_HEADER)
    return {check.name: check.words for check in hub_checks(folder, {**_FILES, **sizes}) if not check.ok}


def test_what_the_hub_takes_passes(tmp_path: Path) -> None:
    assert failed({}, tmp_path) == {}
    assert failed({"a [1]/ö 犬.txt": 0}, tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data/.git/config", "is in a folder that the Hub keeps for itself"),
        ("a\\b.txt", "has a backslash or a control character"),
        ("a\nb.txt", "has a backslash or a control character"),
        (f"{'ö' * 128}.txt", "has a name longer than 255 bytes"),
        ("data/ a.txt", "has a name that begins or ends with a space"),
        ("DATA/train-00000-of-00002.parquet", "names that differ only in case are one file on macOS and Windows"),
    ],
)
def test_names(tmp_path: Path, name: str, words: str) -> None:
    assert words in failed({name: 1}, tmp_path)["names"]


def test_sizes_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = failed({"large.tar": 50 * 10**9 + 1}, tmp_path)
    assert large == {"sizes": "'large.tar' has 50.0 GB, more than 50.0 GB: write smaller shards (shard_bytes)"}
    many = failed({f"images/{number}.jpg": 1 for number in range(10_001)}, tmp_path)
    assert "the folder 'images' has 10,001 entries, and the Hub takes 10,000: release it in a layout" in many["counts"]
    folders = failed({f"images/{number}/a.jpg": 1 for number in range(10_001)}, tmp_path)
    assert "the folder 'images' has 10,001 entries" in folders["counts"]
    monkeypatch.setattr(rules, "MOST_FILES", 3)
    assert "the release has 4 files, and the Hub takes 3" in failed({"more.txt": 1}, tmp_path)["counts"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("license: mit", "license: [mit, mti]", "license: no licence 'mti' on the Hub; did you mean 'mit'?"),
        ("license: mit", "license: other", "license: 'other' needs a license_name"),
        ("license: mit", "language: no", "language: 'False' is not an ISO 639 code"),
        ("license: mit", "language: [en, english]", "language: 'english' is not an ISO 639 code"),
        ("license: mit", "size_categories: 1K<n<5K", "size_categories: the Hub does not know '1K<n<5K'"),
        ("license: mit", "task_categories: [image-clasification]", "did you mean 'image-classification'?"),
        ("license: mit", "tags: [2024]", "tags: 2024 is not a text"),
        ("license: mit", "pretty_name: 2024", "pretty_name: 2024 is not a text"),
        ("license: mit", "dataset_info: [{config_name: small}]", "config 'small' is not among the configs"),
        ("config_name: default", "config_name: a/b", "configs: 'a/b' is no name of a config"),
        ("data/train-*", "data/test-*", "configs: default: train: no file matches 'data/test-*.parquet'"),
        ("data/train-*", "*", "configs: default: train: no file matches '*.parquet'"),
        ("license: mit", "license: [mit", "the header of 'README.md' cannot be read"),
        ("license: mit", "- mit", "the header of 'README.md' cannot be read"),
    ],
)
def test_headers(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in _HEADER
    assert words in " ".join(faults(tmp_path, _HEADER.replace(old, new)))


@pytest.mark.parametrize("pattern", ["**/*.parquet", "data/*", "data/train-0000[01]-of-*.parquet", "data/**"])
def test_patterns_that_match(tmp_path: Path, pattern: str) -> None:
    assert faults(tmp_path, _HEADER.replace("data/train-*.parquet", pattern)) == []


@pytest.mark.parametrize(
    "data_files",
    ["data/train-*", "[data/train-*]", "[{split: train, path: [data/train-*, README.md]}]"],
)
def test_forms_of_data_files(tmp_path: Path, data_files: str) -> None:
    header = f"---\nconfigs:\n- config_name: default\n  data_files: {data_files}\n---\n"
    assert faults(tmp_path, header) == []
    assert "no file matches" in faults(tmp_path, header, {"README.md": 1, "other": 1})[0]
