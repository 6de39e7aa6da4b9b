"""The client for asyncio: taking, waiting, giving back."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import warnings

import pytest
from servers import Server

from latchd import LockLost, NotAcquired, Refused
from latchd.aio import AsyncClient, AsyncHold


async def until_waiting(client: AsyncClient, name: str, count: int) -> None:
    end = time.monotonic() + 60
    while (shown := await client.show(name)) is None or shown.queue_length < count:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


@pytest.mark.row("scope")
async def test_lock_is_held_in_its_block_and_free_after_it(aclient: AsyncClient, aother: AsyncClient) -> None:
    async with aclient.lock("a-block", metadata={"host": "web-1"}) as hold:
        assert not hold.lost and 15 < hold.remaining <= 30
        hold.check()
        shown = await aother.show("a-block")
        assert shown and [holder.fencing_token for holder in shown.holders] == [hold.fencing_token]
        assert shown.holders[0].metadata["host"] == "web-1" and shown.holders[0].metadata["pid"] == str(os.getpid())
    assert not hold.lost and hold.remaining == 0
    assert await aother.show("a-block") is None
    kept = await aother.lock("a-block", wait=10)
    await kept.release()
    await kept.release()


@pytest.mark.row("scope-error")
async def test_error_of_the_block_releases_the_lock(aclient: AsyncClient, aother: AsyncClient) -> None:
    with pytest.raises(ZeroDivisionError):
        async with aclient.lock("a-broken"):
            raise ZeroDivisionError
    async with aother.lock("a-broken", wait=10):
        pass


@pytest.mark.row("try")
async def test_try_of_a_held_lock_is_none_at_once(aclient: AsyncClient, aother: AsyncClient) -> None:
    hold = await aclient.try_lock("a-tried")
    assert hold is not None
    async with hold:
        begun = time.monotonic()
        assert await aother.try_lock("a-tried") is None
        assert time.monotonic() - begun < 9
        with pytest.raises(Refused, match="must be at most"):
            await aother.try_lock("a" * 600)


@pytest.mark.row("wait")
async def test_wait_ends_with_the_release(aclient: AsyncClient, aother: AsyncClient) -> None:
    hold = await aclient.lock("a-queue")
    waiting = asyncio.ensure_future(aother.lock("a-queue", wait=20))
    await until_waiting(aclient, "a-queue", 1)
    await hold.release()
    begun = time.monotonic()
    async with await waiting as later:
        assert later.fencing_token > hold.fencing_token and time.monotonic() - begun < 15


@pytest.mark.row("wait-timeout")
async def test_wait_ends_in_time_also_at_a_paused_server(server: Server) -> None:
    async with AsyncClient(server.url) as client, AsyncClient(server.url) as other:
        held = await client.lock("a-held", lease=60)
        for is_paused in (False, True):
            if is_paused:
                server.pause()
            begun = time.monotonic()
            with pytest.raises(NotAcquired):
                await other.lock("a-held", wait=0.5)
            assert 0.4 < time.monotonic() - begun < 9
        server.resume()
        await held.release()


@pytest.mark.row("order")
async def test_waiters_get_the_lock_in_the_order_in_which_they_came(aclient: AsyncClient, aother: AsyncClient) -> None:
    order: list[int] = []

    async def wait(number: int) -> None:
        async with aother.lock("a-order", wait=20):
            order.append(number)

    hold = await aclient.lock("a-order")
    waiting = []
    for number in range(4):
        waiting.append(asyncio.create_task(wait(number)))
        await until_waiting(aclient, "a-order", number + 1)
    await hold.release()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3]


@pytest.mark.row("holder")
async def test_wait_in_vain_names_the_holder(aclient: AsyncClient, aother: AsyncClient) -> None:
    async with aclient.lock("a-busy", metadata={"host": "web-1"}) as hold:
        with pytest.raises(NotAcquired, match=f"@web-1 pid {os.getpid()} since 20") as refused:
            await aother.lock("a-busy", wait=0.2)
        [holder] = refused.value.holders
        assert holder.fencing_token == hold.fencing_token and holder.held_for_seconds > 0.1
        with pytest.raises(NotAcquired, match="held by this client itself"):
            await aclient.lock("a-busy", wait=0)


@pytest.mark.row("cancel")
@pytest.mark.parametrize("has_another", [False, True])
async def test_cancelled_wait_leaves_the_queue(
    aclient: AsyncClient, aother: AsyncClient, has_another: bool
) -> None:
    name = f"a-cancelled-{has_another}"
    hold = await aclient.lock(name)

    async def wait() -> None:
        if not has_another:
            async with aother.lock(name, wait=60):
                raise AssertionError("it was cancelled")
        async with aother.lock("a-another", wait=10), aother.lock(name, wait=60):
            raise AssertionError("it was cancelled")

    waiting = asyncio.create_task(wait())
    await until_waiting(aclient, name, 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    begun = time.monotonic()
    # With another hold its session goes on, and its place is passed over.
    while not has_another and (shown := await aclient.show(name)) and shown.queue_length:
        await asyncio.sleep(0.01)
    assert time.monotonic() - begun < 8, "it is not kept for a retry"
    await hold.release()
    async with aclient.lock(name, wait=20 if has_another else 0):
        pass


@pytest.mark.row("renewal")
async def test_renewal_keeps_lock_beyond_its_lease(aclient: AsyncClient, aother: AsyncClient) -> None:
    async with aclient.lock("a-long", lease=4) as hold:
        assert not await hold.wait_lost(9)
        assert await aother.try_lock("a-long") is None


@pytest.mark.row("token")
async def test_each_hold_has_a_higher_token(aclient: AsyncClient, aother: AsyncClient) -> None:
    tokens = []
    for client in (aclient, aother, aclient):
        async with client.lock("a-token") as hold:
            tokens.append(hold.fencing_token)
    assert tokens == sorted(set(tokens))


@pytest.mark.row("close")
async def test_closed_client_releases_its_locks(aclient: AsyncClient, aother: AsyncClient) -> None:
    told: list[AsyncHold] = []

    async def tell(hold: AsyncHold) -> None:
        told.append(hold)

    hold = await aclient.lock("a-open", on_lost=tell)
    await aclient.close()
    assert hold.lost
    with pytest.raises(LockLost, match="closed"):
        await hold.release()
    assert told == [hold]
    async with aother.lock("a-open", wait=10):
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await aclient.lock("a-open")


@pytest.mark.row("concurrent")
async def test_eight_tasks_lose_no_increment(aclient: AsyncClient, aother: AsyncClient) -> None:
    counter = 0

    async def count(client: AsyncClient) -> None:
        nonlocal counter
        for _ in range(10):
            async with client.lock("a-counter", wait=30):
                seen = counter
                await asyncio.sleep(0.001)
                counter = seen + 1

    await asyncio.gather(*(count(aclient if number % 2 else aother) for number in range(8)))
    assert counter == 80


async def test_tasks_of_one_client_have_sessions_of_their_own(aclient: AsyncClient) -> None:
    async def use(wait_for: asyncio.Event | None) -> str:
        async with aclient.lock(f"a-own-{id(wait_for)}", wait=5) as hold:
            if wait_for is not None:
                await wait_for.wait()
            return hold._keeper.granted.session.id

    over = asyncio.Event()
    held = asyncio.create_task(use(over))
    others = {await asyncio.create_task(use(None)) for _ in range(5)}
    over.set()
    assert len(others) == 1 and await held not in others


async def test_dropped_hold_warns_and_is_not_renewed(
    aclient: AsyncClient, aother: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.warns(ResourceWarning, match="'a-dropped' was dropped"):
        await aclient.lock("a-dropped", lease=1)
        gc.collect()
    async with aother.lock("a-dropped", wait=5):
        assert "dropped without a release" in caplog.text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with aclient.lock("a-quiet"):
            pass
        gc.collect()


async def test_settings_are_checked(aclient: AsyncClient) -> None:
    with pytest.raises(ValueError, match="not an http"):
        AsyncClient("localhost:8443")
    with pytest.raises(ValueError, match="lease"):
        aclient.lock("a", lease=0)
    with pytest.raises(ValueError, match="wait"):
        await aclient.lock("a", wait=-1)
