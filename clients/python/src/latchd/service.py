"""The sessions of one client, its holds, and the calls about a hold."""

from __future__ import annotations

import logging
import threading
import typing
import uuid
import weakref
from collections.abc import Callable

from . import asked, clock, process
from .errors import LatchdError, Refused
from .sessions import Sessions
from .replies import body_of
from .steps import Reply, Steps
from .nodes import Answer, Call, Nodes, Patience
from .wanted import of_hold
from .wire import Granted, LockInfo, Session

log = logging.getLogger("latchd")

_CLOSED = "the client is closed"


class Renewing(typing.Protocol):
    """Whatever renews a hold."""

    granted: Granted

    def lose(self, why: str) -> None: ...


class Connections(typing.Protocol):
    """What a client sends with."""

    def begin_anew(self) -> None: ...


class Service:
    """Sessions are opened with the first locks. A forked child begins with sessions and connections of its own."""

    def __init__(
        self,
        nodes: Nodes,
        connections: Connections,
        *,
        owner: Callable[[], int],
        timeout: float,
        patience: float,
    ) -> None:
        self.nodes = nodes
        self._connections = connections
        self._owner = owner
        self.timeout = timeout
        self.patience = patience
        self.closed = False
        #: The longest wait that the service allows, as far as it is known; at first the default of `locks.wait_max`.
        self.longest_wait = 86400.0
        self._belong()
        _services.add(self)

    def _belong(self) -> None:
        """Begins without a session and holds, in this process."""
        self.guard = threading.Lock()
        self.sessions = Sessions(self._owner)
        self.keepers: set[Renewing] = set()
        self._process = process.current()

    def begin_anew(self) -> None:
        """In a forked child: what there was is the parent's."""
        self._belong()
        self._connections.begin_anew()

    def here(self) -> None:
        """Notices a fork that Python did not see, by the process id."""
        if self._process != process.current():
            self.begin_anew()

    def close(self) -> Steps[None]:
        """Ends the sessions; their holds are lost."""
        self.here()
        with self.guard:
            sessions, self.closed = self.sessions.take_all(), True
        for session in sessions:
            self.end(session, "its client was closed")
            yield from self.delete(session, self.usual())

    def delete(self, session: Session, patience: Patience) -> Steps[None]:
        try:
            yield from self.nodes.send(Call("DELETE", "/session", session=session.id), patience)
        except Refused:
            pass  # It has ended by itself, or an answer was lost.
        except LatchdError as error:
            log.warning("the session could not be ended and ends by itself: %s", error)

    def mine(self) -> Session | None:
        """The session of this owner, or one that is free."""
        with self.guard:
            if self.closed:
                raise RuntimeError(_CLOSED)
            return self.sessions.mine([keeper.granted.session for keeper in self.keepers])

    def open(self, patience: Patience | None = None) -> Steps[Session]:
        """The session of this owner, opened now if there is none."""
        if (found := self.mine()) is not None:
            return found
        call = Call("POST", "/session", key=str(uuid.uuid4()), check=asked.session, undo=self._unopen)
        answer = yield from self.nodes.send(call, patience or self.usual())
        session = Session.of(answer.body, answer.headers)
        with self.guard:
            if not self.closed:
                self.sessions.add(session)
                return session
        yield from self.delete(session, self.usual())
        raise RuntimeError(_CLOSED)

    def _unopen(self, reply: Reply) -> Steps[None]:
        """Ends a session that nobody waits for any more."""
        try:
            body = body_of(reply, "the service", True)
        except LatchdError:
            return
        if asked.session(body) is None:
            yield from self.delete(Session.of(body, reply.headers), self.usual())

    def retire(self, session: Session) -> bool:
        """Takes a session out of use that has no hold and that nobody else knows; whether it did."""
        with self.guard:
            is_used = any(keeper.granted.session is session for keeper in self.keepers)
            return not is_used and self.sessions.retire(session)

    def end(self, session: Session, why: str) -> None:
        """A session is no more: its holds are lost before another one is opened."""
        with self.guard:
            self.sessions.remove(session)
            keepers = [keeper for keeper in self.keepers if keeper.granted.session is session]
        for keeper in keepers:
            keeper.lose(why)

    def find(self, id: str) -> Session | None:
        """One of the sessions of this client."""
        with self.guard:
            return self.sessions.find(id)

    def add(self, keeper: Renewing) -> None:
        with self.guard:
            self.keepers.add(keeper)

    def tokens(self) -> set[int]:
        """The fencing tokens of its holds."""
        with self.guard:
            return {keeper.granted.fencing_token for keeper in self.keepers}

    def forget(self, keeper: Renewing) -> None:
        with self.guard:
            self.keepers.discard(keeper)

    def renew(self, hold: Granted, patience: Patience) -> Steps[Answer]:
        body = {**of_hold(hold.names), "key": hold.key, "lock_timeout_seconds": hold.lease}
        check = asked.renewal(hold.name, hold.key)
        return self.nodes.send(Call("POST", "/v1/renew", body, hold.session.id, check=check), patience)

    def unlock(self, hold: Granted, until: float, attempt: float | None = None) -> Steps[Answer]:
        """No attempt begins after that moment: by then it has ended by itself."""
        body = {**of_hold(hold.names), "key": hold.key}
        call = Call("POST", "/v1/unlock", body, hold.session.id, check=asked.release(hold.name))
        usual = self.usual()
        return self.nodes.send(call, Patience(min(until, usual.until), attempt or self.timeout))

    def show(self, name: str, patience: Patience) -> Steps[LockInfo | None]:
        # By `?name=`, because a path cannot carry every name: `.`, `..`, and on some proxies a slash.
        call = Call("GET", "/v1/locks", check=asked.listing(name), query=(("name", name),))
        answer = yield from self.nodes.send(call, patience)
        found = answer.body["locks"]
        return LockInfo.of(found[0]) if found else None

    def usual(self) -> Patience:
        return Patience(clock.now() + self.patience, self.timeout)


#: Those of this process.
_services: weakref.WeakSet[Service] = weakref.WeakSet()


def _begin_anew() -> None:
    for service in list(_services):
        service.begin_anew()


process.in_child(_begin_anew)
