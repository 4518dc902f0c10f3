"""What README and docs show runs, and prints what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, MadeDemo
from tests.docs.pages import as_shown, run_page

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
WITH_BLOCKS = {
    "README.md",
    "docs/commands.md",
    "docs/python.md",
    "docs/tutorial.md",
    "docs/recipes.md",
    "docs/formats.md",
    "docs/steps.md",
    "docs/pools.md",
    "docs/layouts.md",
    "docs/fetching.md",
    "docs/publishing.md",
    "docs/retrieval.md",
    "docs/encoders.md",
    "docs/extending.md",
    "docs/cards.md",
    "docs/versions.md",
}

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@pytest.mark.loads
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_block_runs(page: Path, made_demo: MadeDemo) -> None:
    ran, unchecked = run_page(page, made_demo.folder)
    assert ran > 0 or page.relative_to(REPOSITORY).as_posix() not in WITH_BLOCKS
    if unchecked:
        pytest.skip(f"all else ran; {unchecked} commands need real data: set POOLWRIGHT_REAL_DATA")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place) if place else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in _anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("596 of 600 rows", "596  of 600 rows\n", True),
        ("596 of 600 rows", "597 of 600 rows", False),
        ("596 of 600 rows", "96 of 600 rows", False),
        ("kept 0.7558 ...", "kept 0.7559 (306 of 322)", True),
        ("kept 0.7558 ...", "kept 0.6558 (306 of 322)", False),
        ("a ...\nc 1", "a b\nb\nc 1", True),
        ("uid ab12cd", "uid ab13cd", False),
    ],
)
def test_outputs_are_compared_with_some_tolerance(expected: str, printed: str, same: bool) -> None:
    assert as_shown(expected, printed) is same


def _anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
