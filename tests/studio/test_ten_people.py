"""Ten people on one queue of classes: eight by HTTP and two in a real browser, two on every picture."""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from poolwright.annotation.queue.queue import Queue
from poolwright.annotation.queue.store import STORE, VerdictStore
from tests.studio.made import Browser, ask, make_run, new_key, serving
from tests.studio.test_verify_browser import CHROMIUM, chromium, people, until

__all__ = ["chromium"]  # a fixture

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}")]

NAMES = ("cat", "dog", "horse")
PART = {"Anna", "Ben", "Chris"}
"""Who is asked about horses."""
BY_HTTP = ("Chris", *(f"Person {number}" for number in range(7)))


def seen(queue: Queue, uid: str) -> str:
    """The class that everybody sees: that of the row, but the next one on every tenth row."""
    row = int(uid[1:])
    return NAMES[(NAMES.index(queue.classes[queue.row_of[uid]]) + (row % 10 == 0)) % 3]


def answer(queue: Queue, uid: str) -> dict[str, Any]:
    chosen = seen(queue, uid)
    return {"uid": uid, "key": new_key(), "seconds": 1.0, "chosen": [chosen] if queue.name == "several" else chosen}


def work(port: int, queue: Queue, who: str, done: threading.Event) -> None:
    """Answer by HTTP, some requests twice as after a lost answer, until everybody is done."""
    browser = Browser(port, who)
    while not done.is_set():
        cards = browser.take(queue.name, 3)
        for card in cards:
            sent = {"act": new_key(), "answers": [answer(queue, card["uid"])]}
            for _ in range(1 + (int(card["uid"][1:]) % 7 == 0)):
                browser.ask(f"/verify/{queue.name}/say", sent)
        time.sleep(0.02 if cards else 0.1)


_SHOWN = """(it => it && !it.hidden && it.complete && !document.querySelector("dialog[open]") ? it.src : "")(
    document.getElementById("picture"))"""


def press(page: Any, queue: Queue) -> bool:
    """Answer the picture that a page shows, by keyboard; whether it shows one."""
    source = page.evaluate(
        "((it) => it && !it.hidden && it.complete ? it.src : '')(document.getElementById('picture'))"
    )
    if not source or page.evaluate("!!document.querySelector('dialog[open]')"):
        return False
    (uid,) = parse_qs(urlsplit(source).query)["uid"]
    page.keyboard.press(str(1 + NAMES.index(seen(queue, uid))))
    if queue.name == "several":
        page.keyboard.press("Enter")
    return True


def in_turns(pages: Sequence[Any], queue: Queue, store: VerdictStore, wanted: int) -> None:
    """Answer on several pages until so many verdicts are stored."""
    end = time.monotonic() + 30
    while len(store.counting(queue.name)) < wanted:
        assert time.monotonic() < end, "the queue came to no end"
        if True not in [press(page, queue) for page in pages]:
            pages[0].wait_for_timeout(50)


@pytest.mark.parametrize(("name", "form"), [("one", "class"), ("several", "classes")])
def test_ten_people_two_per_picture(chromium: Any, tmp_path: Path, name: str, form: str) -> None:
    run = make_run(tmp_path, 60, NAMES)
    queue = ask(run, name, rule="all", answer=form, overlap=2, question="Which of these does it show?")
    done = threading.Event()
    with serving(run) as (port, _), people(chromium, port) as open_page:
        owner = Browser(port, "Anna")
        owner.get(f"/verify/{name}")
        assert owner.post(f"/verify/{name}/parts", form={"people": ", ".join(PART), "group": "horse"})[0] == 303
        pages = [open_page(who, f"/verify/{name}/one") for who in ("Anna", "Ben")]
        others = [threading.Thread(target=work, args=(port, queue, who, done), daemon=True) for who in BY_HTTP]
        for person in others:
            person.start()
        store = VerdictStore(run / STORE)
        in_turns(pages, queue, store, 120)
        done.set()
        for person in others:
            person.join(20)
        for page in pages:
            until(page, "document.getElementById('saved')?.textContent?.endsWith('by you, saved')")
        told = {who: page.inner_text("#saved") for who, page in zip(("Anna", "Ben"), pages, strict=True)}
        overview = owner.get(f"/verify/{name}")[2].decode()
    history, said = store.history(name), store.counting(name)
    store.close()
    assert len(history) == len({one.key for one in history}) == len(said) == 120, "each verdict once"
    judges = defaultdict(set)
    for one in said:
        judges[one.uid].add(one.annotator)
        assert one.chosen == (seen(queue, one.uid),)
        assert (one.verdict == "positive") == (one.chosen == (queue.classes[queue.row_of[one.uid]],))
    assert {len(who) for who in judges.values()} == {2}, "two different people on every picture"
    horses = {uid for uid, own in zip(queue.uids, queue.classes, strict=True) if own == "horse"}
    assert set().union(*(judges[uid] for uid in horses)) <= PART
    counts = {who: sum(one.annotator == who for one in said) for who in {one.annotator for one in said}}
    assert {who: int(words.split()[0]) for who, words in told.items()} == {who: counts[who] for who in told}
    shown = {who: (int(all_), part) for who, all_, part in re.findall(_PERSON, overview.split("<h2>People</h2>")[1])}
    assert {who: all_ for who, (all_, _) in shown.items()} == counts
    for who in PART:
        assert shown[who][1] == f"{sum(who in judges[uid] for uid in horses)} of 20 rows", who
    assert ("Classes that people see" in overview) == (form == "classes")


_PERSON = re.compile(
    r"<td><b>([^<]+)</b></td>\s*<td class=\"right\">(\d+)</td>\s*<td class=\"right\">\d+</td>\s*"
    r"<td class=\"right\">[^<]*</td>\s*<td class=\"right\">([^<]*)</td>"
)
