"""The client for asyncio: what an operator does to its locks, and what the service says when it will not do something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from servers import Between, Proxy, Server, problem

from latchd import Frozen, NotAcquired, Refused, Unreachable, acquiring
from latchd.aio import AsyncClient

REASON = "release 7, ticket 4411"


@pytest.mark.row("frozen")
async def test_frozen_lock_is_refused_with_reason_and_end(shared: Server, aclient: AsyncClient) -> None:
    shared.freeze("a-frozen", REASON, 3600)
    for wait in (0.0, 0.2):
        with pytest.raises(Frozen, match=f"'a-frozen' is frozen until .* UTC: {REASON}") as refused:
            await aclient.lock("a-frozen", wait=wait)
        freeze = refused.value.freeze
        assert (freeze.target, freeze.match, freeze.reason) == ("a-frozen", "name", REASON)
        assert 3590 < freeze.remaining_seconds <= 3600
    assert await aclient.try_lock("a-frozen") is None
    with pytest.raises(Frozen, match=REASON):
        await aclient.elect("a-frozen", "me", wait=0)


@pytest.mark.row("frozen-wait")
async def test_wait_outlasts_a_freeze_and_says_so(
    shared: Server, aclient: AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acquiring, "SLICE_SECONDS", 0.2)
    shared.freeze("a-frozen-wait", REASON)
    waiting = asyncio.ensure_future(aclient.lock("a-frozen-wait", wait=20))
    while caplog.text.count(REASON) < 1:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)  # More slices, of which the log tells nothing.
    assert not waiting.done() and caplog.text.count(REASON) == 1
    shared.thaw("a-frozen-wait")
    await (await asyncio.wait_for(waiting, 10)).release()


@pytest.mark.row("lock-delay")
async def test_delayed_lock_is_told_from_a_held_one(shared: Server, aclient: AsyncClient) -> None:
    shared.lose("a-delayed", 60)
    with pytest.raises(NotAcquired, match="not granted for (59|60) s, because of how its last hold ended"):
        await aclient.lock("a-delayed", wait=0)


@pytest.mark.row("rate")
async def test_retry_that_the_service_wants_too_late_is_not_made(shared: Server) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        said = problem(429, "rate-exceeded", "at most 7 requests a second: the rate of 'ci'", 60)
        return iter([said]) if path == "/v1/lock" else None

    with Between(shared, answer) as between:
        begun = time.monotonic()
        async with AsyncClient(between.url) as client:
            with pytest.raises(Unreachable, match="at most 7 requests a second") as refused:
                await client.lock("a-slow", wait=20)
        assert (refused.value.retry_after_seconds, refused.value.code) == (60, "rate-exceeded")
        assert time.monotonic() - begun < 15


@pytest.mark.row("trace")
async def test_requests_belong_to_the_span_that_is_current(proxy: Proxy) -> None:
    async with AsyncClient(proxy.url) as client:
        with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(7, 9, False, trace.TraceFlags(1)))):
            hold = await client.lock("a-traced")
        await hold.release()
    assert proxy.traces[:3] == [f"00-{7:032x}-{9:016x}-01"] * 2 + [None]


@pytest.mark.row("refusal")
async def test_words_of_the_service_reach_the_caller(shared: Server) -> None:
    for status, code, kind in ((503, "audit-unwritten", Unreachable), (409, "of-a-newer-service", Refused)):
        said = problem(status, code, "these are the words")
        with Between(shared, lambda *_: iter([said])) as between:
            async with AsyncClient(between.url, patience=0.2) as client:
                with pytest.raises(kind, match="these are the words") as refused:
                    await client.lock("a")
        assert getattr(refused.value, "code") == code
