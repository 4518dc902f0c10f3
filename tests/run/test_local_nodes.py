"""Objects in processes of this machine: they call each other, fail with their errors, and end with their starter."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from poolwright.core.errors import RecipeError
from poolwright.core.runtime.nodes import NodeLost, RemoteObject
from poolwright.run.engine.local import LocalEngine
from poolwright.run.engine.local_nodes import LocalNodes

pytestmark = pytest.mark.skipif(os.name == "nt", reason="one process there")


class Counter:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.told: list[int] = []

    async def tell(self, number: int) -> int:
        self.told.append(number)
        if number < 0:
            raise RecipeError("fewer than none")
        return len(self.told)


class Teller:
    """Tells a counter."""

    def __init__(self, counter: RemoteObject, name: str) -> None:
        if not name:
            raise RecipeError("it needs a name")
        self.counter, self.name = counter, name
        print("not a result")

    async def tell(self, numbers: list[int]) -> list[Any]:
        return [self.name, *await asyncio.gather(*(self.counter.call("tell", number) for number in numbers))]

    async def size(self, data: bytes) -> int:
        return len(data)

    async def process(self) -> int:
        return os.getpid()

    async def hang(self) -> None:
        time.sleep(60)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_objects_call_each_other(capfd: pytest.CaptureFixture[str]) -> None:
    nodes = LocalNodes(2, optional=False)

    async def work() -> None:
        counter = nodes.start(None, Counter)
        tellers = [nodes.start(place, Teller, counter, f"teller {place}") for place in nodes.places()]
        assert await tellers[0].call("tell", [5, 6]) == ["teller 0", 1, 2]
        assert await tellers[1].call("tell", [7]) == ["teller 1", 3]
        assert await tellers[1].call("size", bytes(5_000_000)) == 5_000_000
        assert await tellers[0].call("process") != os.getpid()
        with pytest.raises(RecipeError, match="fewer than none"):
            await tellers[0].call("tell", [-1])
        with pytest.raises(RecipeError, match="it needs a name"):
            await nodes.start("0", Teller, counter, "").call("tell", [1])

    run(work())
    nodes.end_all()
    assert "not a result" not in capfd.readouterr().out


@pytest.mark.parametrize("method", ["process", "hang"])
def test_a_process_that_is_killed_is_lost(method: str) -> None:
    nodes = LocalNodes(2, optional=False)

    async def work() -> None:
        lost, other = (nodes.start(place, Teller, nodes.start(None, Counter), "a") for place in "01")
        process = await lost.call("process")
        called = asyncio.create_task(lost.call("hang"))
        await asyncio.sleep(0.1)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(NodeLost, match="killed by signal 9"):
            await called
        with pytest.raises(NodeLost):
            await lost.call(method)
        assert nodes.places() == ["1"]
        assert await other.call("process")
        ended = await other.call("process")
        nodes.end(other)
        with pytest.raises(ProcessLookupError):
            os.kill(ended, 0)
        assert nodes.places() == ["1"], "one that was ended may be started again"

    run(work())


STARTER = """
import asyncio
from poolwright.run.engine.local_nodes import LocalNodes
from tests.run.test_local_nodes import Counter, Teller

async def work():
    nodes = LocalNodes(2, optional=False)
    counter = nodes.start(None, Counter)
    tellers = [nodes.start(place, Teller, counter, "a") for place in nodes.places()]
    print(*[await teller.call("process") for teller in tellers], flush=True)
    await asyncio.Event().wait()

asyncio.run(work())
"""


def test_processes_end_with_the_one_that_started_them() -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    processes = [int(word) for word in starter.stdout.readline().split()]
    starter.kill()
    starter.wait()
    until = time.monotonic() + 10
    while time.monotonic() < until and any(map(_is_alive, processes)):
        time.sleep(0.02)
    assert not any(map(_is_alive, processes))
    starter.stdout.close()


def _is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended may still be listed."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_one_worker_is_the_calling_process(tmp_path: Any) -> None:
    with LocalEngine(1).nodes(tmp_path) as nodes:
        assert nodes is None
    with LocalEngine(3).nodes(tmp_path) as nodes:
        assert nodes is not None
        assert (nodes.places(), nodes.here, nodes.optional) == (["0", "1", "2"], True, False)
