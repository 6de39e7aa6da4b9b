"""A lock that is held, as its holder sees it."""

from __future__ import annotations

import collections.abc
import contextlib
import logging
import types
import typing
import warnings
from collections.abc import Callable

from . import changing, clock
from .acquiring import Wait
from .changing import Transferred
from .errors import HoldGone, LatchdError, LockLost, NotAcquired, SessionEnded, Unreachable, WouldDeadlock
from .keeper import TOO_LATE, Keeper
from .service import Service
from .wire import Granted

log = logging.getLogger("latchd")

_Self = typing.TypeVar("_Self", bound="Hold")

#: The time limit for releasing a hold that is lost.
_FAREWELL_SECONDS = 0.5


class Hold:
    """A lock that is held until it is released, its client is closed, its process ends, or it is lost. It has to be
    kept: one that is dropped is not renewed any more, and ends with its lease.

    As a context manager it is released at the end of the block, and a block that ended well although the lock was
    lost meanwhile raises `LockLost`.

    It belongs to the process that took it. In a forked child the end of its block does nothing, and everything else
    raises `WrongProcess`; `name`, `key` and `fencing_token` can be read.
    """

    def __init__(self, service: Service, granted: Granted, on_lost: Callable[[Hold], object] | None) -> None:
        #: Of several, the first.
        self.name = granted.name
        #: All of them.
        self.names = granted.names
        #: Opens the hold: a secret of its owner.
        self.key = granted.key
        #: How long it stays taken after it could last be renewed, in seconds; less where its session ends sooner.
        self.lease = granted.lease
        self._on_lost = on_lost
        self._keeper = Keeper(service, granted)

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

    def wait_lost(self, timeout: float | None = None) -> bool:
        """Waits until it is lost or released, or for so many seconds; whether it is lost."""
        end = float("inf") if timeout is None else clock.now() + timeout
        while not self.lost and not self._keeper.ended.is_set() and clock.left(end) > 0:
            clock.wait(self._keeper.ended, min(end, self._keeper.deadline()))
        return self.lost

    def check(self) -> None:
        """Raises `LockLost` if it is lost: for between the steps of a long work."""
        if self.lost:
            raise LockLost(self.name, self._reason())

    def release(self) -> None:
        """Gives it back; raises `LockLost` if it was lost before. Releasing it twice is no error."""
        keeper = self._keeper
        keeper.require_this_process()
        if keeper.ended.is_set() and keeper.why_lost is None:
            return
        if keeper.end():
            self._give_back_what_is_left()
            raise LockLost(self.name, self._reason())
        self._give_back()

    def downgrade(self) -> None:
        """Shares a lock that is held exclusively, and lets those in at once that wait to share it."""
        with self._changing() as keeper:
            keeper.granted = changing.downgrade(keeper.service, keeper.granted)

    def upgrade(self, wait: float | None = None) -> None:
        """Makes the holder of a shared lock the only one, before all that wait already; waits as `Client.lock` does.

        Raises `NotAcquired` if others still share it then, `WouldDeadlock` or `Refused` if one of them wants the same,
        and `LockLost` if the hold has ended. Unless it is lost, it stays as it was.
        """
        if wait is not None and not 0 <= wait:
            raise ValueError(f"wait must be a number of seconds from 0, or None, not {wait}")
        with self._changing() as keeper:
            changed = changing.upgrade(keeper.service, keeper.granted, Wait.of(wait, keeper.service.patience))
            if isinstance(changed, list):
                raise WouldDeadlock(self.name, changed)
            if changed is None:
                raise NotAcquired(self.name, [], 0, "others share it")
            keeper.granted = changed

    def transfer(self, session: str) -> Transferred:
        """Gives the hold to another session, by the `session_id` of its client, which goes on with `Client.adopt`. Here
        it counts as released.

        Where no answer comes, the other side may have it: then it is found to be lost with its next renewal.
        """
        with self._changing() as keeper, keeper.handover:
            transferred = changing.transfer(keeper.service, keeper.granted, session)
            keeper.end()
        return transferred

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        if not self._keeper.is_of_this_process():
            return
        try:
            self.release()
        except LatchdError as failure:
            if error is None:
                raise
            # What went wrong in the block matters more.
            log.warning("after %r in its block: %s", error, failure)

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

    def _begin(self) -> None:
        self._keeper.begin(self)

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

    def report_loss(self) -> None:
        """Calls `on_lost`; the renewing thread does."""
        if self._on_lost is not None:
            try:
                self._on_lost(self)
            except Exception:
                log.exception("on_lost of %r failed", self.name)

    def _give_back(self) -> None:
        keeper = self._keeper
        try:
            answer = keeper.service.unlock(keeper.granted, keeper.until)
        except SessionEnded:
            why = "its session had ended before it was released"
        except Unreachable as error:
            # What was done under it is done, and was protected.
            log.warning("%r could not be given back and ends with its lease: %s", self.name, error)
            return
        else:
            # A first attempt may have done it and its answer be lost.
            if answer.body["unlocked"] or answer.attempts > 1:
                return
            why = "the service says that it had ended before it was released"
        keeper.why_lost = why
        raise LockLost(self.name, why)

    def _give_back_what_is_left(self) -> None:
        """It may still be there; nothing depends on whether this works."""
        keeper = self._keeper
        try:
            keeper.service.unlock(keeper.granted, clock.now(), _FAREWELL_SECONDS)
        except LatchdError:
            pass
