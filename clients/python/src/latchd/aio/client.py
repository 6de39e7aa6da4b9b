"""A client of one service for the tasks of one event loop."""

from __future__ import annotations

import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence

from ..changing import Transferred
from ..core import Core
from ..election import Leader, campaign
from ..errors import LatchdError
from ..nodes import Nodes
from ..service import Service
from ..steps import Steps
from ..wanted import Mode, Names, Wanted
from ..wire import Granted, LockInfo
from ..withdrawing import Pending, withdraw
from . import tasks
from .hold import AsyncHold
from .leadership import AsyncLeadership
from .tasks import Suspending
from .transport import Transport

_Made = typing.TypeVar("_Made", bound=AsyncHold)
_Granted = typing.TypeVar("_Granted")

OnLost = Callable[[AsyncHold], typing.Union[object, Awaitable[object]]]


class Acquiring(typing.Generic[_Made]):
    """A hold to come: `async with` it, or `await` it and release the hold."""

    def __init__(self, acquire: Callable[[], Coroutine[typing.Any, typing.Any, _Made]]) -> None:
        self._acquire = acquire
        self._hold: _Made | None = None

    def __await__(self) -> Generator[typing.Any, typing.Any, _Made]:
        return self._acquire().__await__()

    async def __aenter__(self) -> _Made:
        self._hold = await self._acquire()
        return await self._hold.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        assert self._hold is not None, "its block has begun"
        await self._hold.__aexit__(kind, error, trace)


