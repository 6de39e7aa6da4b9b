"""A lock that is held, as its holder sees it."""

from __future__ import annotations

import logging
import threading
import types
import typing
from collections.abc import Callable

from .base_hold import BaseHold
from .blocking import Blocking
from .changing import Transferred
from .errors import LatchdError
from .service import Service
from .wire import Granted

log = logging.getLogger("latchd")

_Self = typing.TypeVar("_Self", bound="Hold")


class Hold(BaseHold):
    """A lock that is held until it is released, its client is closed, its process ends, or it is lost. It has to be
    kept: one that is dropped is not renewed any more, and ends with its lease.

    As a context manager it is released at the end of the block, and a block that ended well although the lock was
    lost meanwhile raises `LockLost`.

    It belongs to the process that took it. In a forked child the end of its block does nothing, and everything else
    raises `WrongProcess`; `name`, `key` and `fencing_token` can be read.
    """

    def __init__(
        self, blocking: Blocking, service: Service, granted: Granted, on_lost: Callable[[Hold], object] | None
    ) -> None:
        self._blocking = blocking
        self._on_lost = on_lost
        super().__init__(service, granted, threading.Event)

    def wait_lost(self, timeout: float | None = None) -> bool:
        """Waits until it is lost or released, or for so many seconds; whether it is lost."""
        return self._blocking.run(self._waiting_lost(timeout))

    def release(self) -> None:
        """Releases it; raises `LockLost` if it was lost before. Releasing it twice is no error."""
        self._blocking.run(self._releasing())

    def downgrade(self) -> None:
        """Shares a lock that is held exclusively, and lets those in at once that wait to share it."""
        self._blocking.run(self._downgrading())

    def upgrade(self, wait: float | None = None) -> None:
        """Makes the holder of a shared lock the only one, before all that wait already; waits as `Client.lock` does.

        Raises `NotAcquired` if others still share it then, `WouldDeadlock` or `Refused` if one of them wants the same,
        and `LockLost` if the hold has ended. Unless it is lost, it stays as it was.
        """
        limits = self._limits(wait)
        try:
            self._blocking.run(self._upgrading(limits))
        except LatchdError:
            raise
        except BaseException:
            self._blocking.run(self._not_upgrading())
            raise

    def transfer(self, session: str) -> Transferred:
        """Gives the hold to another session, by the `session_id` of its client, which goes on with `Client.adopt`. Here
        it counts as released.

        Where no answer comes, the other side may have it: then it is found to be lost with its next renewal.
        """
        return self._blocking.run(self._transferring(session))

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._blocking.run(self._leaving(error))

    def report_loss(self) -> None:
        """Calls `on_lost`; the renewing thread does."""
        if self._on_lost is not None:
            try:
                self._on_lost(self)
            except Exception:
                log.exception("on_lost of %r failed", self.name)

    def _begin(self) -> None:
        keeper = self._keeper
        keeper.begin(self)
        # Without a reference to this hold.
        threading.Thread(
            target=self._blocking.run, args=(keeper.keep(),), name=f"latchd {self.name}", daemon=True
        ).start()
