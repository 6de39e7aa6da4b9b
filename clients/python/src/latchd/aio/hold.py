"""A lock that is held, as the task that holds it sees it."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import types
import typing
from collections.abc import Awaitable, Callable

from ..base_hold import BaseHold
from ..changing import Transferred
from ..errors import LatchdError, LockLost
from ..service import Service
from ..wire import Granted
from .tasks import AtClose, Suspending

log = logging.getLogger("latchd")

_Self = typing.TypeVar("_Self", bound="AsyncHold")


class AsyncHold(BaseHold):
    """A lock that is held until it is released, its client is closed, its process ends, or it is lost. It has to be
    kept: one that is dropped is not renewed any more, and ends with its lease.

    As a context manager it is released at the end of the block. If the lock is lost meanwhile, the task is cancelled in
    its block, unless it was asked for with `cancel_on_loss=False`, and the block raises `LockLost`; so does a block that
    ended well although the lock was lost.

    It belongs to the process and to the event loop of its client. In a forked child the end of its block does nothing, and
    everything else raises `WrongProcess`; `name`, `key` and `fencing_token` can be read.
    """

    def __init__(
        self,
        suspending: Suspending,
        service: Service,
        granted: Granted,
        on_lost: Callable[[AsyncHold], object] | None,
        cancel_on_loss: bool,
    ) -> None:
        self._suspending = suspending
        self._on_lost = on_lost
        self._cancel_on_loss = cancel_on_loss
        #: The task in its block.
        self._block: asyncio.Task[typing.Any] | None = None
        #: How often others had cancelled it before; None: this has not.
        self._cancelled_before: int | None = None
        super().__init__(service, granted, asyncio.Event)

    async def wait_lost(self, timeout: float | None = None) -> bool:
        """Waits until it is lost or released, or for so many seconds; whether it is lost."""
        return await self._suspending.run(self._waiting_lost(timeout))

    async def release(self) -> None:
        """Releases it; raises `LockLost` if it was lost before. Releasing it twice is no error."""
        await self._suspending.finish(self._releasing(), f"latchd release {self.name}")

    async def downgrade(self) -> None:
        """Shares a lock that is held exclusively, and lets those in at once that wait to share it."""
        await self._suspending.run(self._downgrading())

    async def upgrade(self, wait: float | None = None) -> None:
        """Makes the holder of a shared lock the only one, before all that wait already; waits as `AsyncClient.lock` does.

        Raises `NotAcquired` if others still share it then, `WouldDeadlock` or `Refused` if one of them wants the same,
        and `LockLost` if the hold has ended. Unless it is lost, it stays as it was.
        """
        limits = self._limits(wait)
        try:
            await self._suspending.run(self._upgrading(limits))
        except (LatchdError, GeneratorExit):
            raise
        except BaseException:
            self._suspending.beside(self._suspending.run(self._not_upgrading()), f"latchd downgrade {self.name}")
            raise

    async def transfer(self, session: str) -> Transferred:
        """Gives the hold to another session, by the `session_id` of its client, which goes on with its `adopt`. Here it
        counts as released.

        Where no answer comes, the other side may have it: then it is found to be lost with its next renewal.
        """
        return await self._suspending.run(self._transferring(session))

    async def __aenter__(self: _Self) -> _Self:
        if self._cancel_on_loss:
            self.check()
            self._block = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        block, self._block = self._block, None
        if self._cancelled_before is not None and block is not None:
            is_ours = _is_cancelled_no_more(block, self._cancelled_before)
            if is_ours and kind is asyncio.CancelledError:
                try:
                    await self._leave(None)
                except LockLost as lost:
                    raise lost from error
        await self._leave(error)

    def report_loss(self) -> None:
        """Calls `on_lost`, and cancels the block."""
        if self._on_lost is not None:
            try:
                told = self._on_lost(self)
                if inspect.isawaitable(told):
                    self._suspending.beside(self._told(told), f"latchd on_lost {self.name}", AtClose.STAYS)
            except Exception:
                log.exception("on_lost of %r failed", self.name)
        if self._block is asyncio.current_task():
            # It may end by itself: an upgrade that finds the loss raises its error.
            asyncio.get_running_loop().call_soon(self._cancel_block)
        else:
            self._cancel_block()

    def _cancel_block(self) -> None:
        block = self._block
        if block is not None and not block.done():
            self._cancelled_before = _times_cancelled(block)
            block.cancel()

    async def _leave(self, error: BaseException | None) -> None:
        await self._suspending.finish(self._leaving(error), f"latchd release {self.name}")

    async def _told(self, told: Awaitable[object]) -> None:
        try:
            await told
        except Exception:
            log.exception("on_lost of %r failed", self.name)

    def _begin(self) -> None:
        keeper = self._keeper
        keeper.begin(self)
        # Without a reference to this hold.
        self._suspending.beside(self._suspending.run(keeper.keep()), f"latchd {self.name}", AtClose.IS_CANCELLED)


def _times_cancelled(task: asyncio.Task[typing.Any]) -> int:
    return task.cancelling() if sys.version_info >= (3, 11) else 0


def _is_cancelled_no_more(task: asyncio.Task[typing.Any], before: int) -> bool:
    """Takes our cancel back; whether nobody else has cancelled it meanwhile."""
    return task.uncancel() <= before if sys.version_info >= (3, 11) else True
