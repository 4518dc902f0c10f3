"""The page: self-contained, safe, true to the record, and small whatever the table holds."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import InputError, MissingExtra
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.table import InputPart, Limit, Table
from poolwright.report import sheets
from poolwright.report.page import write_report
from poolwright.report.view import TableView
from tests.report.made import make_table, photos, picture, step

STEPS = (
    step(
        0,
        "where",
        {"expression": "width >= 120 and aspect <= 2"},
        "width >= 120 and aspect <= 2",
        limits=(Limit(column="width", value=120, words="where ≥ 120"),),
    ),
    step(
        1,
        "top",
        {"by": "similarity", "n": 300},
        "kept similarity >= 0.21 (300 of 340 rows kept)",
        limits=(Limit(column="similarity", value=0.21, words="top ≥ 0.21"),),
    ),
)
LOST = (
    (-1, "twice", "the uid was there before", True, 7),
    (0, "not_true", "the expression is not true", False, 41),
    (1, "no_value", "there is no value", False, 3),
    (1, "not_top", "not among the best", False, 37),
)
TOP = {1: State({}, {"groups": pa.table({"value": pa.array([0.21], pa.float32())})})}
EVIL = '<script>alert("x")</script>'


def coloured(rows: Rows) -> list[bytes | None]:
    return [picture(sum(map(ord, uid or "")) * 31) for uid in rows.strings("uid")]


def some_dropped(code: int, limit: int) -> Rows:
    uids = [f"gone{code}-{number:02d}" for number in range(limit)]
    images = [picture(number * 9) if number % 3 else b"not a picture" for number in range(limit)]
    widths = list(range(limit))
    return Rows.of({"uid": uids, "text": ["dropped"] * limit, "width": widths, "image": images})


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self._silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes in self.tags if attribute in attributes]


def page_of(folder: Path, *views: TableView, title: str = "world") -> Page:
    return Page(write_report(views, folder / "report.html", title).read_text(encoding="utf-8"))


@pytest.fixture
def view(tmp_path: Path) -> TableView:
    rows = photos(300)
    table = make_table(tmp_path / "kept", rows, steps=STEPS, lost=LOST, states=TOP, parts=2)
    return TableView(table, coloured, some_dropped)


def test_page_asks_the_network_for_nothing(view: TableView, tmp_path: Path) -> None:
    page = page_of(tmp_path, view)
    assert all(value.startswith("data:image/webp;base64,") for value in page.values("src"))
    assert all(value.startswith("#") for value in page.values("href"))
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_links_lead_somewhere_and_ids_are_unique(view: TableView, tmp_path: Path) -> None:
    page = page_of(tmp_path, view, view)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in page.values("href")} <= set(ids)


def test_counts_are_those_of_the_record(view: TableView, tmp_path: Path) -> None:
    text = page_of(tmp_path, view).text
    assert "388 in = 300 kept + 88 dropped: the counts reconcile" in text
    for *_, words, _bad, rows in LOST:
        assert f"−{rows} {words}" in text
    for kept in ("381", "340", "300"):
        assert kept in text
    assert "2 min 5 s" in text
    assert "40,000 rows/s" in text
    assert "kept similarity >= 0.21 (300 of 340 rows kept)" in text
    assert "top ≥ 0.21" in text
    assert "where ≥ 120" in text
    assert "open_clip:ViT-B-32/openai" in text
    assert "123.5 MB" in text
    assert "# a comment" in text


def test_counts_that_do_not_reconcile_are_told(view: TableView, tmp_path: Path) -> None:
    broken = Table(view.table.folder)
    broken.record = broken.record.model_copy(update={"rows_kept": 299})
    assert "differ from this" in page_of(tmp_path, TableView(broken)).text


def test_every_class_and_its_size_is_shown(view: TableView, tmp_path: Path) -> None:
    text = page_of(tmp_path, view).text
    counts = view.table.read(["label"]).column("label").value_counts().to_pylist()
    assert len(counts) == 6
    for pair in counts:
        assert re.search(rf"{pair['values']}: {pair['counts']} rows, [\d.]+% {pair['counts']} ", text)


def test_pictures_and_reasons_of_dropped_rows(view: TableView, tmp_path: Path) -> None:
    page = page_of(tmp_path, view)
    assert "gone2-01" in page.text
    assert "the file is not an image of a known format" in page.text
    assert "width 1 " in page.text
    assert page.values("alt").count("dropped") > 12
    assert sum(tag == "img" for tag, _ in page.tags) > 60


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    rows = photos(40, uid=[f'"><img src=x onerror=alert({number})>' for number in range(40)], text=[EVIL] * 40)
    rows = rows.set_column(rows.schema.get_field_index("label"), "label", pa.array([EVIL, "b'\"&{{ 7*7 }}"] * 20))
    rows = rows.append_column(EVIL, pa.array(range(40)))
    table = make_table(
        tmp_path / "t",
        rows,
        name=EVIL,
        source=f"pools.{EVIL}",
        steps=[step(0, "where", {"expression": EVIL}, EVIL)],
        lost=[(0, EVIL, EVIL, True, 3)],
        recipe_text=f"{EVIL}\n</code></pre>{EVIL}",
        inputs=(InputPart(name=EVIL, files=(0,), rows=43, quarantined=EVIL),),
    )
    page = page_of(tmp_path, TableView(table, dropped_sample=some_dropped), title=EVIL)
    tags = [tag for tag, _ in page.tags]
    assert tags.count("script") == 1
    assert "x" not in page.values("src")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert EVIL in page.text
    assert "{{ 7*7 }}" in page.text


def test_table_without_pictures_labels_or_text(tmp_path: Path) -> None:
    rows = Rows.of({"uid": ["a", "b", "c"], "score": [0.5, float("nan"), None]}).table
    page = page_of(tmp_path, TableView(make_table(tmp_path / "t", rows, timings=None)))
    assert not page.values("src")
    assert "3 in = 3 kept + 0 dropped" in page.text
    assert "2 rows without a value" in page.text
    assert "missing" not in page.text


def test_table_that_keeps_nothing(tmp_path: Path) -> None:
    table = make_table(tmp_path / "t", photos(0), steps=STEPS[:1], lost=LOST[:2])
    page = page_of(tmp_path, TableView(table, coloured, some_dropped))
    assert "48 in = 0 kept + 48 dropped" in page.text
    assert "gone2-00" in page.text


def test_table_of_no_rows_at_all(tmp_path: Path) -> None:
    assert "0 in = 0 kept + 0 dropped" in page_of(tmp_path, TableView(make_table(tmp_path / "t", photos(0)))).text


def test_one_row(tmp_path: Path) -> None:
    assert "1 in = 1 kept" in page_of(tmp_path, TableView(make_table(tmp_path / "t", photos(1)), coloured)).text


@pytest.mark.parametrize(
    "values",
    [
        pa.array([None] * 30, pa.float64()),
        pa.array([float("inf"), float("-inf"), float("nan")] * 10),
        pa.array([1e308, -1e308, 5e-324] * 10),
        pa.array([7] * 30, pa.uint64()),
        pa.array([-(2**63), 2**63 - 1, 0] * 10),
        pa.array([True, False, None] * 10),
        pa.array([0, 253_402_300_799, -62_135_596_800] * 10, pa.timestamp("s")),
        pa.array([None] * 30, pa.date32()),
        pa.array(["", None, "猫"] * 10).dictionary_encode(),
        pa.array([[1, 2], None, []] * 10),
        pa.array([b"\x00", None, b""] * 10),
    ],
    ids=lambda values: str(values.type),
)
def test_any_column_can_be_shown(values: pa.Array, tmp_path: Path) -> None:
    rows = photos(30).append_column("extra", values)
    page = page_of(tmp_path, TableView(make_table(tmp_path / "t", rows)))
    assert "30 in = 30 kept" in page.text
    assert "nan" not in " ".join(page.values("d") + page.values("y") + page.values("height") + page.values("style"))


def test_unicode_and_control_characters(tmp_path: Path) -> None:
    words = ["猫と犬", "مرحبا", "a\x00b\x1f\u202e", "👩‍👩‍👧 e\u0301"] * 5
    rows = photos(20, uid=[f"ü{number}" for number in range(20)], text=words, label=words)
    page = page_of(tmp_path, TableView(make_table(tmp_path / "t", rows), coloured), title="Каталог 猫")
    for word in ("猫と犬", "مرحبا", "👩‍👩‍👧 e\u0301", "Каталог 猫"):
        assert word in page.text
    assert "\x00" not in page.text
    assert "\x1f" not in page.text


def test_many_classes_and_noisy_pictures_stay_small(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    noise = [generator.bytes(20) for _ in range(2)]
    labels = [f"class with quite a long name indeed number {number % 20_000}" for number in range(40_000)]
    table = make_table(tmp_path / "t", photos(40_000, label=labels, text=["words " * 500] * 40_000))
    views = [TableView(table, noisy(noise), some_dropped)] * 2
    path = write_report(views, tmp_path / "report.html", "many")
    assert path.stat().st_size < 8_000_000
    page = Page(path.read_text(encoding="utf-8"))
    assert "20,000 values" in page.text
    assert "19,960 values in between have 39,920 rows" in page.text


@pytest.mark.parametrize("tables", [1, 4])
def test_page_stays_small_with_many_tables_and_reasons(
    tables: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All pictures are the same noise, which takes six tries to get small: once is enough.
    monkeypatch.setattr(sheets, "thumbnail", cache(sheets.thumbnail))
    lost = [(0, f"reason{number}", f"reason {number}", False, 5) for number in range(200 // tables)]
    table = make_table(tmp_path / "t", photos(500), steps=STEPS[:1], lost=lost)
    image_bytes = noisy([b"some seed"])

    def dropped(code: int, limit: int) -> Rows:
        images = image_bytes(Rows.of({"uid": ["a"] * limit}))
        return Rows.of({"uid": [f"{code}-{number}" for number in range(limit)], "image": images})

    path = write_report([TableView(table, image_bytes, dropped)] * tables, tmp_path / "report.html", "many")
    assert path.stat().st_size < 8_000_000
    assert f"reason {200 // tables - 1}" in path.read_text(encoding="utf-8")


def noisy(seeds: list[bytes]) -> Callable[[Rows], list[bytes | None]]:
    """Pictures that cannot be compressed."""
    import io

    from PIL import Image

    def image_bytes(rows: Rows) -> list[bytes | None]:
        out = io.BytesIO()
        pixels = np.random.default_rng(list(seeds[0])).integers(0, 256, (144, 144, 3), np.uint8)
        Image.fromarray(pixels).save(out, "PNG")
        return [out.getvalue()] * len(rows)

    return image_bytes


def test_same_tables_give_the_same_bytes(view: TableView, tmp_path: Path) -> None:
    paths = [write_report([view], tmp_path / name, "world") for name in ("one.html", "two.html")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_cut_into_parts_does_not_matter(tmp_path: Path) -> None:
    texts = []
    for parts in (1, 3):
        table = make_table(tmp_path / f"{parts}", photos(3000), parts=parts)
        texts.append(write_report([TableView(table, coloured)], tmp_path / "r.html", "world").read_bytes())
    assert texts[0] == texts[1]


def test_rows_of_the_source_are_laid_behind(tmp_path: Path) -> None:
    rows = photos(1000)
    best = rows.filter(pa.compute.greater(rows.column("similarity"), 0.3))
    first = make_table(tmp_path / "a", rows, name="described")
    lost = [(0, "not_top", "not among the best", False, 1000 - best.num_rows)]
    second = make_table(tmp_path / "b", best, name="best", source="tables.described", steps=STEPS[:1], lost=lost)
    text = page_of(tmp_path, TableView(first), TableView(second)).text
    assert "all rows of described" in text
    assert f"1,000 rows of pools.photos entered. 2 tables were made; best has {best.num_rows} rows." in text


def test_quarantined_parts_are_named(tmp_path: Path) -> None:
    parts = [InputPart(name=f"shard-{number}", files=(0,), rows=9) for number in range(5_000)]
    parts[4_990] = InputPart(name="shard-4990", files=(), rows=None, quarantined="the file ends early")
    page = page_of(tmp_path, TableView(make_table(tmp_path / "t", photos(9), inputs=tuple(parts))))
    assert "quarantined: the file ends early" in page.text
    assert "and 4,987 more parts" in page.text


def test_source_that_is_gone_is_told_not_raised(view: TableView, tmp_path: Path) -> None:
    def gone(*_: object) -> Rows:
        raise InputError("photos.parquet is not there any more")

    lost = TableView(view.table, gone, gone)  # type: ignore[arg-type]
    text = page_of(tmp_path, lost).text
    assert "the rows cannot be read: photos.parquet is not there any more" in text
    assert "the pictures cannot be read: photos.parquet is not there any more" in text


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one finished table"):
        write_report([], tmp_path / "report.html", "world")


def test_missing_jinja_names_the_extra(view: TableView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"poolwright\[report\]"):
        write_report([view], tmp_path / "report.html", "world")
