"""Acquires a lock through failovers and within the caller's time, with a lease that can be trusted."""

from __future__ import annotations

import dataclasses
import logging
import uuid

from . import asked, clock
from .errors import CutShort, HoldEnded, LatchdError, Refused, SessionEnded, WouldDeadlock
from .nodes import Answer, Call, Patience
from .service import Service
from .steps import Pause, Steps
from .wanted import Wanted
from .wire import WAIT_TIMEOUT, Freeze, Granted, Json, LockInfo, Session, deadlock, lease_end, longest_wait
from .withdrawing import Pending

log = logging.getLogger("latchd")

#: The longest that one request of a wait stays open: less than the idle timeout of balancers (60 s is common). The next
#: request has the same idempotency key, and so keeps the place in the queue.
SLICE_SECONDS = 50.0
#: How long after the end of a wait its result may still arrive.
_RESULT_GRACE_SECONDS = 0.3
#: The shortest time limit of a call that tries once, and of a wait.
_ONCE_SECONDS = 2.0
_SHORTEST_SECONDS = 1.0
#: How many sessions may end while one lock is acquired; more are an error.
_SESSIONS_MAX = 3
#: The time limit for asking what is known of a lock, for a message.
_LOOK_SECONDS = 1.0
#: How long to rest after an answer that came before the end of the wait that was asked for.
_EARLY_PAUSE_SECONDS = 0.25
_FOREVER = float("inf")


@dataclasses.dataclass(frozen=True)
class Wait:
    """The time limits of one acquire."""

    #: When the lock is waited for no longer; the past where it is tried once.
    over: float
    #: When nothing goes on any more, whatever the other end does.
    ends: float
    #: When no attempt begins any more while no node answers; None: so long after the last answer.
    until: float | None

    @classmethod
    def of(cls, seconds: float | None, patience: float) -> Wait:
        if seconds is not None and not 0 <= seconds:
            raise ValueError(f"wait must be a number of seconds from 0, or None, not {seconds}")
        now = clock.now()
        if seconds is None or seconds == _FOREVER:
            return cls(_FOREVER, _FOREVER, None)
        if seconds == 0:
            return cls(now, now + _ONCE_SECONDS, now + min(patience, _ONCE_SECONDS))
        return cls(now + seconds, now + max(seconds + _RESULT_GRACE_SECONDS, _SHORTEST_SECONDS), now + seconds)

    def patience(self, service: Service, attempt: float | None = None) -> Patience:
        usual = service.usual()
        until = usual.until if self.until is None else self.until
        return dataclasses.replace(
            usual,
            until=until,
            ends=self.ends,
            attempt_seconds=attempt or usual.attempt_seconds,
            waits=attempt is not None,
        )


def acquire(service: Service, wanted: Wanted, wait: Wait, pending: Pending) -> Steps[Granted | Freeze | None]:
    """The hold; None: the wait ended without it, under a freeze perhaps. Interrupted, it leaves in `pending` what `withdraw`
    needs."""
    with service.sessions.in_use():
        try:
            return (yield from _acquire(service, wanted, wait, pending))
        except LatchdError:
            raise
        except BaseException:
            pending.is_retired = pending.session is not None and service.retire(pending.session)
            raise


def look(service: Service, name: str) -> Steps[LockInfo | None]:
    """What is known of a lock, for a message; None if it takes long."""
    service.here()
    ends = clock.now() + _LOOK_SECONDS
    try:
        return (yield from service.show(name, Patience(clock.now(), _LOOK_SECONDS, ends=ends)))
    except LatchdError:
        return None


