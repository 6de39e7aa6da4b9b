"""Takes back a request that nobody waits for any more: the wait was cancelled or interrupted, maybe while its answer was under
way."""

from __future__ import annotations

import dataclasses
import logging

from . import clock, process
from .errors import LatchdError
from .nodes import Call, Patience
from .service import Service
from .steps import Steps
from .wire import Granted, Session

log = logging.getLogger("latchd")

#: How long it may take to end the session, and to hear of a grant.
_END_SECONDS = 1.0
_HEAR_SECONDS = 0.5


@dataclasses.dataclass
class Pending:
    """The request that is under way, for whoever takes it back."""

    session: Session | None = None
    call: Call | None = None
    #: Whether the session was its own, and ends with it.
    is_retired: bool = False
    made_in: process.Process = dataclasses.field(default_factory=process.current)


def withdraw(service: Service, pending: Pending) -> Steps[None]:
    """Takes back a request whose caller does not wait any more: from the queue, or from whatever it was granted."""
    session, call = pending.session, pending.call
    if session is None or call is None or pending.made_in != process.current():
        return
    try:
        if pending.is_retired:
            yield from service.delete(session, _within(_END_SECONDS))
            return
        # The session has other holds. The request again, under the same key, tells whether it was granted; if it was not,
        # its place is passed over from now on.
        answer = yield from service.nodes.send(call, _within(_HEAR_SECONDS))
        told = answer.body
        if told.get("locked", told.get("elected")):
            names = tuple(told.get("names") or [told["name"]])
            ends = clock.now() + _END_SECONDS
            hold = Granted(names, str(told["key"]), int(told["fencing_token"]), _END_SECONDS, answer.sent, ends, session)
            yield from service.unlock(hold, ends, _END_SECONDS)
    except LatchdError as error:
        log.info("a request that nobody waits for was not taken back, and ends by itself: %s", error)


def _within(seconds: float) -> Patience:
    ends = clock.now() + seconds
    return Patience(ends, seconds, waits=True, ends=ends)
