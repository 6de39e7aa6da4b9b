"""What a client does for its callers, in steps: takes locks, tells who holds them, looks out for deadlocks with oneself."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from . import enclosing
from .acquiring import Wait, acquire, look
from .adopting import adopt
from .changing import Transferred
from .election import Leader, look_up
from .errors import CutShort, Frozen, NotAcquired
from .identity import described
from .service import Service
from .steps import Steps
from .wanted import Wanted
from .wire import Freeze, Granted, LockInfo
from .withdrawing import Pending


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
            granted = yield from self._acquire(wanted, wait, metadata, pending)
        except CutShort as error:
            if not wait:
                raise
            raise NotAcquired(wanted.names[0], [], 0, str(error)) from error
        if not isinstance(granted, Granted):
            raise (yield from self._not_acquired(wanted, granted))
        return granted

    def try_lock(
        self, wanted: Wanted, metadata: Mapping[str, str] | None, pending: Pending
    ) -> Steps[Granted | None]:
        """None where it is not to be had now: others hold it, or it is frozen."""
        granted = yield from self._acquire(wanted, 0, metadata, pending)
        return granted if isinstance(granted, Granted) else None

    def _acquire(
        self, wanted: Wanted, wait: float | None, metadata: Mapping[str, str] | None, pending: Pending
    ) -> Steps[Granted | Freeze | None]:
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

    def _refuse_own_deadlock(self, wanted: Wanted) -> Steps[None]:
        for name, shared in wanted.places:
            if name in enclosing.names():
                found = yield from look(self.service, name)
                # It would wait for itself.
                if found and enclosing.is_in_the_way(found, shared):
                    raise self._held(found, shared)

    def _not_acquired(self, wanted: Wanted, freeze: Freeze | None) -> Steps[NotAcquired]:
        note = ""
        for name, shared in wanted.places:
            found = yield from look(self.service, name)
            if found is not None and found.holders:
                if freeze is not None:
                    return Frozen(found.name, freeze, found.holders, found.queue_length)
                return self._held(found, shared)
            if found is not None and found.delayed_for_seconds is not None and not note:
                note = f"{name!r} is not granted for {found.delayed_for_seconds:.0f} s, because of how its last hold ended"
        if freeze is not None:
            return Frozen(wanted.names[0], freeze, [], 0)
        return NotAcquired(wanted.names[0], [], 0, note)

    def _held(self, found: LockInfo, shared: bool) -> NotAcquired:
        note = ""
        own = self.service.tokens()
        if enclosing.is_in_the_way(found, shared):
            note = "held by the `latchd lock` that this program runs under: a deadlock with oneself"
        elif own & {holder.fencing_token for holder in found.holders}:
            note = "held by this client itself"
        return NotAcquired(found.name, found.holders, found.queue_length, note)
