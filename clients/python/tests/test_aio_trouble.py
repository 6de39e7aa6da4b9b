"""The client for asyncio: lost leases, lost answers, lost servers, wrong answers, credentials."""

from __future__ import annotations

import asyncio
import json
import logging
import pathlib
import time
from collections.abc import Iterator

import pytest
from servers import Between, Proxy, Server, wire

from latchd import LockLost, Refused, Unreachable, clock
from latchd.aio import AsyncClient, AsyncHold


async def end_by_force(client: AsyncClient, hold: AsyncHold) -> None:
    """The key alone opens a hold, whoever shows it."""
    answer = await client._suspending.run(client._service.unlock(hold._keeper.granted, clock.now() + 60))
    assert answer.body["unlocked"]


@pytest.mark.row("deadline")
async def test_unrenewed_lock_is_lost_before_its_lease_ends(server: Server) -> None:
    async with AsyncClient(server.url, patience=3) as client:
        hold = await client.lock("a-mine", lease=6, on_lost=lambda _: None)
        server.pause()
        ends = hold._keeper.until
        assert not hold.lost and await hold.wait_lost(60)
        assert hold._keeper.deadline() < ends and ends - 0.5 < clock.now() < ends + 20
        assert hold.remaining == 0
        with pytest.raises(LockLost, match="could not be renewed"):
            hold.check()
        server.resume()
        assert hold.lost, "it stays so"
        with pytest.raises(LockLost):
            await hold.release()


async def test_deadline_passes_also_while_the_event_loop_is_blocked(server: Server) -> None:
    async with AsyncClient(server.url, patience=3) as client:
        with pytest.raises(LockLost):
            async with client.lock("a-blocked", lease=0.5) as hold:
                time.sleep(0.6)
                assert hold.lost


@pytest.mark.row("late-answer")
async def test_lease_of_late_answer_counts_from_its_request(shared: Server) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes | float] | None:
        late: list[bytes | float] = [0.5, wire(status, content)]
        return iter(late) if path == "/v1/lock" else None

    with Between(shared, answer) as between:
        async with AsyncClient(between.url) as client, client.lock("a-late", lease=30) as hold:
            assert 15 < hold.remaining + hold.lease / 20 < 29.6


@pytest.mark.row("forced")
async def test_forced_release_is_noticed_at_next_renewal(aclient: AsyncClient, aother: AsyncClient) -> None:
    told: list[AsyncHold] = []
    with pytest.raises(LockLost, match="ended"):
        async with aclient.lock("a-taken", lease=9, on_lost=told.append) as hold:
            await end_by_force(aother, hold)
            begun = time.monotonic()
            await asyncio.sleep(30)
    assert time.monotonic() - begun < 8, "sooner than its lease would have ended"
    assert told == [hold]


@pytest.mark.row("retry")
async def test_retry_after_lost_answer_gives_the_same_hold(proxy: Proxy, aother: AsyncClient) -> None:
    proxy.lose_answer_to("/session")
    proxy.lose_answer_to("/v1/lock")
    async with AsyncClient(proxy.url) as client:
        async with client.lock("a-once", wait=5, size=2) as hold:
            shown = await aother.show("a-once")
            assert shown and [holder.fencing_token for holder in shown.holders] == [hold.fencing_token]
            for path in ("/session", "/v1/lock"):
                first, second = proxy.keys(path)
                assert first == second and first is not None
            proxy.lose_answer_to("/v1/unlock")
        assert len(proxy.keys("/v1/unlock")) == 2
    assert await aother.show("a-once") is None


@pytest.mark.row("nodes")
async def test_silent_node_is_skipped_and_holds_live_through_the_others(shared: Server, server: Server) -> None:
    server.pause()
    async with AsyncClient(f"{server.url}, {shared.url}", timeout=1) as client:
        async with client.lock("a-elsewhere", wait=30, lease=6) as hold:
            assert not await hold.wait_lost(8)
    server.resume()


@pytest.mark.row("restart")
async def test_restarted_service_is_found_again(tmp_path: pathlib.Path) -> None:
    first = Server("--data-dir", str(tmp_path))
    async with AsyncClient(first.url, patience=30) as client:
        async with client.lock("a-kept", lease=60) as hold:
            first.kill()
            taking = asyncio.ensure_future(client.lock("a-after"))
            await asyncio.sleep(0.2)
            second = await asyncio.to_thread(lambda: Server("--data-dir", str(tmp_path), listen=first.url))
            async with await taking as later:
                assert later.fencing_token > hold.fencing_token
    for server in (first, second):
        server.end()


@pytest.mark.row("unreachable")
async def test_unreachable_service_is_reported_in_time(server: Server) -> None:
    with pytest.raises(Unreachable, match="does it listen with https"):
        await AsyncClient(server.url.replace("http:", "https:"), patience=0.5).lock("a", wait=0)
    server.kill()
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="refused"):
        await AsyncClient(server.url, patience=0.5).lock("a")
    assert time.monotonic() - begun < 9


