"""Fetch many rows at once on one event loop; a shard is finished when every row of it has an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

from poolwright.fetch.centre import Centre
from poolwright.fetch.feed import OpenShard, ShardFeed, ShardRows
from poolwright.fetch.http.contents import Inspector
from poolwright.fetch.http.digests import algorithm_of, matches, read_digest
from poolwright.fetch.http.host_rules import KnownHosts
from poolwright.fetch.http.network import Resolve
from poolwright.fetch.http.request import Reply, Requests
from poolwright.fetch.http.urls import RequestTarget, parse_url
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import SUCCESS, Failure, FetchOutcome
from poolwright.fetch.queues import Queues, Turn
from poolwright.fetch.shards.answers import FinishedAnswers
from poolwright.fetch.shards.finish_shard import finish_shard
from poolwright.fetch.shards.first_rows import FirstRows
from poolwright.fetch.shards.folder import FetchFolder
from poolwright.fetch.shards.records import EXPECTED, URL
from poolwright.fetch.sharing import Answer, SharedRequests
from poolwright.kernels.selection.hashing import hash_key


class FetchListener(Protocol):
    """Receives the progress of a fetch."""

    def outcome(self, outcome: FetchOutcome) -> None:
        """A row has an outcome."""
        ...

    def shard_finished(self, shard: int) -> None:
        """A shard is finished, by this call or an earlier one."""
        ...


_LOOKED_AT = 8
"""Images held whole in memory at once; the others are spooled."""


@dataclass
class _Job:
    """A row that is being fetched: the target of its URL, its next one, and its outcome so far."""

    shard: OpenShard
    outcome: FetchOutcome
    asked: RequestTarget
    target: RequestTarget
    expected: str | None
    hops: int = 0


class Fetcher:
    """Fetches the rows of shards into a folder.

    Args:
        folder: folder of the shards, already claimed.
        options: how to fetch.
        first: the rows whose URL an earlier row has.
        resolve: resolves host names.
        listener: receives every outcome and every finished shard.
        centre: what all processes of the fetch share.

    Attributes:
        wake: set when there may be something to do.
    """

    def __init__(
        self,
        folder: FetchFolder,
        options: FetchOptions,
        first: FirstRows,
        resolve: Resolve,
        listener: FetchListener,
        centre: Centre,
    ) -> None:
        self.folder, self.options, self.resolve, self.listener = folder, options, resolve, listener
        self.wake, self._centre = asyncio.Event(), centre
        self._first, self._unfinished = first, dict[int, OpenShard]()
        self._queues: Queues[_Job] = centre.queues()
        self._shared: SharedRequests[_Job] = SharedRequests()
        self._inspect = Inspector(options)
        self._open = self._running = 0

    async def run(self, feed: ShardFeed) -> None:
        """Fetch all shards.

        Raises:
            PoolwrightError, OSError: the run itself failed; finished work is kept.
        """
        from poolwright.fetch.http.connections import Connections

        self._finishing, self._looking = asyncio.Lock(), asyncio.Semaphore(_LOOKED_AT)
        try:
            async with Connections(self.options, self.resolve) as connections:
                self._requests = Requests(connections, self.options)
                self._hosts = KnownHosts(self._requests, self.options, self._requests.names, self._centre)
                await self._loop(feed)
        except BaseExceptionGroup as group:
            raise first_error(group) from None

    async def _loop(self, feed: ShardFeed) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                self.wake.clear()
                while (shard := feed.next(self._open, self._queues.waiting)) is not None:
                    self._start(shard, group)
                self._send(group)
                if feed.ended and not (self._open or self._running):
                    return
                await self._sleep()

    def _start(self, given: ShardRows, group: asyncio.TaskGroup) -> None:
        shard = OpenShard(self.folder, given, self._first)
        self._open += 1
        self._unfinished[shard.number] = shard
        if not shard.open:
            group.create_task(self._finish_shard(shard))
        urls = shard.rows.column(URL)
        expected = shard.rows.column(EXPECTED) if EXPECTED in shard.rows.column_names else None
        known = []
        for row in list(shard.left):
            job = self._enter(shard, row, urls[row].as_py(), expected[row].as_py() if expected else None, group)
            known += [job] if job else []
        if known:
            group.create_task(self._answer_known(known, group))

    def _enter(
        self, shard: OpenShard, row: int, url: str | None, expected: str | None, group: asyncio.TaskGroup
    ) -> _Job | None:
        """Queue a row, or finish it at once if it cannot be requested; return it if its URL was answered before."""
        outcome = FetchOutcome(row)
        try:
            target = parse_url(url)
            job = _Job(shard, outcome, target, target, _wanted(expected))
        except Failure as failure:
            outcome.fail(failure.error_class, failure.message)
            self._finish(shard, outcome, None, group)
            return None
        if self._shared.join(target, job):
            return None
        if row in shard.first:
            return job
        self._ask(job)
        return None

    def _ask(self, job: _Job) -> None:
        """Queue a row, unless another asks for its URL now."""
        if not self._shared.join(job.asked, job):
            self._shared.begin(job.asked)
            self._queues.put(job.target.host, job)

    async def _answer_known(self, jobs: Sequence[_Job], group: asyncio.TaskGroup) -> None:
        """Finish rows with the answers of the first rows with their URLs; ask for those that these do not answer."""
        finished: dict[int, FinishedAnswers] = {}
        for job in sorted(jobs, key=lambda job: job.shard.first[job.outcome.row]):
            number, row = job.shard.first[job.outcome.row]
            async with AsyncExitStack() as held:
                await held.enter_async_context(self._finishing)  # so that no shard is written meanwhile
                if number not in self._unfinished and number not in finished:
                    await held.aclose()
                    await self._centre.shard_settled(number)
                    await held.enter_async_context(self._finishing)
                if self._shared.join(job.asked, job):  # a lost process had the shard, which has come here
                    continue
                answer = await asyncio.to_thread(self._first_answer, number, row, finished)
            if answer is not None and self._answers(job, answer):
                self._settle(job, answer, group)
            else:
                self._ask(job)
                self.wake.set()

    def _first_answer(self, number: int, row: int, finished: dict[int, FinishedAnswers]) -> Answer | None:
        """Return the answer of a row of a shard that is in progress or finished."""
        shard = self._unfinished.get(number)
        if shard is not None and row in shard.journal.outcomes:
            data = shard.journal.read(row) if shard.journal.has_image(row) else None
            return Answer(shard.journal.outcomes[row], data)
        if number not in finished:
            finished.clear()
            finished[number] = FinishedAnswers(self.folder, number)
        return finished[number].answer(row)

    def _answers(self, job: _Job, answer: Answer) -> bool:
        """Whether the recorded answer of another row is one for this row too, which may expect other bytes."""
        found, retried = answer.outcome, job.shard.journal.pending is not None
        if answer.data is not None:
            return not (retried and job.expected and not matches(answer.data, found.sha256, job.expected))
        if found.error_class == "hash_mismatch":
            return not retried and job.expected is not None and _differs(found, job.expected)
        return found.error_class != "placeholder" or found.sha256 in self.options.placeholders

    def _send(self, group: asyncio.TaskGroup) -> None:
        while self._running < self.options.concurrency:
            turn = self._queues.take(monotonic())
            if turn is None:
                return
            self._running += 1
            group.create_task(self._step(turn, group))

    async def _sleep(self) -> None:
        at = self._queues.next_time()
        full = self._running >= self.options.concurrency
        timeout = None if at is None or full else max(0.0, at - monotonic()) + 0.001
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self.wake.wait()

    async def _step(self, turn: Turn[_Job], group: asyncio.TaskGroup) -> None:
        """Make one request for a row; it finishes the row, or queues it again."""
        host, job, reached = turn.host, turn.item, None
        begun = monotonic()
        if turn.pause:
            self._queues.started(host, begun)
        try:
            if self._queues.is_down(host):
                raise Failure("host_down", f"{host} could not be reached {self.options.host_failures} times in a row")
            if not await self._may_ask(turn):
                return
            begun = monotonic()
            reply = await self._requests.get(job.target, self.options.total - job.outcome.seconds)
            reached = True
            job.outcome.seconds += monotonic() - begun
            await self._replied(job, reply, group)
        except Failure as failure:
            if reached is None and failure.error_class != "host_down":
                job.outcome.seconds += monotonic() - begun
                reached = not failure.kind.unreachable
            self._failed(job, failure, group)
        finally:
            self._running -= 1
            self._queues.done(host, reached)
            self.wake.set()

    async def _may_ask(self, turn: Turn[_Job]) -> bool:
        """Whether a row may be requested now; if its host wants pauses, and this turn was without, it is queued again.

        Raises:
            Failure: the host does not allow it, or cannot be reached.
        """
        job = turn.item
        rules = self._hosts.at_hand(job.target)
        if rules is None:
            try:
                rules = await self._hosts.read(job.target)
            except Failure:
                job.outcome.attempts += not job.hops
                raise
        if rules.delay > turn.pause:
            self._queues.slow(turn.host, rules.delay)
            self._queues.put(turn.host, job)
            return False
        rules.check(job.target)
        job.outcome.attempts += not job.hops
        return True

    async def _replied(self, job: _Job, reply: Reply, group: asyncio.TaskGroup) -> None:
        outcome = job.outcome
        outcome.http_status = reply.http_status
        if reply.location is not None:
            job.hops += 1
            if job.hops > self.options.redirects:
                raise Failure("too_many_redirects", f"more than {self.options.redirects}, last to {reply.location.url}")
            job.target = reply.location
            self._queues.put(job.target.host, job)
            return
        outcome.bytes, outcome.sha256, outcome.content_type = reply.size, reply.sha256, reply.content_type
        outcome.final_url = reply.target.url
        async with self._looking:
            data = reply.read()
            if self.options.check == "decode":
                await asyncio.to_thread(self._inspect.look, data, outcome)
            else:
                self._inspect.look(data, outcome)
            self._answer(job, data, group)

    def _answer(self, job: _Job, data: bytes | None, group: asyncio.TaskGroup) -> None:
        """Finish a row, and all rows that waited for the same URL."""
        answer = Answer(job.outcome, data)
        for one in [job, *self._shared.end(job.asked)]:
            self._settle(one, answer, group)

    def _settle(self, job: _Job, answer: Answer, group: asyncio.TaskGroup) -> None:
        """Finish a row with an answer; attempts and seconds are those of the row that asked."""
        own = job.outcome
        outcome = FetchOutcome(**vars(answer.outcome))
        outcome.row, outcome.attempts, outcome.seconds = own.row, own.attempts, own.seconds
        if answer.data is not None:
            self._inspect.compare(answer.data, outcome, job.expected)
        elif outcome.error_class == "hash_mismatch":
            outcome.error_message = f"expected {job.expected}"
        self._finish(job.shard, outcome, answer.data if outcome.status == SUCCESS else None, group)

    def _failed(self, job: _Job, failure: Failure, group: asyncio.TaskGroup) -> None:
        """Try again if that may help and there is time; otherwise the row has failed."""
        outcome, options = job.outcome, self.options
        outcome.http_status = failure.http_status
        if failure.kind.retried and outcome.attempts <= options.retries and outcome.seconds < options.total:
            wait = min(self._backoff(job) if failure.wait is None else failure.wait, options.max_wait)
            if failure.error_class == "too_many_requests":
                self._queues.hold(job.target.host, monotonic() + wait)
            job.target, job.hops = job.asked, 0
            self._queues.put(job.target.host, job, monotonic() + wait)
            return
        outcome.final_url = job.target.url
        outcome.fail(failure.error_class, failure.message)
        self._answer(job, None, group)

    def _backoff(self, job: _Job) -> float:
        """Return the seconds before the next try: doubling, with a jitter of 0.5 to 1.5 from the hash of the URL."""
        scatter = hash_key(0, "fetch", job.asked.url, str(job.outcome.attempts)) / 2**64
        return float(self.options.backoff * 2 ** (job.outcome.attempts - 1) * (0.5 + scatter))

    def _finish(self, shard: OpenShard, outcome: FetchOutcome, data: bytes | None, group: asyncio.TaskGroup) -> None:
        shard.journal.add(outcome, data)
        shard.open -= 1
        self.listener.outcome(outcome)
        if not shard.open:
            group.create_task(self._finish_shard(shard))

    async def _finish_shard(self, shard: OpenShard) -> None:
        async with self._finishing:
            given = shard.number, shard.rows, shard.journal, shard.begun, self._first.awaited(shard.number)
            await asyncio.to_thread(finish_shard, self.folder, *given, shard.apart)
            del self._unfinished[shard.number]
        self._open -= 1
        self.listener.shard_finished(shard.number)
        self.wake.set()


def _wanted(expected: str | None) -> str | None:
    """Return the digest that a row expects, in hex.

    Raises:
        Failure: bad_sha256.
    """
    try:
        return read_digest(expected)
    except ValueError as error:
        raise Failure("bad_sha256", str(error)) from None


def _differs(found: FetchOutcome, expected: str) -> bool:
    """Whether bytes that were not kept, since another digest was expected, are not those of this one either."""
    if algorithm_of(expected) == "sha256":
        return found.sha256 != expected
    return found.error_message == f"expected {expected}"


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group, which stopped the others."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def run_async(work: Coroutine[Any, Any, None]) -> None:
    """Run on a new event loop, even if the caller, such as a notebook, has one running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()
