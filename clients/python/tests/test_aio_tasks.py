"""The client for asyncio: cancelled tasks, lost blocks, event loops and forks."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator

import pytest
from servers import Between, Server, wire
from test_aio_locks import until_waiting
from test_fork import run

from latchd import LockLost
from latchd.aio import AsyncClient


@pytest.mark.row("loss")
async def test_block_is_cancelled_at_its_loss_and_ends_with_it(server: Server) -> None:
    async with AsyncClient(server.url, patience=3) as client:
        reached = []
        with pytest.raises(LockLost, match="could not be renewed"):
            async with client.lock("a-lost", lease=1):
                server.kill()
                reached.append("before")
                await asyncio.sleep(30)
                reached.append("after")
        assert reached == ["before"]
        # The cancel is over: the task goes on.
        await asyncio.sleep(0.01)


async def test_block_that_is_not_to_be_cancelled_runs_on_and_is_told(server: Server) -> None:
    async with AsyncClient(server.url, patience=3) as client:
        told = asyncio.Event()
        with pytest.raises(LockLost):
            async with client.lock("a-told", lease=1, on_lost=lambda _: told.set(), cancel_on_loss=False) as hold:
                server.kill()
                assert await hold.wait_lost(60)
                await asyncio.wait_for(told.wait(), 60)
                await asyncio.sleep(0.01)
                with pytest.raises(LockLost):
                    hold.check()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="before, nobody can tell who cancelled a task")
async def test_cancel_from_outside_is_not_taken_for_the_loss(server: Server) -> None:
    async with AsyncClient(server.url, patience=3) as client:
        begun = asyncio.Event()

        async def work() -> None:
            async with client.lock("a-both", lease=1) as hold:
                server.kill()
                begun.set()
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    assert hold.lost
                    # Cancelled by others too, before the block has ended.
                    working.cancel()
                    await asyncio.sleep(30)

        working = asyncio.create_task(work())
        await begun.wait()
        with pytest.raises(asyncio.CancelledError):
            await working


async def test_grant_whose_answer_was_under_way_is_released(shared: Server, aother: AsyncClient) -> None:
    """The lock is granted, and the task is cancelled before the answer has come."""
    granted = threading.Event()

    def answer(path: str, status: int, content: bytes) -> Iterator[bytes | float] | None:
        if path != "/v1/lock" or granted.is_set():
            return None
        granted.set()
        late: list[bytes | float] = [5.0, wire(status, content)]
        return iter(late)

    async def take(client: AsyncClient, has_another: bool) -> None:
        granted.set()
        another = await client.lock("a-beside") if has_another else None
        granted.clear()
        try:
            await client.lock("a-under-way", wait=20, lease=60)
        finally:
            if another is not None:
                assert not another.lost
                await another.release()

    with Between(shared, answer) as between:
        async with AsyncClient(between.url) as client:
            for has_another in (False, True):
                taking = asyncio.create_task(take(client, has_another))
                while await aother.show("a-under-way") is None:
                    await asyncio.sleep(0.01)
                taking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await taking
                async with aother.lock("a-under-way", wait=30):
                    pass


async def test_session_that_opens_for_a_cancelled_task_is_ended(shared: Server, aother: AsyncClient) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    opened = threading.Event()

    def answer(path: str, status: int, content: bytes) -> Iterator[bytes | float] | None:
        if path == "/session" and opened.is_set():
            loop.call_soon_threadsafe(ended.set)
        late: list[bytes | float] = [0.3, wire(status, content)]
        opened.set()
        return iter(late) if path == "/session" else None

    with Between(shared, answer) as between:
        async with AsyncClient(between.url) as client:
            taking = asyncio.ensure_future(client.lock("a-opening"))
            while not opened.is_set():
                await asyncio.sleep(0.01)
            taking.cancel()
            await asyncio.wait_for(ended.wait(), 5)


async def test_cancelled_release_is_done_all_the_same(shared: Server, aother: AsyncClient) -> None:
    # Each request goes over a new connection, so that the cancel comes before it is sent.
    with Between(shared, lambda *_: None) as between:
        async with AsyncClient(between.url) as client:
            hold = await client.lock("a-released", lease=60)
            releasing = asyncio.create_task(hold.release())
            await asyncio.sleep(0)
            releasing.cancel()
            async with aother.lock("a-released", wait=5):
                assert releasing.cancelled()


async def test_timeout_around_a_wait_leaves_the_queue(aclient: AsyncClient, aother: AsyncClient) -> None:
    async with aclient.lock("a-timed"):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aother.lock("a-timed"), 0.2)
        while (shown := await aclient.show("a-timed")) and shown.queue_length:
            await asyncio.sleep(0.01)
        waiting = asyncio.create_task(_use(aother))
        await until_waiting(aclient, "a-timed", 1)
    await waiting


async def _use(client: AsyncClient) -> None:
    async with client.lock("a-timed", wait=20):
        pass


async def test_client_belongs_to_its_event_loop(aclient: AsyncClient) -> None:
    assert await aclient.show("a-loop") is None
    with pytest.raises(RuntimeError, match="event loop in which it was used first"):
        await asyncio.to_thread(lambda: asyncio.run(aclient.show("a-loop")))


def test_forked_child_has_its_own_session_and_releases_nothing(shared: Server) -> None:
    said = run(
        shared.url,
        f"""
        import asyncio, stat
        from latchd.aio import AsyncClient
        mine = AsyncClient({shared.url!r})

        def sockets():
            return [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{{fd}}")
                    and stat.S_ISSOCK(os.stat(f"/proc/self/fd/{{fd}}").st_mode)]

        async def child(hold):
            try:
                hold.lost
            except WrongProcess as error:
                assert f"belongs to process {{os.getppid()}}" in str(error)
            await hold.__aexit__(None, None, None)
            assert await mine.try_lock("a-parents") is None
            async with mine.lock("a-childs") as own:
                assert own.fencing_token > hold.fencing_token
            await mine.close()
            print("own", flush=True)

        async def parent():
            async with mine.lock("a-parents", lease=6) as hold:
                before = len(sockets())
                pid = os.fork()
                if pid == 0:
                    assert len(sockets()) < before, "the parent's connections are closed here"
                    asyncio.run(child(hold))
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
                renewed_until = hold._keeper.until
                while hold._keeper.until == renewed_until:
                    assert not await hold.wait_lost(0.01)
                assert client.try_lock("a-parents") is None
            await mine.close()
            print("kept")

        asyncio.run(parent())
        """,
    )
    assert said == "own\nkept\n"
