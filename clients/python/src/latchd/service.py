"""The sessions of one client, its holds, and the calls about a hold."""

from __future__ import annotations

import logging
import threading
import typing
import uuid
import weakref

from . import asked, clock, process
from .errors import LatchdError, Refused
from .sessions import Sessions
from .transport import Answer, Call, Patience, Transport
from .wanted import of_hold
from .wire import Granted, LockInfo, Session

log = logging.getLogger("latchd")

_CLOSED = "the client is closed"


class Renewing(typing.Protocol):
    """Whatever renews a hold."""

    granted: Granted

    def lose(self, why: str) -> None: ...


class Service:
    """Sessions are opened with the first locks. A forked child begins with sessions and connections of its own."""

    def __init__(
        self,
        urls: list[str],
        *,
        verify: bool | str,
        cert: str | tuple[str, str] | None,
        api_key: str | None,
        password: str | None,
        timeout: float,
        patience: float,
    ) -> None:
        self.transport = Transport(urls, verify, cert, api_key, password)
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
        self.sessions = Sessions()
        self.keepers: set[Renewing] = set()
        self._process = process.current()

    def begin_anew(self) -> None:
        """In a forked child: what there was is the parent's."""
        self._belong()
        self.transport.begin_anew()

    def here(self) -> None:
        """Notices a fork that Python did not see, by the process id."""
        if self._process != process.current():
            self.begin_anew()

    def close(self) -> None:
        """Ends the sessions; their holds are lost."""
        self.here()
        with self.guard:
            sessions, self.closed = self.sessions.take_all(), True
        for session in sessions:
            self.end(session, "its client was closed")
            self._delete(session)
        self.transport.close()

    def _delete(self, session: Session) -> None:
        try:
            self.transport.send(Call("DELETE", "/session", session=session.id), self.usual())
        except Refused:
            pass  # It has ended by itself, or an answer was lost.
        except LatchdError as error:
            log.warning("the session could not be ended and ends by itself: %s", error)

    def open(self, patience: Patience | None = None) -> Session:
        """The session of this thread, opened now if there is none."""
        with self.guard:
            if self.closed:
                raise RuntimeError(_CLOSED)
            if (found := self.sessions.mine([keeper.granted.session for keeper in self.keepers])) is not None:
                return found
        call = Call("POST", "/session", key=str(uuid.uuid4()), check=asked.session)
        answer = self.transport.send(call, patience or self.usual())
        session = Session.of(answer.body, answer.headers)
        with self.guard:
            if not self.closed:
                self.sessions.add(session)
                return session
        self._delete(session)
        raise RuntimeError(_CLOSED)

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

    def renew(self, hold: Granted, patience: Patience) -> Answer:
        body = {**of_hold(hold.names), "key": hold.key, "lock_timeout_seconds": hold.lease}
        check = asked.renewal(hold.name, hold.key)
        return self.transport.send(Call("POST", "/v1/renew", body, hold.session.id, check=check), patience)

    def unlock(self, hold: Granted, until: float, attempt: float | None = None) -> Answer:
        """No attempt begins after that moment: by then it has ended by itself."""
        body = {**of_hold(hold.names), "key": hold.key}
        call = Call("POST", "/v1/unlock", body, hold.session.id, check=asked.release(hold.name))
        usual = self.usual()
        return self.transport.send(call, Patience(min(until, usual.until), attempt or self.timeout))

    def show(self, name: str, patience: Patience) -> LockInfo | None:
        # By `?name=`, because a path cannot carry every name: `.`, `..`, and on some proxies a slash.
        call = Call("GET", "/v1/locks", check=asked.listing(name), query=(("name", name),))
        found = self.transport.send(call, patience).body["locks"]
        return LockInfo.of(found[0]) if found else None

    def usual(self) -> Patience:
        return Patience(clock.now() + self.patience, self.timeout)


#: Those of this process.
_services: weakref.WeakSet[Service] = weakref.WeakSet()


def _begin_anew() -> None:
    for service in list(_services):
        service.begin_anew()


process.in_child(_begin_anew)
