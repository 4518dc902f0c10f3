"""Pages of instructions: read, checked before anything runs, shown and released."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.annotation.asking import CLASSES, recipe, write_instructions, write_pool
from tests.annotation.test_verify import run

from poolwright.annotation.exchange.instructions import anchor, read_instructions
from poolwright.core.errors import InputError, StepError


def test_a_page_is_read_by_its_headings(tmp_path: Path) -> None:
    page = read_instructions(write_instructions(tmp_path))
    assert list(page.classes) == list(CLASSES)
    assert page.classes["cat"].positive == ["pictures/cat positive.png"]
    assert page.classes["cat"].negative == ["pictures/cat negative.png"]
    assert len(page.images) == 6
    page.check_classes(["CAT", " dog "])
    with pytest.raises(InputError, match=r"no section for zebra, emu; add '## zebra'"):
        page.check_classes(["zebra", "cat", "emu", "zebra"])


def test_html_is_safe_and_says_the_same(tmp_path: Path) -> None:
    page = read_instructions(write_instructions(tmp_path, text="<script>alert(1)</script> [x](javascript:alert(1))"))
    shown = page.page()
    assert "<script" not in shown
    assert 'href="javascript' not in shown
    assert "<title>What is wanted</title>" in shown
    assert 'src="pictures/cat%20positive.png" alt="positive of cat"' in shown
    assert 'src="https://x.org/a/pictures/cat%20positive.png"' in page.fragment("https://x.org/a/")
    assert anchor("Wedding, engagement ring") == "wedding-engagement-ring"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("## cat\n### Positive\n![a](a.png)\n", "'cat' has no picture under '### Negative'"),
        ("## cat\n![a](a.png)\n", "'cat' has no picture under '### Positive'"),
        ("## cat\n### yes\n![a](b.png)\n### no\n![a](a.png)\n", r"b\.png: the image file is not there"),
        ("![a](broken.png)", r"broken\.png: the file is not an image"),
        ("![a](../a.png)", r"\.\./a\.png: pictures must be in the folder of the page or below"),
        ("![a](https://x.org/a.png)", "pictures must be in the folder"),
        ("![a](/etc/a.png)", "pictures must be in the folder"),
        ("## cat\n## cat\n", "two sections '## cat'"),
    ],
)
def test_what_is_wrong_with_a_page_is_reported(tmp_path: Path, text: str, words: str) -> None:
    write_instructions(tmp_path, ("a",))
    (tmp_path / "pictures" / "a positive.png").rename(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(InputError, match=words):
        read_instructions(tmp_path / "page.md")


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_instructions(tmp_path / "none.md")
    (tmp_path / "old.md").write_bytes("# ü".encode("cp1252"))
    with pytest.raises(InputError, match="not UTF-8"):
        read_instructions(tmp_path / "old.md")


def test_a_class_without_section_stops_the_run_before_anybody_is_asked(tmp_path: Path) -> None:
    write_pool(tmp_path)
    write_instructions(tmp_path, ("boat", "cat"))
    with pytest.raises((InputError, StepError), match="has no section for dog"):
        run(recipe(tmp_path, instructions="instructions.md"), tmp_path)
    assert not (tmp_path / "run/verify").exists()