def _acquire(service: Service, wanted: Wanted, wait: Wait, pending: Pending) -> Steps[Granted | Freeze | None]:
    sessions = 0
    while True:
        # Time may be left: the service limits waits, and a lease may expire before its grant arrives.
        # Absent means to try once. 0 has meant other things.
        seconds = min(clock.left(wait.over), service.longest_wait)
        body = dict(wanted.body)
        if seconds > 0:
            body["wait_timeout_seconds"] = max(0.001, round(seconds, 3))
        asked_until = clock.now() + seconds
        session = yield from service.open(wait.patience(service))
        pending.session = session
        sessions += 1
        try:
            answer = yield from _ask(service, wanted, body, wait, pending)
            granted = yield from _trusted(service, wanted, answer, session, wait)
        except SessionEnded:
            service.end(session, "its session has ended")
            if sessions >= _SESSIONS_MAX:
                raise
            continue
        except HoldEnded:
            if clock.left(wait.over) == 0:
                raise
            continue
        except Refused as error:
            if error.code == "would-deadlock":
                raise WouldDeadlock(wanted.names[0], []) from error
            # The service may be set to a shorter one, and says so in the one way or the other.
            longest = longest_wait(str(error)) if error.status in (200, 400) else None
            if longest is None or not 0 < longest < seconds:
                raise
            service.longest_wait = longest
            continue
        if isinstance(granted, Granted) or clock.left(wait.over) == 0:
            return granted
        if clock.left(asked_until) > 0:
            # It did not wait so long as it was asked to; so it is not asked as fast as it answers.
            yield Pause(min(_EARLY_PAUSE_SECONDS, clock.left(wait.over)))


def _ask(service: Service, wanted: Wanted, body: Json, wait: Wait, pending: Pending) -> Steps[Answer]:
    """Sends requests under one idempotency key until one has an answer."""
    is_election = wanted.path != "/v1/lock"
    check = asked.elected(wanted.names[0]) if is_election else asked.lock(wanted.names)
    session = None if pending.session is None else pending.session.id
    pending.call = call = Call("POST", wanted.path, body, session, str(uuid.uuid4()), check, wanted.query)
    is_told = False
    while True:
        waits = "wait_timeout_seconds" in body
        try:
            return (yield from service.nodes.send(call, wait.patience(service, SLICE_SECONDS if waits else None)))
        except CutShort:
            if not waits or clock.left(wait.ends) == 0:
                raise
            is_told = is_told or (yield from _tell_of_freeze(service, wanted))


def _tell_of_freeze(service: Service, wanted: Wanted) -> Steps[bool]:
    """Logs what a long wait waits for, if that is the end of a freeze; whether it is."""
    for name in wanted.names:
        found = yield from look(service, name)
        if found is not None and found.frozen is not None:
            log.warning("waiting for %r: %s", name, found.frozen)
            return True
    return False


def _trusted(
    service: Service, wanted: Wanted, answer: Answer, session: Session, wait: Wait
) -> Steps[Granted | Freeze | None]:
    """The hold, with most of its lease left. A wait may have been granted at any time since it began, so a lease
    that may be older is renewed first."""
    told = answer.body
    error = told.get("error")
    if (cycle := deadlock(told)) is not None:
        raise WouldDeadlock(wanted.names[0], cycle)
    if isinstance(error, dict) and error.get("code") != WAIT_TIMEOUT:
        raise Refused(f"{wanted.shown}: {error.get('message')}", 200, str(error.get("code")))
    if not told.get("locked", told.get("elected")):
        return Freeze.of(told)
    longest = min(wanted.lease, session.idle_seconds)
    until = lease_end(told, longest, answer.sent)
    key, token = str(told["key"]), int(told["fencing_token"])
    is_shared = all(shared for _, shared in wanted.places)
    granted = Granted(wanted.names, key, token, wanted.lease, answer.sent, until, session, is_shared)
    if clock.left(until) >= longest * 3 / 4:
        return granted
    # It takes its time even where the wait is just over.
    patience = wait.patience(service)
    patience = dataclasses.replace(patience, ends=max(patience.ends, clock.now() + _SHORTEST_SECONDS))
    renewed = yield from service.renew(granted, patience)
    until = lease_end(renewed.body, longest, renewed.sent)
    if not renewed.body["locked"] or clock.left(until) == 0:
        return None
    return dataclasses.replace(granted, sent=renewed.sent, until=until)