class AsyncClient:
    """A client of the service at `url`: one URL, or those of several nodes, as a list or with commas between them. Its
    settings are those of `latchd.Client`.

    It belongs to the event loop in which it is used first; the tasks of that loop may share it. Each task that holds a
    lock or waits for one has a session, which the next may have after it; so deadlocks among tasks are found as well. A
    hold belongs to the task that took it, whichever releases it. `close`, or the end of its `async with` block, ends all
    sessions and releases whatever is still held. A forked child that uses it has connections, a session and holds of its
    own, in an event loop of its own.

    A wait that is cancelled leaves the queue, and releases what it was granted meanwhile.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        api_key: str | None = None,
        password: str | None = None,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        timeout: float = 10.0,
        patience: float = 10.0,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        nodes = Nodes(url, api_key, password)
        self._transport = Transport(verify, cert, any(each.startswith("https:") for each in nodes.urls))
        self._suspending = Suspending(self._transport)
        self._service = Service(nodes, self._transport, owner=tasks.current, timeout=timeout, patience=patience)
        self._core = Core(self._service, metadata)

    def lock(
        self,
        name: Names,
        *,
        wait: float | None = None,
        lease: float = 30.0,
        size: int | None = None,
        mode: Mode | None = None,
        weight: int | None = None,
        lock_delay: float | None = None,
        metadata: Mapping[str, str] | None = None,
        on_lost: OnLost | None = None,
        cancel_on_loss: bool = True,
    ) -> Acquiring[AsyncHold]:
        """Takes a lock as `latchd.Client.lock` does, with the same errors: `async with client.lock(…) as hold:`, or `hold =
        await client.lock(…)`.

        `on_lost` is called in the event loop when the hold is lost, and awaited if it is a coroutine function. With
        `cancel_on_loss` the task is then cancelled in the block of the hold, which raises `LockLost`.
        """
        wanted = Wanted.of(name, lease=lease, size=size, mode=mode, weight=weight, lock_delay=lock_delay)

        async def acquire() -> AsyncHold:
            granted = await self._wait(lambda pending: self._core.lock(wanted, wait, metadata, pending))
            return self._hold(granted, on_lost, cancel_on_loss)

        return Acquiring(acquire)

    def read_lock(
        self,
        name: Names,
        *,
        wait: float | None = None,
        lease: float = 30.0,
        lock_delay: float | None = None,
        metadata: Mapping[str, str] | None = None,
        on_lost: OnLost | None = None,
        cancel_on_loss: bool = True,
    ) -> Acquiring[AsyncHold]:
        """As `lock`, shared with all who take it so."""
        return self.lock(
            name,
            wait=wait,
            lease=lease,
            mode="shared",
            lock_delay=lock_delay,
            metadata=metadata,
            on_lost=on_lost,
            cancel_on_loss=cancel_on_loss,
        )

    async def try_lock(
        self,
        name: Names,
        *,
        lease: float = 30.0,
        size: int | None = None,
        mode: Mode | None = None,
        weight: int | None = None,
        lock_delay: float | None = None,
        metadata: Mapping[str, str] | None = None,
        on_lost: OnLost | None = None,
        cancel_on_loss: bool = True,
    ) -> AsyncHold | None:
        """Takes a lock, or several, if all are free now; else None. A frozen one is not free, whoever holds it."""
        wanted = Wanted.of(name, lease=lease, size=size, mode=mode, weight=weight, lock_delay=lock_delay)
        granted = await self._wait(lambda pending: self._core.try_lock(wanted, metadata, pending))
        return None if granted is None else self._hold(granted, on_lost, cancel_on_loss)

    def elect(
        self,
        name: str,
        value: str,
        *,
        wait: float | None = None,
        lease: float = 10.0,
        metadata: Mapping[str, str] | None = None,
        on_lost: OnLost | None = None,
        cancel_on_loss: bool = True,
    ) -> Acquiring[AsyncLeadership]:
        """Campaigns in an election, and leads it from then on, until the end of its block or until the lead is lost.
        `value` is what `leader` says about this process, to everybody. The rest is as of `lock`: an election is one."""
        wanted = campaign(name, value, lease)

        async def acquire() -> AsyncLeadership:
            granted = await self._wait(lambda pending: self._core.lock(wanted, wait, metadata, pending))
            return _begun(
                AsyncLeadership(self._suspending, self._service, granted, on_lost, cancel_on_loss, value)
            )

        return Acquiring(acquire)

    async def leader(self, name: str) -> Leader | None:
        """Who leads an election, and for how long nobody else can; None if nobody leads."""
        return await self._suspending.run(self._core.leader(name))

    async def session_id(self) -> str:
        """The id of a session of this client, opened now if there is none; for `AsyncHold.transfer` in another one. It is
        a secret."""
        return await self._suspending.run(self._core.session_id())

    def adopt(
        self,
        given: Transferred,
        *,
        lease: float = 30.0,
        on_lost: OnLost | None = None,
        cancel_on_loss: bool = True,
    ) -> Acquiring[AsyncHold]:
        """Goes on with a hold that was given to the session of this client. Raises `LockLost` if it has ended since."""

        async def acquire() -> AsyncHold:
            granted = await self._suspending.run(self._core.adopt(given, lease))
            return self._hold(granted, on_lost, cancel_on_loss)

        return Acquiring(acquire)

    async def show(self, name: str) -> LockInfo | None:
        """The holders of a lock and its number of waiters; None if it has neither."""
        return await self._suspending.run(self._core.show(name))

    async def close(self) -> None:
        """Ends its sessions; whatever is still held is free, and lost to its holders."""
        await self._suspending.run(self._service.close())
        await self._suspending.settle()
        await self._transport.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        await self.close()

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("an AsyncClient belongs to its process: make one in each")

    async def _wait(self, make: Callable[[Pending], Steps[_Granted]]) -> _Granted:
        pending = Pending()
        try:
            return await self._suspending.run(make(pending))
        except (LatchdError, GeneratorExit):
            raise
        except BaseException:
            # The caller is not kept waiting; `close` waits for it.
            if pending.call is not None:
                self._suspending.beside(self._suspending.run(withdraw(self._service, pending)), "latchd withdrawal")
            raise

    def _hold(self, granted: Granted, on_lost: OnLost | None, cancel_on_loss: bool) -> AsyncHold:
        return _begun(AsyncHold(self._suspending, self._service, granted, on_lost, cancel_on_loss))


def _begun(hold: _Made) -> _Made:
    hold._begin()
    return hold
