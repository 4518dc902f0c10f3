"""kill -9, again and again, while people work: every verdict that the studio said it kept is there, once."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from poolwright.annotation.queue.queue import read_queue
from poolwright.annotation.queue.store import STORE, VerdictStore
from tests.studio.made import Browser, ask, make_run, new_key

PEOPLE, AT_ONCE = 4, 5
"""People who work at once, and rows that each takes at a time."""


class Killed:
    """A studio in a process of its own, which is killed and started again on the same port."""

    def __init__(self, run: Path) -> None:
        self.run, self.kills = run, 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "poolwright", "studio", str(self.run), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert "open http" in self.process.stdout.readline()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.kills += 1
        self.start()


def work(port: int, who: str, verdicts: int, kept: dict[str, tuple[str, str]], random_seed: int) -> None:
    """Give verdicts until so many are acknowledged; send again, with the same key, what was not."""
    draw = random.Random(random_seed)
    browser: Browser | None = None
    queue: list[str] = []
    pending: tuple[str, str, str] | None = None
    while len(kept) < verdicts:
        try:
            browser = browser or Browser(port, who)
            if pending is None:
                if not queue:
                    queue = [card["uid"] for card in browser.take("kept", AT_ONCE)]
                pending = (queue.pop(0), draw.choice(["positive", "negative"]), new_key())
            uid, verdict, key = pending
            answer = {"uid": uid, "verdict": verdict, "key": key}
            found = browser.ask("/verify/kept/say", {"act": key, "answers": [answer]})
            if draw.random() < 0.05:
                browser.ask("/verify/kept/say", {"act": key, "answers": [answer]})  # a double click
            assert found["kept"] == [key]
            kept[key] = (uid, verdict)
            pending = None
        except (OSError, http.client.HTTPException):
            browser = None
            time.sleep(0.05)


def session(folder: Path, kills: int, verdicts: int) -> None:
    """4 people give `verdicts` in all while the studio is killed so many times."""
    run = make_run(folder, verdicts + 200, ("all",))
    ask(run, rule="all")
    studio = Killed(run)
    kept: list[dict[str, tuple[str, str]]] = [{} for _ in range(PEOPLE)]
    people = [
        threading.Thread(
            target=work, args=(studio.port, f"person {number}", verdicts // PEOPLE, mine, number), daemon=True
        )
        for number, mine in enumerate(kept)
    ]
    try:
        for person in people:
            person.start()
        for number in range(1, kills + 1):
            while sum(map(len, kept)) < verdicts * number // (kills + 1):
                time.sleep(0.01)
                assert any(person.is_alive() for person in people)
            studio.kill()
        for person in people:
            person.join(60)
            assert not person.is_alive()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(studio.process.pid, signal.SIGKILL)
        studio.process.wait()
    assert studio.kills == kills
    store = VerdictStore(run / STORE)
    history = store.history("kept")
    store.close()
    found = {said.key: (said.uid, said.verdict) for said in history}
    acknowledged = {key: value for mine in kept for key, value in mine.items()}
    assert len(acknowledged) == verdicts
    assert {key: found.get(key) for key in acknowledged} == acknowledged
    assert len(history) == len(found), "each once"
    # What was kept but never acknowledged, because the answer was lost, was sent again with its key: nothing is there
    # in addition to what people know of.
    assert set(found) == set(acknowledged)
    counted = Counter(said.uid for said in history)
    assert len(read_queue(run / "verify" / "kept")) == verdicts + 200
    # Leases go with a killed studio, so that a row can be asked of two people then; never of one twice.
    assert PEOPLE * AT_ONCE * kills < verdicts / 2, "the bound below says something"
    assert sum(count > 1 for count in counted.values()) <= PEOPLE * AT_ONCE * kills
    assert len({(said.uid, said.annotator) for said in history}) == len(history)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_eight_times_in_four_hundred_verdicts(tmp_path: Path) -> None:
    session(tmp_path, 8, 400)
