"""A lock that is held: renewed by a thread of its own, and judged by this machine's own clock."""

from __future__ import annotations

import logging
import threading
import types
import typing
from collections.abc import Callable

from . import clock
from .errors import LatchdError, LockLost, SessionEnded, Unreachable
from .transport import Patience
from .wire import Session, lease_end

if typing.TYPE_CHECKING:
    from .client import Client

log = logging.getLogger("latchd")

_TOO_LATE = "its lease could not be renewed in time"
#: How long it may take to give back what is lost anyway.
_FAREWELL_SECONDS = 0.5


class Hold:
    """A lock that is held until it is released, its client is closed, its process ends, or it is lost.

    As a context manager it is released at the end of the block, and a block that ended well although the lock was
    lost meanwhile raises `LockLost`.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        key: str,
        fencing_token: int,
        lease: float,
        until: float,
        session: Session,
        on_lost: Callable[[Hold], object] | None,
    ) -> None:
        self.name = name
        #: Opens the hold: a secret of its owner.
        self.key = key
        #: Larger than that of every earlier hold of any lock. Hand it to whatever the lock protects.
        self.fencing_token = fencing_token
        #: How long it stays taken after it could last be renewed, in seconds.
        self.lease = lease
        self._client = client
        self._session = session
        self._on_lost = on_lost
        self._until = until
        self._guard = threading.Lock()
        self._why_lost: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"latchd {name}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether it may be somebody else's. Never false again once it was true, and true before the lease ends."""
        with self._guard:
            return self._why_lost is not None or self._is_late()

    @property
    def remaining(self) -> float:
        """For how many seconds it is certain that nobody else holds it; 0 once it is lost or released."""
        with self._guard:
            return 0.0 if self._ended.is_set() else clock.left(self._deadline())

    def wait_lost(self, timeout: float | None = None) -> bool:
        """Waits until it is lost or released, or for so many seconds; whether it is lost."""
        end = float("inf") if timeout is None else clock.now() + timeout
        while not self._ended.is_set() and not self.lost and clock.left(end) > 0:
            with self._guard:
                deadline = self._deadline()
            clock.wait(self._ended, min(end, deadline))
        return self.lost

    def check(self) -> None:
        """Raises `LockLost` if it is lost: for between the steps of a long work."""
        if self.lost:
            raise LockLost(self.name, self._reason())

    def release(self) -> None:
        """Gives it back; raises `LockLost` if it was lost before. Releasing it twice is no error."""
        with self._guard:
            if self._ended.is_set() and self._why_lost is None:
                return
            lost = self._why_lost is not None or self._is_late()
            if lost and self._why_lost is None:
                self._why_lost = _TOO_LATE
            self._ended.set()
        self._client._forget(self)
        if lost:
            self._give_back_what_is_left()
            raise LockLost(self.name, self._reason())
        self._give_back()

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        try:
            self.release()
        except LatchdError as failure:
            if error is None:
                raise
            # What went wrong in the block matters more.
            log.warning("after %r in its block: %s", error, failure)

    def __repr__(self) -> str:
        state = "lost" if self.lost else "released" if self._ended.is_set() else "held"
        return f"<Hold of {self.name!r}, token {self.fencing_token}, {state}>"

    def _deadline(self) -> float:
        """When it counts as lost: before the lease ends, because a clock may run a little slow."""
        return self._until - min(max(self.lease / 20, 0.05), 2.0)

    def _is_late(self) -> bool:
        return not self._ended.is_set() and clock.left(self._deadline()) == 0

    def _reason(self) -> str:
        return self._why_lost or _TOO_LATE

    def _keep(self) -> None:
        """Renews at a third of the lease until it is released or lost."""
        # A renewal is also what the session hears of its owner.
        interval = min(self.lease, self._session.idle_seconds) / 3
        renewed_at = self._until - self.lease
        try:
            while not clock.wait(self._ended, min(renewed_at + interval, self._deadline())):
                renewed_at = self._renew()
        except _Lost as reason:
            self._lose(str(reason))
        except Exception as error:
            log.exception("renewing %r failed", self.name)
            self._lose(f"renewing it failed: {error!r}")

    def _renew(self) -> float:
        """Asks again and again until the lease has nearly ended; when the answered attempt was sent."""
        why = _TOO_LATE
        while not self._ended.is_set():
            with self._guard:
                deadline = self._deadline()
            left = clock.left(deadline)
            if left == 0:
                raise _Lost(why)
            # Half of what is left at most, because connecting and reading are timed apart.
            attempt = max(0.01, min(self.lease / 6, 5.0, left / 2))
            pause = min(self.lease / 10, 2.0)
            try:
                answer = self._client._renew(self, Patience(deadline, attempt, pause))
            except SessionEnded:
                raise _Lost("its session has ended") from None
            except LatchdError as error:
                # A refusal too may be taken back while the lease still runs, such as that of a credential.
                why = f"its lease could not be renewed: {error}"
                log.info("of %r: %s", self.name, why)
                clock.wait(self._ended, min(clock.now() + pause, deadline))
                continue
            if not answer.body.get("locked"):
                raise _Lost("the service says that it has ended")
            self._extend(lease_end(answer.body, self.lease, answer.sent))
            return answer.sent
        return clock.now()

    def _extend(self, until: float) -> None:
        with self._guard:
            # Whoever has asked meanwhile was told that it is lost, and that stays so.
            if self._is_late():
                raise _Lost(_TOO_LATE)
            self._until = max(self._until, until)

    def _lose(self, why: str) -> None:
        with self._guard:
            if self._ended.is_set():
                return
            self._why_lost = why
            self._ended.set()
        log.error("the lock %r (token %s) is lost: %s", self.name, self.fencing_token, why)
        self._client._forget(self)
        if self._on_lost is not None:
            try:
                self._on_lost(self)
            except Exception:
                log.exception("on_lost of %r failed", self.name)

    def _give_back(self) -> None:
        try:
            answer = self._client._unlock(self, self._until)
        except SessionEnded:
            why = "its session had ended before it was released"
        except Unreachable as error:
            # What was done under it is done, and was protected.
            log.warning("%r could not be given back and ends with its lease: %s", self.name, error)
            return
        else:
            # A first attempt may have done it and its answer be lost.
            if answer.body.get("unlocked") or answer.attempts > 1:
                return
            why = "the service says that it had ended before it was released"
        self._why_lost = why
        raise LockLost(self.name, why)

    def _give_back_what_is_left(self) -> None:
        """It may still be there; nothing depends on whether this works."""
        try:
            self._client._unlock(self, clock.now(), _FAREWELL_SECONDS)
        except LatchdError:
            pass


class _Lost(Exception):
    """Why there is nothing to renew any more."""
