"""What an operator does to the locks of a client, and what the service says when it will not do something."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from servers import Between, Proxy, Server, problem, wire

from latchd import Client, Frozen, Hold, NotAcquired, Refused, Unreachable, acquiring

REASON = "release 7, ticket 4411"


@pytest.mark.row("frozen")
@pytest.mark.parametrize("wait", [0.0, 0.3])
def test_frozen_lock_is_refused_with_reason_and_end(shared: Server, client: Client, wait: float) -> None:
    shared.freeze(f"frozen/{wait}/", REASON, 3600, "prefix")
    name = f"frozen/{wait}/a"
    begun = time.monotonic()
    # A busy machine may keep an answer from coming in time.
    for _ in range(5):
        with pytest.raises((NotAcquired, Unreachable)) as refused:
            client.lock(name, wait=wait)
        if isinstance(refused.value, Frozen):
            break
    assert time.monotonic() - begun < 20
    assert isinstance(refused.value, Frozen)
    freeze = refused.value.freeze
    assert (refused.value.name, freeze.target, freeze.match, freeze.reason) == (name, f"frozen/{wait}/", "prefix", REASON)
    assert 3500 < freeze.remaining_seconds <= 3600
    left = freeze.until - datetime.datetime.now(datetime.timezone.utc)
    assert 3500 < left.total_seconds() < 3602
    said = f"all names that start with 'frozen/{wait}/' are frozen until {freeze.until:%Y-%m-%d %H:%M:%S} UTC: {REASON}"
    assert said in str(refused.value) and isinstance(refused.value, NotAcquired)


@pytest.mark.row("frozen")
def test_frozen_campaign_upgrade_and_try_are_refused(shared: Server, client: Client) -> None:
    with client.read_lock("frozen-b") as hold:
        shared.freeze("frozen-b", REASON)
        with pytest.raises(Frozen, match=REASON):
            hold.upgrade(wait=0)
        assert not hold.lost and client.try_lock("frozen-b", mode="shared") is None
        with pytest.raises(Frozen, match=REASON) as refused:
            client.lock(["frozen-a", "frozen-b"], wait=0)
        assert [each.fencing_token for each in refused.value.holders] == [hold.fencing_token]
        shown = client.show("frozen-b")
        assert shown and shown.frozen and shown.frozen.reason == REASON
    shared.freeze("frozen-c", REASON)
    with pytest.raises(Frozen, match=REASON):
        client.elect("frozen-c", "me", wait=0.2)
    shared.thaw("frozen-c")
    client.elect("frozen-c", "me", wait=5).release()


@pytest.mark.row("frozen-wait")
def test_wait_outlasts_a_freeze_and_says_so(
    shared: Server, client: Client, other: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acquiring, "SLICE_SECONDS", 0.2)
    shared.freeze("frozen-wait", REASON)
    holds: list[Hold] = []
    waiting = threading.Thread(target=lambda: holds.append(client.lock("frozen-wait", wait=20)))
    waiting.start()
    while caplog.text.count(REASON) < 1:
        time.sleep(0.01)
    time.sleep(0.5)  # More slices, of which the log tells nothing.
    assert waiting.is_alive() and caplog.text.count(REASON) == 1
    shared.thaw("frozen-wait")
    waiting.join(10)
    assert [hold.name for hold in holds] == ["frozen-wait"]
    holds[0].release()


@pytest.mark.row("frozen-wait")
def test_service_that_does_not_wait_is_not_asked_as_fast_as_it_answers(shared: Server) -> None:
    asked: list[str] = []

    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        if path != "/v1/lock":
            return None
        asked.append(path)
        return iter([wire(200, b'{"locked": false, "name": "hasty", "key": "", "frozen": {"reason": "seven"}}')])

    with Between(shared, answer) as between, Client(between.url) as client:
        with pytest.raises(Frozen, match="seven"):
            client.lock("hasty", wait=4)
    assert 2 <= len(asked) < 30


@pytest.mark.row("lock-delay")
def test_delayed_lock_is_told_from_a_held_one(shared: Server, client: Client) -> None:
    shared.lose("delayed", 60)
    with pytest.raises(NotAcquired, match="'delayed' is not granted for (59|60) s, because of how its last hold ended"):
        client.lock("delayed", wait=0)


@pytest.mark.row("rate")
def test_request_beyond_a_rate_is_sent_again_when_the_service_says() -> None:
    rates = '[{ prefix = "slow/", requests_per_second = 1 }]'
    server = Server(environment={"LATCHD_QUOTAS_RATES": rates})
    try:
        with Client(server.url) as client:
            client.lock("slow/a", wait=30).release()
            begun = time.monotonic()
            client.lock("slow/a", wait=30).release()
            assert time.monotonic() - begun > 0.5
    finally:
        server.end()


@pytest.mark.row("rate")
def test_retry_that_the_service_wants_too_late_is_not_made(shared: Server) -> None:
    asked: list[str] = []

    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        if path != "/v1/lock":
            return None
        asked.append(path)
        return iter([problem(429, "rate-exceeded", "at most 7 requests a second: the rate of 'ci'", 60)])

    with Between(shared, answer) as between, Client(between.url) as client:
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="at most 7 requests a second") as refused:
            client.lock("slow", wait=20)
    assert (refused.value.retry_after_seconds, refused.value.code, len(asked)) == (60, "rate-exceeded", 1)
    assert time.monotonic() - begun < 15


@pytest.mark.row("trace")
def test_requests_belong_to_the_span_that_is_current(proxy: Proxy) -> None:
    with Client(proxy.url) as client:
        with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(7, 9, False, trace.TraceFlags(1)))):
            hold = client.lock("traced")
        hold.release()
    assert proxy.traces[:3] == [f"00-{7:032x}-{9:016x}-01"] * 2 + [None]


@pytest.mark.row("refusal")
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "audit-unwritten", Unreachable),
        (429, "share-full", Unreachable),
        (401, "credential-expired", Refused),
        (409, "of-a-newer-service", Refused),
        (451, "of-a-newer-service", Refused),
    ],
)
def test_words_of_the_service_reach_the_caller(
    shared: Server, status: int, code: str, kind: type[Unreachable | Refused]
) -> None:
    said = problem(status, code, "these are the words \x1b[2J")
    with Between(shared, lambda *_: iter([said])) as between, Client(between.url, patience=0.2) as client:
        with pytest.raises(kind, match=r"these are the words \\x1b") as refused:
            client.lock("a")
    assert isinstance(refused.value, (Unreachable, Refused)) and refused.value.code == code
