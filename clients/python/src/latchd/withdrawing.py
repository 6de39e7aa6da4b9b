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

#: How long it may take.
_WITHDRAWAL_SECONDS = 1.0


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
    ends = clock.now() + _WITHDRAWAL_SECONDS
    patience = Patience(ends, _WITHDRAWAL_SECONDS, waits=True, ends=ends)
    try:
        if pending.is_retired:
            yield from service.delete(session, patience)
            return
        # The session has other holds. The request again, under the same key, tells whether it was granted; if it was not,
        # its place is passed over from now on.
        answer = yield from service.nodes.send(call, patience)
        told = answer.body
        if told.get("locked", told.get("elected")):
            names = tuple(told.get("names") or [told["name"]])
            lease = ends - clock.now()
            hold = Granted(names, str(told["key"]), int(told["fencing_token"]), lease, answer.sent, ends, session)
            yield from service.unlock(hold, ends, _WITHDRAWAL_SECONDS)
    except LatchdError as error:
        log.info("a request that nobody waits for was not taken back, and ends by itself: %s", error)
