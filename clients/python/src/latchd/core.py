"""What a client does for its callers, in steps: takes locks, tells who holds them, looks out for deadlocks with oneself."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from . import clock, enclosing
from .acquiring import Wait, acquire
from .adopting import adopt
from .changing import Transferred
from .election import Leader, look_up
from .errors import CutShort, LatchdError, NotAcquired
from .identity import described
from .nodes import Patience
from .service import Service
from .steps import Steps
from .wanted import Wanted
from .wire import Granted, LockInfo
from .withdrawing import Pending

#: The time limit for asking who holds a lock that was not acquired.
_LOOK_SECONDS = 1.0


class Core:
    def __init__(self, service: Service, metadata: Mapping[str, str] | None) -> None:
        self.service = service
        self._metadata = None if metadata is None else dict(metadata)

    def lock(
        self, wanted: Wanted, wait: float | None, metadata: Mapping[str, str] | None, pending: Pending
    ) -> Steps[Granted]:
        """Raises `NotAcquired` where it was not to be had."""
        if wait != 0 and not wanted.is_counted:
            yield from self._refuse_own_deadlock(wanted)
        try:
            granted = yield from self.try_lock(wanted, wait, metadata, pending)
        except CutShort as error:
            if not wait:
                raise
            raise NotAcquired(wanted.names[0], [], 0, str(error)) from error
        if granted is None:
            raise (yield from self._not_acquired(wanted))
        return granted

    def try_lock(
        self, wanted: Wanted, wait: float | None, metadata: Mapping[str, str] | None, pending: Pending
    ) -> Steps[Granted | None]:
        limits = Wait.of(wait, self.service.patience)
        self.service.here()
        if shown := described(self._metadata, metadata):
            wanted = dataclasses.replace(wanted, body={**wanted.body, "metadata": shown})
        return (yield from acquire(self.service, wanted, limits, pending))

    def leader(self, name: str) -> Steps[Leader | None]:
        self.service.here()
        return (yield from look_up(self.service, name, self.service.usual()))

    def session_id(self) -> Steps[str]:
        self.service.here()
        session = yield from self.service.open()
        with self.service.guard:
            self.service.sessions.tell(session)
        return session.id

    def adopt(self, given: Transferred, lease: float) -> Steps[Granted]:
        self.service.here()
        return (yield from adopt(self.service, given, lease))

    def show(self, name: str) -> Steps[LockInfo | None]:
        self.service.here()
        return (yield from self.service.show(name, self.service.usual()))

    def _look(self, name: str) -> Steps[LockInfo | None]:
        """The same for a message; None if it takes long."""
        self.service.here()
        ends = clock.now() + _LOOK_SECONDS
        try:
            return (yield from self.service.show(name, Patience(clock.now(), _LOOK_SECONDS, ends=ends)))
        except LatchdError:
            return None

    def _refuse_own_deadlock(self, wanted: Wanted) -> Steps[None]:
        for name, shared in wanted.places:
            if name in enclosing.names():
                found = yield from self._look(name)
                # It would wait for itself.
                if found and enclosing.is_in_the_way(found, shared):
                    raise self._held(found, shared)

    def _not_acquired(self, wanted: Wanted) -> Steps[NotAcquired]:
        for name, shared in wanted.places:
            found = yield from self._look(name)
            if found is not None and found.holders:
                return self._held(found, shared)
        return NotAcquired(wanted.names[0], [], 0)

    def _held(self, found: LockInfo, shared: bool) -> NotAcquired:
        note = ""
        own = self.service.tokens()
        if enclosing.is_in_the_way(found, shared):
            note = "held by the `latchd lock` that this program runs under: a deadlock with oneself"
        elif own & {holder.fencing_token for holder in found.holders}:
            note = "held by this client itself"
        return NotAcquired(found.name, found.holders, found.queue_length, note)
