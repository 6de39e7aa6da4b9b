"""Carries out steps in the task that asks, and keeps those tasks that run beside."""

from __future__ import annotations

import asyncio
import enum
import itertools
import typing
import weakref
from collections.abc import Callable, Coroutine

from .. import clock
from ..errors import LatchdError
from ..steps import Attempt, Effect, Pause, Reply, Steps
from .transport import Transport

_Result = typing.TypeVar("_Result")

_numbers: weakref.WeakKeyDictionary[asyncio.Task[typing.Any], int] = weakref.WeakKeyDictionary()
_next = itertools.count(1)


def current() -> int:
    """The number of the current task, which no other task ever has."""
    task = asyncio.current_task()
    assert task is not None, "steps run in tasks"
    if (number := _numbers.get(task)) is None:
        number = _numbers[task] = next(_next)
    return number


class AtClose(enum.Enum):
    """What becomes of a task when its client is closed."""

    IS_AWAITED = enum.auto()
    IS_CANCELLED = enum.auto()
    STAYS = enum.auto()


class Suspending:
    """One for each client."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._beside: dict[asyncio.Task[typing.Any], AtClose] = {}

    async def run(self, steps: Steps[_Result]) -> _Result:
        try:
            effect = next(steps)
            while True:
                try:
                    result = await self._carry_out(effect)
                except BaseException as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as done:
            return typing.cast(_Result, done.value)

    async def finish(self, steps: Steps[None], name: str) -> None:
        """As `run`, and goes on beside where the caller is cancelled."""
        await asyncio.shield(self.beside(self.run(steps), name))

    def beside(
        self, work: Coroutine[typing.Any, typing.Any, _Result], name: str, at_close: AtClose = AtClose.IS_AWAITED
    ) -> asyncio.Task[_Result]:
        """Runs it in a task of its own, which nobody else has to keep."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._beside[task] = at_close
        task.add_done_callback(self._forget)
        return task

    async def settle(self) -> None:
        """At close, as far as the tasks beside belong to the loop that runs."""
        ending = []
        for task, at_close in self._beside.items():
            is_own = task.get_loop() is asyncio.get_running_loop() and task is not asyncio.current_task()
            if is_own and at_close is not AtClose.STAYS:
                ending.append(task)
                if at_close is AtClose.IS_CANCELLED:
                    task.cancel()
        if ending:
            await asyncio.wait(ending)

    def _forget(self, task: asyncio.Task[typing.Any]) -> None:
        del self._beside[task]
        if not task.cancelled():
            # Whoever waited for it has its error, and nobody else wants it.
            task.exception()

    async def _attempt(self, asked: Attempt) -> Reply:
        if asked.undo is None:
            return await self._transport.attempt(asked)
        sending = self.beside(self._transport.attempt(asked), "latchd attempt")
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            self.beside(self._undo(sending, asked.undo), "latchd undo")
            raise

    async def _undo(self, sending: asyncio.Task[Reply], undo: Callable[[Reply], Steps[None]]) -> None:
        try:
            reply = await sending
        except LatchdError:
            return
        await self.run(undo(reply))

    async def _carry_out(self, effect: Effect) -> Reply | bool | None:
        if isinstance(effect, Attempt):
            return await self._attempt(effect)
        if isinstance(effect, Pause):
            await asyncio.sleep(effect.seconds)
            return None
        event = typing.cast(asyncio.Event, effect.flag)
        waiting = asyncio.ensure_future(event.wait())
        try:
            while not event.is_set() and (seconds := clock.left(effect.moment)) > 0:
                # In slices, because timers stop while the machine is suspended.
                await asyncio.wait([waiting], timeout=min(seconds, clock.SLICE_SECONDS))
        finally:
            waiting.cancel()
        return event.is_set()