@pytest.mark.row("session-end")
async def test_ended_session_loses_holds_and_is_reopened(aclient: AsyncClient, aother: AsyncClient) -> None:
    kept = await aclient.lock("a-kept-on", lease=600)
    # Ended by somebody else, as idle ones are by the service.
    aother._service.sessions.add(kept._keeper.granted.session)
    await aother.close()
    async with aclient.lock("a-next", wait=10) as hold:
        assert kept.lost and not hold.lost
    with pytest.raises(LockLost, match="session"):
        await kept.release()


async def test_block_is_cancelled_whose_own_task_finds_the_session_ended(
    aclient: AsyncClient, aother: AsyncClient
) -> None:
    begun = time.monotonic()
    with pytest.raises(LockLost, match="'a-first' was lost: its session has ended"):
        async with aclient.lock("a-first", lease=600) as hold:
            aother._service.sessions.add(hold._keeper.granted.session)
            await aother.close()
            async with aclient.lock("a-second", wait=10):
                await asyncio.sleep(30)
    assert time.monotonic() - begun < 25
    async with aclient.lock("a-second", wait=10):
        pass


@pytest.mark.row("credential")
async def test_credential_is_sent_with_every_request() -> None:
    server = Server("--password", "sesame: open")
    try:
        for wrong, said in (("not it", "is not known"), (None, "is needed")):
            client = AsyncClient(server.url, password=wrong)
            with pytest.raises(Refused, match=f"API key {said}") as refused:
                await client.lock("a")
            assert refused.value.status == 401
            await client.close()
        async with AsyncClient(server.url, password="sesame: open") as client, client.lock("a") as hold:
            assert not hold.lost
    finally:
        server.end()


@pytest.mark.row("certificate")
async def test_unknown_certificate_is_refused_at_once() -> None:
    server = Server(listen="https://127.0.0.1:0")
    try:
        begun = time.monotonic()
        client = AsyncClient(server.url)
        with pytest.raises(Unreachable, match="name the PEM file of its authority, .* with verify="):
            await client.lock("a")
        await client.close()
        assert time.monotonic() - begun < 9
        trusted = str(server.home / "certs/dev-cert.pem")
        async with AsyncClient(server.url, verify=trusted) as client, client.lock("a") as hold:
            assert not hold.lost
        async with AsyncClient(server.url, verify=False) as client:
            assert await client.show("a") is None
    finally:
        server.end()


@pytest.mark.row("foreign-answer")
@pytest.mark.parametrize(("status", "kind"), [(404, "text/html"), (200, "text/html"), (410, "application/json")])
async def test_foreign_page_is_no_lock(shared: Server, status: int, kind: str) -> None:
    page = b"<html>nothing here</html>"
    with Between(shared, lambda *_: iter([wire(status, page, kind)])) as between:
        async with AsyncClient(between.url) as client:
            with pytest.raises(Refused, match=f"answered {status}"):
                await client.show("held")
            with pytest.raises(Refused, match=f"answered {status}"):
                await client.lock("held", wait=0)


async def test_grant_of_another_lock_is_refused(shared: Server) -> None:
    mixed_up: list[str] = []

    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        if path == "/v1/lock" and len(mixed_up) < 2:
            mixed_up.append(path)
            return iter([wire(200, content.replace(b'"name":"a-mine"', b'"name":"theirs"'))])
        return None

    with Between(shared, answer) as between:
        async with AsyncClient(between.url) as client, client.lock("a-mine", wait=5) as hold:
            assert len(mixed_up) == 2 and hold.name == "a-mine"


@pytest.mark.row("older-service")
@pytest.mark.parametrize("field", ["names", "mode"])
async def test_older_service_is_named_as_such(shared: Server, field: str) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        said = {"code": 3, "message": f'the field "{field}" is not known (known here: name)', "details": []}
        return iter([wire(400, json.dumps(said).encode())]) if path == "/v1/lock" else None

    with Between(shared, answer) as between:
        async with AsyncClient(between.url) as client:
            with pytest.raises(Refused, match="the service is older than what is asked of it"):
                await client.lock(["a", "b"], mode="shared")


@pytest.mark.row("no-secrets")
async def test_no_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = Server("--password", "open-sesame")
    try:
        async with AsyncClient(server.url, password="open-sesame") as client:
            hold = await client.lock("a-secret", lease=30, on_lost=lambda _: None)
            given = await hold.transfer(await client.session_id())
            adopted = await client.adopt(given)
            await end_by_force(client, adopted)
            with pytest.raises(LockLost) as lost:
                await adopted.release()
            shown = [client, hold, given, adopted, adopted._keeper.granted, lost.value, *asyncio.all_tasks()]
    finally:
        server.end()
    text = caplog.text + "".join(f"{each!r} {each!s}" for each in shown)
    for secret in (hold.key, given.key, given.session, "open-sesame", "b3Blbi1zZXNhbWU"):
        assert secret not in text


async def test_endless_answer_is_refused(shared: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("latchd.replies", "latchd.aio.transport"):
        monkeypatch.setattr(f"{module}.ANSWER_BYTES_MAX", 100_000)

    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        return iter([wire(200, b" " * 300_000)])

    with Between(shared, answer) as between:
        async with AsyncClient(between.url) as client:
            with pytest.raises(Refused, match="more than 100000 bytes"):
                await client.show("a")
