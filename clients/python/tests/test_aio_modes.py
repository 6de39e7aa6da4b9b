"""The client for asyncio: shared and weighed locks, several at once, holds that change, elections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from servers import Between, Server, wire
from test_aio_locks import until_waiting

from latchd import LockLost, NotAcquired, Refused, WouldDeadlock
from latchd.aio import AsyncClient, AsyncHold


@pytest.mark.row("shared")
async def test_readers_share_and_a_writer_waits_for_both(aclient: AsyncClient, aother: AsyncClient) -> None:
    one = await aclient.read_lock("a-report", wait=10)
    two = await aother.lock("a-report", wait=10, mode="shared")
    waiting = asyncio.ensure_future(asyncio.create_task(_take(aother, "a-report")))
    await until_waiting(aclient, "a-report", 1)
    await one.release()
    assert not (await asyncio.wait([waiting], timeout=0.2))[0], "the second one still reads"
    await two.release()
    await waiting


async def _take(client: AsyncClient, name: str) -> None:
    async with client.lock(name, wait=20):
        pass


@pytest.mark.row("names")
async def test_several_locks_are_one_hold(aclient: AsyncClient, aother: AsyncClient) -> None:
    async with aclient.lock(["a-b", ("a-a", "shared")], wait=10) as hold:
        assert (hold.name, hold.names) == ("a-b", ("a-b", "a-a"))
        assert await aother.try_lock("a-b") is None and await aother.try_lock(("a-c", "a-a")) is None
        assert await aother.show("a-c") is None, "none of them was taken"
        async with aother.read_lock("a-a", wait=10):
            pass
    both = (["a-x", "a-y"], ["a-y", "a-x"])
    await asyncio.gather(*(_take_often(client, names) for client, names in zip((aclient, aother), both)))


async def _take_often(client: AsyncClient, names: list[str]) -> None:
    for _ in range(5):
        async with client.lock(names, wait=20):
            pass


@pytest.mark.row("weight")
async def test_weight_takes_that_many_places(aclient: AsyncClient, aother: AsyncClient) -> None:
    async with aclient.lock("a-memory", wait=10, size=4, weight=3):
        assert await aother.try_lock("a-memory", size=4, weight=2) is None
        async with aother.lock("a-memory", wait=10, size=4):
            pass


@pytest.mark.row("downgrade")
async def test_downgrade_lets_readers_in_under_a_new_token(aclient: AsyncClient, aother: AsyncClient) -> None:
    async with aclient.lock("a-table", wait=10) as hold:
        first = hold.fencing_token
        await hold.downgrade()
        assert hold.fencing_token > first
        async with aother.read_lock("a-table", wait=10):
            shown = await aother.show("a-table")
            assert shown and hold.fencing_token in {holder.fencing_token for holder in shown.holders}


@pytest.mark.row("upgrade")
async def test_upgrade_waits_to_be_alone(aclient: AsyncClient, aother: AsyncClient) -> None:
    async with aclient.read_lock("a-table-2", wait=10) as hold:
        reader = await aother.read_lock("a-table-2", wait=10)
        first = hold.fencing_token
        with pytest.raises(NotAcquired, match="others share it"):
            await hold.upgrade(wait=0.1)
        waiting = asyncio.create_task(hold.upgrade(wait=20))
        await until_waiting(aother, "a-table-2", 1)
        with pytest.raises((Refused, WouldDeadlock)):
            await reader.upgrade(wait=20)
        await reader.release()
        await waiting
        assert hold.fencing_token > first
        assert await aother.try_lock("a-table-2", mode="shared") is None


async def test_hold_stays_shared_where_nobody_waits_for_its_upgrade(shared: Server, aother: AsyncClient) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes | float] | None:
        late: list[bytes | float] = [5.0, wire(status, content)]
        return iter(late) if path == "/v1/upgrade" else None

    with Between(shared, answer) as between:
        async with AsyncClient(between.url) as client, client.read_lock("a-not-upgraded", wait=10) as hold:
            upgrading = asyncio.create_task(hold.upgrade(wait=20))
            while (shown := await aother.show("a-not-upgraded")) is None or shown.mode == "shared":
                await asyncio.sleep(0.01)
            # The upgrade is done, and its answer under way.
            upgrading.cancel()
            async with aother.read_lock("a-not-upgraded", wait=5):
                assert not hold.lost


@pytest.mark.row("transfer")
async def test_transferred_hold_goes_on_in_the_other_session(aclient: AsyncClient, aother: AsyncClient) -> None:
    told: list[AsyncHold] = []
    hold = await aclient.lock("a-job", wait=10, lease=4, on_lost=told.append)
    given = await hold.transfer(await aother.session_id())
    assert given.fencing_token > hold.fencing_token
    await hold.release()
    await aclient.close()
    async with aother.adopt(given, lease=4) as mine:
        assert (mine.name, mine.fencing_token) == ("a-job", given.fencing_token)
        assert not await mine.wait_lost(5.5)
    assert not told and not hold.lost
    with pytest.raises(LockLost, match="before it was taken up"):
        await aother.adopt(given)


@pytest.mark.row("deadlock")
@pytest.mark.parametrize("is_same_client", [False, True])
async def test_deadlock_of_tasks_is_refused_with_its_cycle(
    aclient: AsyncClient, aother: AsyncClient, is_same_client: bool
) -> None:
    others = aclient if is_same_client else aother
    left, right = f"a-left-{is_same_client}", f"a-right-{is_same_client}"

    async def take_both() -> None:
        async with others.lock(right, wait=10), others.lock(left, wait=20):
            pass

    async with aclient.lock(left, wait=10):
        waiting = asyncio.create_task(take_both())
        await until_waiting(aclient, left, 1)
        with pytest.raises(WouldDeadlock, match=f"waits for '{right}'") as refused:
            await aclient.lock(right, wait=20)
        assert [step.name for step in refused.value.cycle] == [right, left]
    await waiting


@pytest.mark.row("election")
async def test_leader_is_known_until_it_resigns(aclient: AsyncClient, aother: AsyncClient) -> None:
    assert await aother.leader("a-primary") is None
    async with aclient.elect("a-primary", "web-1:80", wait=10) as lead:
        found = await aother.leader("a-primary")
        assert found and (found.value, found.fencing_token) == ("web-1:80", lead.fencing_token)
        assert 0 < found.reliable_for_seconds <= 1
        waiting = asyncio.ensure_future(aother.elect("a-primary", "web-2:80", wait=20))
        await until_waiting(aclient, "a-primary", 1)
    async with await waiting as following:
        now = await aclient.leader("a-primary")
        assert now and now.value == "web-2:80" and following.fencing_token > lead.fencing_token
    assert await aother.leader("a-primary") is None


@pytest.mark.row("election-value")
async def test_leader_changes_its_value(aclient: AsyncClient, aother: AsyncClient) -> None:
    async with aclient.elect("a-value", "one", wait=10) as lead:
        await lead.set_value("two")
        found = await aother.leader("a-value")
        assert lead.value == "two" and found and found.value == "two"


@pytest.mark.row("election-lost")
async def test_leader_that_is_ended_is_lost(aclient: AsyncClient, aother: AsyncClient) -> None:
    told = asyncio.Event()
    lead = await aclient.elect("a-forced", "one", lease=20, on_lost=lambda hold: told.set())
    await aclient._suspending.run(aclient._service.unlock(lead._keeper.granted, time.monotonic() + 60))
    with pytest.raises(LockLost, match="the service says that it has ended"):
        await lead.set_value("two")
    assert lead.lost and told.is_set()


async def test_own_upgrade_that_finds_the_loss_has_its_error(server: Server) -> None:
    async with AsyncClient(server.url) as client:
        with pytest.raises(LockLost, match="has ended"):
            async with client.read_lock("a-found") as hold:
                await client._suspending.run(client._service.unlock(hold._keeper.granted, float("inf")))
                await hold.upgrade()
        await asyncio.sleep(0)
