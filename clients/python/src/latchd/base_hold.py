"""A lock that is held: what both clients say of it and do with it."""

from __future__ import annotations

import collections.abc
import contextlib
import logging
import typing
import warnings
from collections.abc import Callable

from . import changing, clock
from .acquiring import Wait
from .changing import Transferred
from .errors import Frozen, HoldGone, LatchdError, LockLost, NotAcquired, SessionEnded, Unreachable, WouldDeadlock
from .keeper import TOO_LATE, Keeper
from .service import Service
from .steps import Flag, Steps, Until
from .wire import Freeze, Granted

log = logging.getLogger("latchd")

#: The time limit for releasing a hold that is lost.
_FAREWELL_SECONDS = 0.5


class BaseHold:
    """What can be read of a hold, and the steps of what is done with it."""

    def __init__(self, service: Service, granted: Granted, new_flag: Callable[[], Flag]) -> None:
        #: Of several, the first.
        self.name = granted.name
        #: All of them.
        self.names = granted.names
        #: Opens the hold: a secret of its owner.
        self.key = granted.key
        #: How long it stays taken after it could last be renewed, in seconds; less where its session ends sooner.
        self.lease = granted.lease
        self._keeper = Keeper(service, granted, new_flag)

    @property
    def fencing_token(self) -> int:
        """Larger than that of every earlier hold of any lock. Hand it to whatever the lock protects. An upgrade and a
        downgrade give a new one."""
        return self._keeper.granted.fencing_token

    @property
    def lost(self) -> bool:
        """Whether it may be somebody else's. Never false again once it was true, and true before the lease ends."""
        self._keeper.require_this_process()
        return self._keeper.is_lost()

    @property
    def remaining(self) -> float:
        """For how many seconds it is certain that nobody else holds it; 0 once it is lost or released."""
        self._keeper.require_this_process()
        return 0.0 if self._keeper.ended.is_set() else clock.left(self._keeper.deadline())

    def check(self) -> None:
        """Raises `LockLost` if it is lost: for between the steps of a long work."""
        if self.lost:
            raise LockLost(self.name, self._reason())

    def report_loss(self) -> None:
        """Tells whoever wants to know."""

    def __del__(self) -> None:
        # Only tells. No lock is taken here: whatever was interrupted for this may have it.
        keeper: Keeper | None = getattr(self, "_keeper", None)
        if keeper is not None and keeper.is_of_this_process() and not keeper.ended.is_set():
            message = f"the hold of {self.name!r} was dropped without a release, and ends with its lease"
            warnings.warn(message, ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        return f"<Hold of {self.name!r}, token {self.fencing_token}, {self._state()}>"

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a Hold belongs to its process: hand on its fencing_token")

    def _waiting_lost(self, timeout: float | None) -> Steps[bool]:
        end = float("inf") if timeout is None else clock.now() + timeout
        while not self.lost and not self._keeper.ended.is_set() and clock.left(end) > 0:
            yield Until(self._keeper.ended, min(end, self._keeper.deadline()))
        return self.lost

    def _releasing(self) -> Steps[None]:
        keeper = self._keeper
        keeper.require_this_process()
        if keeper.ended.is_set() and keeper.why_lost is None:
            return
        if keeper.end():
            yield from self._give_back_what_is_left()
            raise LockLost(self.name, self._reason())
        yield from self._give_back()

    def _leaving(self, error: BaseException | None) -> Steps[None]:
        """The end of its block, which ended so."""
        if not self._keeper.is_of_this_process():
            return
        try:
            yield from self._releasing()
        except LatchdError as failure:
            if error is None:
                raise
            # What went wrong in the block matters more.
            log.warning("after %r in its block: %s", error, failure)

    def _downgrading(self) -> Steps[None]:
        with self._changing() as keeper:
            keeper.granted = yield from changing.downgrade(keeper.service, keeper.granted)

    def _limits(self, wait: float | None) -> Wait:
        return Wait.of(wait, self._keeper.service.patience)

    def _upgrading(self, wait: Wait) -> Steps[None]:
        with self._changing() as keeper:
            changed = yield from changing.upgrade(keeper.service, keeper.granted, wait)
            if isinstance(changed, list):
                raise WouldDeadlock(self.name, changed)
            if isinstance(changed, Freeze):
                raise Frozen(self.name, changed, [], 0)
            if changed is None:
                raise NotAcquired(self.name, [], 0, "others share it")
            keeper.granted = changed

    def _not_upgrading(self) -> Steps[None]:
        """Nobody waits for the upgrade any more, and it may have been granted: the hold stays shared."""
        keeper = self._keeper
        if keeper.is_of_this_process() and not keeper.ended.is_set() and keeper.granted.is_shared:
            try:
                yield from self._downgrading()
            except LatchdError as error:
                log.warning("%r may not be shared any more: %s", self.name, error)

    def _transferring(self, session: str) -> Steps[Transferred]:
        with self._changing() as keeper, keeper.handover():
            transferred = yield from changing.transfer(keeper.service, keeper.granted, session)
            keeper.end()
        return transferred

    @contextlib.contextmanager
    def _changing(self) -> collections.abc.Iterator[Keeper]:
        """A change of a hold that is there."""
        keeper = self._keeper
        self.check()
        if keeper.ended.is_set():
            raise RuntimeError(f"the hold of {self.name!r} is released")
        try:
            yield keeper
        except SessionEnded:
            keeper.lose("its session has ended")
        except HoldGone:
            keeper.lose("the service says that it has ended")
        self.check()

    def _state(self) -> str:
        if not self._keeper.is_of_this_process():
            return "of another process"
        return "lost" if self.lost else "released" if self._keeper.ended.is_set() else "held"

    def _reason(self) -> str:
        return self._keeper.why_lost or TOO_LATE

    def _give_back(self) -> Steps[None]:
        keeper = self._keeper
        try:
            answer = yield from keeper.service.unlock(keeper.granted, keeper.until)
        except SessionEnded:
            why = "its session had ended before it was released"
        except Unreachable as error:
            # What was done under it is done, and was protected.
            log.warning("%r could not be released and ends with its lease: %s", self.name, error)
            return
        else:
            # A first attempt may have done it and its answer be lost.
            if answer.body["unlocked"] or answer.attempts > 1:
                return
            why = "the service says that it had ended before it was released"
        keeper.why_lost = why
        raise LockLost(self.name, why)

    def _give_back_what_is_left(self) -> Steps[None]:
        """It may still be there; nothing depends on whether this works."""
        keeper = self._keeper
        try:
            yield from keeper.service.unlock(keeper.granted, clock.now(), _FAREWELL_SECONDS)
        except LatchdError:
            pass
