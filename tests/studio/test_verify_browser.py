"""Verifying in a real browser, by keyboard: to the stop, back again, two at once, gold, a studio that goes away."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from poolwright.annotation.queue.store import STORE, VerdictStore
from poolwright.kernels.statistics.acceptance_sampling import plan
from tests.studio.made import Browser, ask, make_run, new_key, serving

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}")]

Opener = Callable[..., Any]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def people(chromium: Any, port: int) -> Iterator[Opener]:
    """Opens pages for people, each in a browser of their own; what goes wrong on a page fails the test."""
    said: list[str] = []
    contexts: list[Any] = []

    def open_page(name: str, path: str = "/verify") -> Any:
        context = chromium.new_context(viewport={"width": 1280, "height": 800})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if f":{port}/" not in request.url else None)
        enter(page, port, name, path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [line for line in said if "blob:" not in line] == []


def enter(page: Any, port: int, name: str, path: str) -> None:
    page.goto(f"http://127.0.0.1:{port}/enter?next={path}")
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: urlsplit(url).path == path)


def stored(run: Path) -> list[tuple[str, str, str]]:
    store = VerdictStore(run / STORE)
    found = [(said.uid, said.annotator, said.verdict) for said in store.counting("kept")]
    store.close()
    return found


def until(page: Any, expression: str, seconds: float = 15) -> None:
    """Wait until an expression is true; Playwright's own way needs eval, which the policy of the pages forbids."""
    end = time.monotonic() + seconds
    while not asked(page, expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(20)


def asked(page: Any, expression: str) -> Any:
    try:
        return page.evaluate(expression)
    except Exception as error:
        if "context was destroyed" in str(error):  # the page is on its way to another
            return None
        raise


def kept(page: Any, number: int) -> None:
    """Wait until the page says that so many are kept."""
    until(page, f"document.getElementById('saved')?.textContent?.startsWith('{number} by you')")


def settled(page: Any) -> None:
    until(page, "((it) => it?.complete && it.naturalWidth > 0)(document.getElementById('picture'))")


def test_a_class_by_keyboard_to_its_stop(chromium: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, 60, ("cat", "dog"))
    made = ask(run, target=0.8)
    with serving(run) as (port, _), people(chromium, port) as open_page:
        page = open_page("Anna", "/verify/kept/grid")
        page.wait_for_selector(".cell img")
        assert page.inner_text("#question") == "Is this: cat?"
        first = page.locator(".cell").count()
        assert plan(30, 0.8).stops[0] <= first < 30
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        assert page.locator('.cell[data-mark="negative"]').count() == 1
        page.keyboard.press("Space")
        assert page.locator('.cell[data-mark="negative"]').count() == 0
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog[open]")
        kept(page, first)
        assert page.inner_text("#done-title") == "cat is done"
        assert re.match(r"at least [89]\d.*% right, with 95 % confidence", page.inner_text("#done-words"))
        page.keyboard.press("Enter")
        until(page, "document.getElementById('question')?.textContent === 'Is this: dog?'")
        page.wait_for_selector(".cell img")
        page.keyboard.press("a")
        page.keyboard.press("Enter")
        until(page, "document.getElementById('counts')?.textContent?.includes(' wrong')")
        page.goto(f"http://127.0.0.1:{port}/verify/kept")
        assert "% right, with 95 % confidence" in page.inner_text("#state")
        certificate = page.request.get(f"http://127.0.0.1:{port}/verify/kept/certificate.json").json()
    groups = {group["group"]: group for group in certificate["groups"]}
    assert groups["cat"]["conclusion"] == "met"
    assert groups["cat"]["verified"] < groups["cat"]["rows"]
    assert groups["dog"]["conclusion"] == "open"
    verdicts = {uid: verdict for uid, _, verdict in stored(run)}
    classes = dict(zip(made.uids, made.classes, strict=True))
    assert {verdict for uid, verdict in verdicts.items() if classes[uid] == "cat"} == {"positive"}
    assert {verdict for uid, verdict in verdicts.items() if classes[uid] == "dog"} == {"negative"}


def test_one_by_one_with_undo_and_skip(chromium: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, 12, ("cat",))
    made = ask(run, rule="all")
    with serving(run) as (port, _), people(chromium, port) as open_page:
        page = open_page("Anna", "/verify/kept/one")
        for key in ("ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "y", "n", "u"):
            settled(page)
            page.keyboard.press(key)
        kept(page, 6)
        assert [verdict for _, _, verdict in stored(run)] == [
            "positive", "negative", "unsure", "positive", "negative", "unsure",
        ]  # fmt: skip
        page.keyboard.press("z")
        kept(page, 5)
        page.keyboard.press("z")
        kept(page, 4)
        page.keyboard.press("y")
        kept(page, 5)
        page.keyboard.press(" ")
        assert page.locator(".frame.zoomed").count() == 1
        page.keyboard.press("m")
        page.wait_for_selector(".known dd")
        assert "image_path" in page.inner_text("#known")
        for _ in range(7):
            settled(page)
            page.keyboard.press("y")
        page.wait_for_selector("dialog[open]")
        page.keyboard.press("z")
        page.wait_for_selector("dialog[open]", state="hidden")
        kept(page, 11)
        page.keyboard.press("n")
        page.wait_for_selector("dialog[open]")
    verdicts = stored(run)
    assert len(verdicts) == 12
    assert verdicts[-1] == (made.uids[3], "Anna", "negative"), "what was skipped came last"


def test_two_people_at_once_and_gold(chromium: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, 120, ("cat",))
    made = ask(run, rule="all", gold_share=0.5)
    with serving(run) as (port, _), people(chromium, port) as open_page:
        anna, ben = open_page("Anna", "/verify/kept/one"), open_page("Ben", "/verify/kept/one")
        for _ in range(4):  # Anna started the studio: her answers become gold
            settled(anna)
            anna.keyboard.press("Shift+Y")
        until(anna, "document.getElementById('say')?.textContent === 'a gold question now'")
        kept(anna, 4)
        for page, other in ((anna, ben), (ben, anna)):
            page.reload()
            settled(page)
            assert page.get_attribute("#picture", "src") != other.get_attribute("#picture", "src")
        for page, key in ((anna, "y"), (ben, "n")):
            for _ in range(14):
                shown = "document.getElementById('picture')?.hidden === false"
                until(page, f"{shown} || !!document.querySelector('dialog[open]')")
                page.keyboard.press(key)
        kept(ben, 14)
        ben.goto(f"http://127.0.0.1:{port}/verify/kept")
        people_table = ben.inner_text("#state")
    verdicts = stored(run)
    gold = set(made.uids[:4])
    asked: dict[str, set[str]] = {}
    for uid, who, _ in verdicts:
        asked.setdefault(uid, set()).add(who)
    assert all(len(who) == 1 for uid, who in asked.items() if uid not in gold)
    assert [uid for uid, who in asked.items() if who == {"Anna", "Ben"}]
    assert {who for uid in gold for who in asked[uid]} == {"Anna", "Ben"}
    assert re.search(r"Ben\s+14\s.*\b0 of [1-4]\b", people_table)
    assert re.search(r"Anna\s.*\b4 of 4\b", people_table)


def test_verdicts_wait_while_the_studio_is_away(chromium: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, 30, ("cat",))
    ask(run, rule="all")
    with serving(run) as (port, _):
        context = chromium.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        enter(page, port, "Anna", "/verify/kept/one")
        settled(page)
        page.keyboard.press("y")
        kept(page, 1)
        context.set_offline(True)
        for key in "nnu":
            page.keyboard.press(key)
        until(page, "document.getElementById('saved')?.textContent === 'saving 3…'")
        assert len(stored(run)) == 1
        page.close()  # the laptop is closed
        context.set_offline(False)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/verify/kept/one")
        kept(page, 4)
        assert [verdict for _, _, verdict in stored(run)] == ["positive", "negative", "negative", "unsure"]
        context.close()


def test_classes_by_keyboard_and_on_a_narrow_screen(chromium: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, 12, tuple(f"kind {number:02d}" for number in range(12)))
    ask(run, rule="all", answer="class", question="Which of these does it show?")
    with serving(run) as (port, _), people(chromium, port) as open_page:
        page = open_page("Anna", "/verify/kept/one")
        settled(page)
        page.keyboard.press("?")
        page.wait_for_selector("#sheet[open]")
        page.keyboard.press("2")  # keys of the page have no effect behind the sheet
        page.keyboard.press("Escape")
        page.keyboard.press("c")
        page.keyboard.type("blurred")
        page.keyboard.press("Enter")
        page.keyboard.press("2")
        kept(page, 1)
        assert page.input_value("#comment") == ""
        settled(page)
        page.keyboard.press("/")
        page.keyboard.type("D 1")
        page.keyboard.press("Enter")
        kept(page, 2)
        settled(page)
        page.keyboard.press("n")
        kept(page, 3)
        store = VerdictStore(run / STORE)
        said = [(one.chosen, one.comment) for one in store.counting("kept")]
        store.close()
        assert said == [(("kind 01",), "blurred"), (("kind 10",), ""), ((), "")]
        page.set_viewport_size({"width": 390, "height": 844})
        for path in ("/", "/verify", "/verify/kept", "/verify/kept/one", "/explore/kept", "/explore/kept/compare"):
            page.goto(f"http://127.0.0.1:{port}{path}")
            assert asked(page, "document.documentElement.scrollWidth <= innerWidth"), path
            assert asked(page, _SMALL) == [], path
        page.goto(f"http://127.0.0.1:{port}/explore/kept")
        assert asked(page, "document.getElementById('facets').getBoundingClientRect().height") <= 50
        assert not page.is_visible("[name=word]")
        page.click("[data-fold=actions]")
        assert page.is_visible("[name=word]")
        page.click("[data-fold=facets]")
        assert asked(page, "document.getElementById('facets').getBoundingClientRect().height") > 100


def test_several_classes_by_keyboard(chromium: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, 12, tuple(f"kind {number:02d}" for number in range(12)))
    ask(run, rule="all", answer="classes", question="Which of these does it show?")
    with serving(run) as (port, _), people(chromium, port) as open_page:
        page = open_page("Anna", "/verify/kept/one")
        settled(page)
        for key in ("2", "3", "2", "1", "/"):  # the second is taken back
            page.keyboard.press(key)
        page.keyboard.type("d 11")
        page.keyboard.press("Enter")
        assert asked(page, "document.querySelectorAll('.choices [aria-pressed=true]').length") == 3
        assert page.inner_text("#send span") == "it shows these 3 classes"
        page.keyboard.press("Enter")
        kept(page, 1)
        settled(page)
        assert asked(page, "document.querySelectorAll('.choices [aria-pressed=true]').length") == 0
        page.keyboard.press("Enter")  # nothing is chosen
        page.focus(".choices button:nth-child(5)")
        page.keyboard.press("Space")
        page.focus("#send")
        page.keyboard.press("Enter")
        kept(page, 2)
        store = VerdictStore(run / STORE)
        said = [one.chosen for one in store.counting("kept")]
        store.close()
        assert said == [("kind 00", "kind 02", "kind 11"), ("kind 04",)]
        page.set_viewport_size({"width": 390, "height": 844})
        assert asked(page, "document.documentElement.scrollWidth <= innerWidth")
        assert asked(page, _SMALL) == []


_SMALL = """[...document.querySelectorAll("a, button, input:not([type=checkbox]), select, summary, textarea")]
    .map((one) => [one.outerHTML.slice(0, 60), one.getBoundingClientRect()])
    .filter(([, box]) => box.width && box.height && box.height < 44).map(([words]) => words)"""


def test_pages_are_accessible(chromium: Any, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    run = make_run(tmp_path, 30, ("cat", "dog"))
    ask(run, rule="all", overlap=2)
    ask(run, "classes", rule="all", answer="class")
    several = ask(run, "several", rule="all", answer="classes", overlap=2)
    with serving(run) as (port, _), people(chromium, port) as open_page:
        page = open_page("Anna", "/verify")
        for name, classes in (("Ben", ["cat"]), ("Chris", ["cat", "dog"])):
            answer = {"uid": several.uids[0], "chosen": classes, "key": new_key()}
            Browser(port, name).ask("/verify/several/say", {"act": new_key(), "answers": [answer]})
        for path in _PAGES:
            page.goto(f"http://127.0.0.1:{port}{path}")
            page.wait_for_timeout(200)
            for scheme, width in (("light", 1280), ("dark", 390)):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size({"width": width, "height": 800})
                found = axe.run(page).response["violations"]
                serious = [(one["id"], one["nodes"][0]["html"][:80]) for one in found if one["impact"] in _SERIOUS]
                assert serious == [], (path, scheme, width)


_SERIOUS = ("moderate", "serious", "critical")
_PAGES = (
    *("/enter", "/", "/verify", "/verify/kept", "/verify/kept/one", "/verify/kept/grid", "/verify/classes/one"),
    *("/verify/several", "/verify/several/one", "/verify/several/review", "/report", "/report/page"),
    *("/verify/kept/rows", "/explore/kept", "/explore/kept?layout=table", "/explore/kept/map", "/explore/kept/compare"),
    "/explore/kept/galleries",
)
