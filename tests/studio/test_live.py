"""A queue at work: who is asked what, two people at once, undo, gold, verdicts sent twice."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from poolwright.annotation.annotators import people_of
from poolwright.annotation.queue.queue import Settings, make_queue
from poolwright.annotation.queue.store import VerdictStore
from poolwright.core.errors import InputError
from poolwright.studio.verifying import leases as module
from poolwright.studio.verifying.live import LiveQueue, SentVerdict
from tests.studio.made import new_key


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VerdictStore]:
    made = VerdictStore(tmp_path / "verdicts.sqlite")
    yield made
    made.close()


def queue(folder: Path, store: VerdictStore, count: int = 40, classes: int = 2, **settings: object) -> LiveQueue:
    rows = pa.table(
        {"uid": [f"u{row:03d}" for row in range(count)], "class": [f"c{row % classes}" for row in range(count)]}
    )
    made = make_queue(folder / "verify" / "q", Settings("q", **{"rule": "all", **settings}), rows)  # type: ignore[arg-type]
    return LiveQueue(made, store)


def answers(uids: list[str], verdict: str = "positive") -> list[SentVerdict]:
    return [SentVerdict(uid, verdict, new_key()) for uid in uids]


def take(live: LiveQueue, who: str, number: int = 5, group: str = "", have: tuple[str, ...] = ()) -> list[str]:
    return [card.uid for card in live.take(who, number, group, have)]


def test_two_people_get_different_rows(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store)
    anna, ben = take(live, "Anna"), take(live, "Ben")
    assert len({*anna, *ben}) == 10
    assert take(live, "Anna", have=tuple(anna)) != anna
    live.give_back("Anna", anna)
    assert take(live, "Chris") == anna
    names = [live.queue.names[live.queue.row_of[uid]] for uid in (*anna, *ben)]
    assert set(names) == {"c0"}, "one group after the other"


def test_leases_end(tmp_path: Path, store: VerdictStore, monkeypatch: pytest.MonkeyPatch) -> None:
    live = queue(tmp_path, store)
    anna = take(live, "Anna")
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + module.LEASE_SECONDS + 1)
    assert take(live, "Ben") == anna
    live.say("Anna", answers(anna))  # she is late, and her verdicts count all the same
    live.say("Ben", answers(anna, "negative"))
    assert {live.tally.outcome(live.queue.row_of[uid]) for uid in anna} == {"unsure"}


def test_leases_outlive_the_studio(tmp_path: Path, store: VerdictStore, monkeypatch: pytest.MonkeyPatch) -> None:
    live = queue(tmp_path, store, 12, 1)
    answered, given_back, *held = take(live, "Anna", 6)
    live.say("Anna", answers([answered]))
    live.give_back("Anna", [given_back])
    live.undo("Anna", "undo")
    live.skip("Anna", held.pop())
    killed = sqlite3.connect(store.path)
    other = sqlite3.connect(tmp_path / "killed.sqlite")
    killed.backup(other)
    killed.close()
    other.close()
    again = LiveQueue(live.queue, VerdictStore(tmp_path / "killed.sqlite"))
    ben = take(again, "Ben", 12)
    assert not {answered, *held} & set(ben)
    assert len(ben) == 12 - len(held) - 1
    assert {answered, *held} <= set(take(again, "Anna", 12)), "they are hers, and she may go on"
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now - 9e6)
    assert set(held) <= set(take(again, "Chris", 12)), "the clock was put back"
    again.store.close()


def test_overlap_is_met_and_not_passed(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store, 12, 1, overlap=2)
    said: Counter[str] = Counter()

    def work(who: str) -> None:
        while uids := take(live, who, 2):
            live.say(who, answers(uids))
            said.update(uids)

    threads = [threading.Thread(target=work, args=(who,)) for who in ("Anna", "Ben", "Chris", "Dora")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(said.values()) == {2}
    assert len(said) == 12
    assert live.tally.group("c0").done


def test_nobody_is_asked_twice(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store, 6, 1, overlap=2)
    live.say("Anna", answers(take(live, "Anna", 6)))
    assert take(live, "Anna", 6) == []
    assert len(take(live, "Ben", 6)) == 6


def test_verdicts_sent_twice_count_once(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store, overlap=1)
    uids = take(live, "Anna", 3)
    given = answers(uids)
    first = live.say("Anna", given, "act")
    assert live.say("Anna", given, "act") == first
    live.undo("Anna", "undo one")
    live.say("Anna", given, "act")  # a late request of what was taken back
    assert live.mine("Anna") == 0
    assert len(store.history("q")) == 6
    assert LiveQueue(live.queue, store).mine("Anna") == 0


def test_undo_goes_back_step_by_step(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store)
    first, second = take(live, "Anna", 2)
    live.say("Ben", answers([take(live, "Ben", 1)[0]]))
    live.say("Anna", answers([first]), "1")
    live.say("Anna", answers([second], "negative"), "2")
    live.say("Anna", answers([first], "unsure"), "3")
    assert [card.uid for card in live.undo("Anna", "a")] == [first]
    assert live.tally.votes[first]["Anna"].verdict == "positive", "what she said before"
    assert [card.uid for card in live.undo("Anna", "a")] == [first], "the same wish, sent again"
    assert [card.uid for card in live.undo("Anna", "b")] == [second]
    assert take(live, "Chris", 40).count(second) == 0, "it is kept for Anna, who sees it again"
    assert [card.uid for card in live.undo("Anna", "c")] == [first]
    assert live.undo("Anna", "d") == []
    assert live.mine("Anna") == 0
    assert live.mine("Ben") == 1
    again = LiveQueue(live.queue, store)
    assert again.undo("Anna", "e") == [], "nothing is left to take back after a start either"
    assert again.mine("Ben") == 1


def test_a_grid_is_taken_back_at_once_also_after_a_start(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store)
    uids = take(live, "Anna", 4)
    live.say("Anna", answers(uids), "grid")
    again = LiveQueue(live.queue, store)
    assert sorted(card.uid for card in again.undo("Anna", "a")) == sorted(uids)
    assert again.tally.group("c0").verified == 0
    assert take(again, "Ben", 4) != uids


def test_nobody_takes_back_what_another_said(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store)
    live.say("Anna", answers(take(live, "Anna", 2)), "the same act")
    live.say("Ben", answers(take(live, "Ben", 3)), "the same act")
    assert len(live.undo("Ben", "u")) == 3
    assert (live.mine("Anna"), live.mine("Ben")) == (2, 0)


def test_skipped_rows_come_last_and_to_others(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store, 4, 1)
    first, *rest = take(live, "Anna", 4)
    live.skip("Anna", first)
    assert take(live, "Ben", 1) == [first]
    live.give_back("Ben", [first])
    live.say("Anna", answers(rest))
    assert take(live, "Anna", 4) == [first]


def test_skips_are_kept_and_a_row_is_given_up_in_the_end(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store, 3, 1)
    first, *rest = take(live, "Anna", 3)
    live.skip("Anna", first, "one")
    live.skip("Anna", first, "one")
    live.say("Anna", answers(rest))
    again = LiveQueue(live.queue, store)
    (group,) = again.progress()
    assert (group.verified, group.skipped, group.done) == (2, 1, False)
    assert [person.skips for person in people_of(again.snapshot(), {})] == [1]
    assert take(again, "Anna", 3) == [first], "it comes back at the end"
    again.say("Anna", answers([first]))
    assert again.progress()[0].skipped == 0
    again.undo("Anna", "undo")
    assert again.progress()[0].skipped == 1, "taken back, it is a skipped row again"
    again.skip("Ben", first)
    (group,) = again.progress()
    assert (group.done, group.wrong, group.unsure, group.skipped) == (True, 0, 0, 1)
    assert take(again, "Chris", 3) == []


def test_gold_questions_are_mixed_in(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store, 400, 1, gold_share=0.2)
    live._secret = 7
    gold = dict.fromkeys(live.queue.uids[300:340], "negative")
    live.make_gold(list(gold.items()), "owner")
    for who in ("Anna", "Ben"):
        while len(uids := take(live, who, 10)) and live.mine(who) < 130:
            assert len(set(uids)) == len(uids)
            live.say(who, answers(uids, "negative" if who == "Anna" else "positive"))
    right = live.snapshot().on_gold
    assert right["Anna"][0] == right["Anna"][1] >= 15
    assert right["Ben"] == (0, right["Ben"][1])
    assert right["Ben"][1] >= 15, "everybody is asked the same gold rows"
    rows = [live.queue.uids.index(uid) for uid in live.tally.votes if uid in gold]
    assert len(rows) == len(set(rows))
    again = LiveQueue(live.queue, store)
    assert again.snapshot().on_gold == right


def test_gold_questions_come_as_all_others(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store, 60, 1, gold_share=0.5)
    live._secret = 7
    gold = live.queue.uids[30:50]
    live.say("owner", answers(gold))  # verified already, and asked all the same
    live.make_gold([(uid, "positive") for uid in gold], "owner")
    first = take(live, "Anna", 20)
    assert len(first) == 20, "as many as were asked for"
    asked = [uid for uid in first if uid in gold]
    assert 4 <= len(asked) <= 16
    assert take(live, "Anna", 20) == first, "the same again, in the same places, when the page is loaded anew"
    live.give_back("Anna", first)
    assert take(live, "Anna", 20) == first
    live.say("Anna", answers([uid for uid in first if uid not in (first[3], asked[-1])]))
    assert take(live, "Anna", 2) == sorted([first[3], asked[-1]], key=first.index), "what is open comes first"
    for uid in (first[3], asked[-1]):
        live.skip("Anna", uid)
    rest: list[str] = []
    while uids := take(live, "Anna", 7, have=(first[3], asked[-1])):
        live.say("Anna", answers(uids))
        rest += uids
    assert len(rest) == len(set(rest))
    assert take(live, "Anna", 7) == sorted([first[3], asked[-1]], key=first.index), "what was skipped comes last"


def test_whoever_was_careless_is_asked_again(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store, 10, 1)
    live.say("Chance", answers(take(live, "Chance", 10)))
    assert live.tally.group("c0").done
    live.ask_again("Chance", "owner")
    assert live.tally.group("c0").verified == 0
    assert len(take(live, "Ben", 10)) == 10
    live.let_count("Chance", "owner")
    assert live.tally.group("c0").done
    assert [card.uid for card in live.undo("Chance", "u")]


def test_a_done_group_asks_no_more(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store, 1000, 2, rule="precision", target=0.99)
    while uids := take(live, "Anna", 60, "c0"):
        live.say("Anna", answers(uids))
    (group,) = live.progress("c0")
    assert (group.judgement.conclusion, group.judgement.errors) == ("met", 0)
    assert group.verified < 360
    assert {live.queue.names[live.queue.row_of[uid]] for uid in take(live, "Anna", 5)} == {"c1"}


def test_strange_rows_are_reported(tmp_path: Path, store: VerdictStore) -> None:
    live = queue(tmp_path, store)
    with pytest.raises(InputError, match="is not a row of the queue"):
        live.say("Anna", answers(["u000", "elsewhere"]))
    assert live.mine("Anna") == 0
    assert take(live, "Anna", 5, "no such group") == []
