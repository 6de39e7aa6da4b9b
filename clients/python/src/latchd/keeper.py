"""Renews one hold beside its work, and decides by this machine's clock whether it is lost."""

from __future__ import annotations

import contextlib
import logging
import threading
import typing
import weakref
from collections.abc import Callable, Iterator

from . import clock, process
from .errors import LatchdError, SessionEnded, WrongProcess
from .nodes import Patience
from .service import Service
from .steps import Flag, Steps, Until
from .wire import Granted, lease_end

log = logging.getLogger("latchd")

TOO_LATE = "its lease could not be renewed in time"
#: How soon a dropped hold is noticed.
_LOOK_SECONDS = 1.0


class Holding(typing.Protocol):
    """The object that represents the hold."""

    def report_loss(self) -> None: ...


class Keeper:
    """The renewing has only this and a weak reference to the `Hold`, so that a dropped hold is not renewed for
    ever. `new_flag` makes an event, of threads or of tasks."""

    def __init__(self, service: Service, granted: Granted, new_flag: Callable[[], Flag]) -> None:
        self.granted = granted
        self.service = service
        self.ended = new_flag()
        self._new_flag = new_flag
        self.why_lost: str | None = None
        self._until = granted.until
        #: The lease as it was last granted: a session may end sooner.
        self._term = granted.until - granted.sent
        self._guard = threading.Lock()
        #: Those that are under way, by which another session is given the hold: an end of it may be no loss.
        self._handovers: set[Flag] = set()
        self._process = process.current()
        self._hold: weakref.ref[Holding] | None = None

    def begin(self, hold: Holding) -> None:
        self.service.add(self)
        self._hold = weakref.ref(hold)

    @contextlib.contextmanager
    def handover(self) -> Iterator[None]:
        """Another session is given the hold meanwhile."""
        over = self._new_flag()
        self._handovers.add(over)
        try:
            yield
        finally:
            self._handovers.discard(over)
            over.set()

    def is_of_this_process(self) -> bool:
        return process.current() == self._process

    def require_this_process(self) -> None:
        if not self.is_of_this_process():
            raise WrongProcess(f"the hold of {self.granted.name!r}", self._process[0])

    @property
    def until(self) -> float:
        """When it ends if it is not renewed."""
        return self._until

    def deadline(self) -> float:
        """When it counts as lost: before the lease ends, because a clock may run a little slow."""
        with self._guard:
            return self._deadline()

    def is_lost(self) -> bool:
        with self._guard:
            return self.why_lost is not None or self._is_late()

    def end(self) -> bool:
        """Ends the renewing; whether it was lost before. None of it may have happened before."""
        with self._guard:
            lost = self.why_lost is not None or self._is_late()
            if lost and self.why_lost is None:
                self.why_lost = TOO_LATE
            self.ended.set()
        self.service.forget(self)
        return lost

    def lose(self, why: str) -> None:
        with self._guard:
            if self.ended.is_set():
                return
            self.why_lost = why
            self.ended.set()
        granted = self.granted
        log.error("the lock %r (token %s) is lost: %s", granted.name, granted.fencing_token, why)
        self.service.forget(self)
        if (hold := self._held()) is not None:
            hold.report_loss()

    def _deadline(self) -> float:
        return self._until - min(max(self._term / 20, 0.05), 2.0)

    def _is_late(self) -> bool:
        return not self.ended.is_set() and clock.left(self._deadline()) == 0

    def _held(self) -> Holding | None:
        return None if self._hold is None else self._hold()

    def keep(self) -> Steps[None]:
        """Renews at a third of the lease until it is released, dropped or lost."""
        renewed_at = self.granted.sent
        try:
            while (yield from self._rest(renewed_at + self._term / 3)):
                renewed_at = yield from self._renew()
        except _Lost as reason:
            self.lose(str(reason))
        except WrongProcess:
            return
        except Exception as error:
            log.exception("renewing %r failed", self.granted.name)
            self.lose(f"renewing it failed: {error!r}")

    def _rest(self, moment: float) -> Steps[bool]:
        """Waits until then; whether there is something to renew."""
        moment = min(moment, self.deadline())
        while True:
            if (yield Until(self.ended, min(moment, clock.now() + _LOOK_SECONDS))):
                return False
            if self._held() is None:
                self._give_up()
                return False
            if clock.left(moment) == 0:
                return True

    def _give_up(self) -> None:
        self.ended.set()
        self.service.forget(self)
        log.warning(
            "the hold of %r was dropped without a release: it is not renewed any more, and ends in %.1f s",
            self.granted.name,
            clock.left(self._until),
        )

    def _renew(self) -> Steps[float]:
        """Retries until the lease has nearly ended; returns when the answered attempt was sent."""
        why = TOO_LATE
        while not self.ended.is_set():
            self.require_this_process()
            deadline = self.deadline()
            left = clock.left(deadline)
            if left == 0:
                raise _Lost(why)
            # Half of what is left at most: there is time for another attempt.
            attempt = max(0.01, min(self._term / 6, 5.0, left / 2))
            pause = min(self._term / 10, 2.0)
            try:
                patience = Patience(deadline, attempt, pause, ends=self._until)
                answer = yield from self.service.renew(self.granted, patience)
            except SessionEnded:
                raise _Lost("its session has ended") from None
            except WrongProcess:
                raise
            except LatchdError as error:
                # A refusal may be taken back while the lease still runs, such as that of a credential.
                why = f"its lease could not be renewed: {error}"
                log.info("of %r: %s", self.granted.name, why)
                yield Until(self.ended, min(clock.now() + pause, deadline))
                continue
            if not answer.body["locked"]:
                for over in list(self._handovers):
                    yield Until(over, float("inf"))  # If it was handed over meanwhile, nothing is lost any more.
                raise _Lost("the service says that it has ended")
            self._extend(answer.sent, lease_end(answer.body, self.granted.longest, answer.sent))
            return answer.sent
        return clock.now()

    def _extend(self, sent: float, until: float) -> None:
        with self._guard:
            # A caller may have seen that it is lost, and that stays so.
            if self._is_late():
                raise _Lost(TOO_LATE)
            self._term = until - sent
            self._until = max(self._until, until)


class _Lost(Exception):
    """Why there is nothing to renew any more."""
