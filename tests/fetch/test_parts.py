"""The pieces: queues by host, headers, hashes seen often, EXIF."""

from __future__ import annotations

import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from poolwright.fetch.http.contents import exif_json
from poolwright.fetch.http.headers import opted_out, retry_after
from poolwright.fetch.limits import HostLimits
from poolwright.fetch.queues import HostQueues
from poolwright.fetch.repeats import frequent
from poolwright.fetch.shards.records import make_key


def test_hosts_take_turns() -> None:
    queues: HostQueues[int] = HostQueues(HostLimits(per_host=1, pause=0, failures=9))
    for number in range(3):
        queues.put("big", number)
    queues.put("small", 9)
    assert [queues.take(1.0), queues.take(1.0), queues.take(1.0)] == [("big", 0, 0), ("small", 9, 0), None]
    queues.done("big", True)
    assert queues.take(1.1) == ("big", 1, 0)


def test_a_host_that_rests() -> None:
    queues: HostQueues[int] = HostQueues(HostLimits(per_host=2, pause=0, failures=9))
    queues.put("a", 1)
    queues.hold("a", 5.0)
    assert queues.take(1.0) is None
    assert queues.next_time() == 5.0
    assert queues.take(5.0) == ("a", 1, 0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.0, 3.0, 7.0])), max_size=40),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.0]),
)
def test_nothing_is_lost_and_no_limit_is_passed(items: list[tuple[str, float]], per_host: int, delay: float) -> None:
    queues: HostQueues[int] = HostQueues(HostLimits(per_host, delay, 99))
    for number, (host, at) in enumerate(items):
        queues.put(host, number, at)
    out: list[tuple[str, int]] = []
    got: Counter[int] = Counter()
    begun: dict[str, float] = {}
    now = 0.5
    while len(got) < len(items):
        while taken := queues.take(now):
            out.append(taken[:2])
            got[taken.item] += 1
            assert items[taken.item][1] <= now
            assert now - begun.get(taken.host, -9.0) >= delay
            begun[taken.host] = now
            if taken.pause:
                queues.started(taken.host, now)
        assert max(Counter(host for host, _ in out).values(), default=0) <= per_host
        if out:
            queues.done(out.pop(0)[0])
        else:
            at = queues.next_time()
            assert at is not None
            assert at > now
            now = at
    assert set(got.values()) <= {1}
    assert queues.waiting == 0


def test_a_host_is_down_after_failures_in_a_row() -> None:
    queues: HostQueues[int] = HostQueues(HostLimits(per_host=1, pause=0, failures=2))
    for reached in (False, True, False, None, False):
        assert not queues.is_down("a")
        queues.put("a", 0)
        queues.take(1.0)
        queues.done("a", reached)
    assert queues.is_down("a")


@given(st.lists(st.sampled_from("aaaabcdefghij")), st.integers(1, 5))
def test_frequent_values_are_found(values: list[str], counters: int) -> None:
    often = {value for value, count in Counter(values).items() if count > len(values) / (counters + 1)}
    least = min((values.count(value) for value in often), default=1)
    assert often <= frequent(values, counters, least)


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), ("", None), (None, None), ("soon", None), ("-1", None), ("9" * 30, None)]
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_a_date() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 95 < (retry_after(when) or 0) <= 100
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.parametrize(
    ("values", "no"),
    [(["noai"], "noai"), (["nofollow, NoImageAI "], "nofollow, NoImageAI "), (["nofollow", "noindex"], "noindex"),
     (["googlebot: noai"], None), (["PoolWright: noai"], "PoolWright: noai"), ([], None),
     (["unavailable_after: 25 Jun 2010 15:00:00 PST"], "unavailable_after: 25 Jun 2010 15:00:00 PST"),
     (["googlebot: unavailable_after: 2010-06-25"], None), (["unavailable_after: when it rains"], None)],
)  # fmt: skip
def test_robots_tags(values: list[str], no: str | None) -> None:
    assert opted_out(values, ("noai", "noimageai", "noindex", "noimageindex")) == no


def test_exif() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker\0", 6
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", exif=exif)
    assert json.loads(exif_json(out.getvalue()) or "") == {"Make": "Maker", "Orientation": "6"}
    assert exif_json(out.getvalue()[:30]) in (None, "{}")
    assert exif_json(b"\x89PNG") is None


@pytest.mark.parametrize(
    ("shard", "row", "rows", "key"),
    [(0, 7, 10_000, "000000007"), (12, 9_999, 10_000, "000129999"), (3, 4, 5, "000034"), (1, 0, 1, "000010")],
)
def test_keys_are_those_of_img2dataset(shard: int, row: int, rows: int, key: str) -> None:
    assert make_key(shard, row, rows) == key
