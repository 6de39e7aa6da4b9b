"""Carries out steps on the calling thread."""

from __future__ import annotations

import threading
import time
import typing

from . import clock
from .steps import Attempt, Effect, Pause, Reply, Steps

_Result = typing.TypeVar("_Result")


class _Sends(typing.Protocol):
    def attempt(self, asked: Attempt) -> Reply: ...


class Blocking:
    def __init__(self, transport: _Sends) -> None:
        self._transport = transport

    def run(self, steps: Steps[_Result]) -> _Result:
        try:
            effect = next(steps)
            while True:
                try:
                    result = self._carry_out(effect)
                except BaseException as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as done:
            return typing.cast(_Result, done.value)

    def _carry_out(self, effect: Effect) -> Reply | bool | None:
        if isinstance(effect, Attempt):
            return self._transport.attempt(effect)
        if isinstance(effect, Pause):
            time.sleep(effect.seconds)
            return None
        return clock.wait(typing.cast(threading.Event, effect.flag), effect.moment)
