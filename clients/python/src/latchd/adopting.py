"""Takes up a hold that another session has given to this one."""

from __future__ import annotations

from . import clock
from .changing import Transferred
from .errors import LockLost, SessionEnded
from .service import Service
from .steps import Steps
from .wire import Granted, lease_end


def adopt(service: Service, given: Transferred, lease: float) -> Steps[Granted]:
    """The hold with a new lease."""
    if (session := service.find(given.session)) is None:
        raise LockLost(given.names[0], "the session that it was given to is none of this client, or has ended")
    now = clock.now()
    hold = Granted(given.names, given.key, given.fencing_token, lease, now, now, session)
    try:
        renewed = yield from service.renew(hold, service.usual())
    except SessionEnded as error:
        service.end(session, "its session has ended")
        raise LockLost(hold.name, "the session that it was given to has ended") from error
    until = lease_end(renewed.body, hold.longest, renewed.sent)
    if not renewed.body["locked"] or clock.left(until) == 0:
        raise LockLost(hold.name, "the service says that it had ended before it was taken up")
    return Granted(given.names, given.key, given.fencing_token, lease, renewed.sent, until, session)
