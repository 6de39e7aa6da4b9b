"""A client of one service: its session, its credential, and how it takes locks."""

from __future__ import annotations

import logging
import threading
import types
import urllib.parse
import uuid
from collections.abc import Callable, Mapping, Sequence

from . import clock
from .errors import CutShort, LatchdError, NotAcquired, Refused, SessionEnded
from .hold import Hold
from .transport import Answer, Call, Patience, Transport
from .wire import WAIT_TIMEOUT, LockInfo, Session, idle_seconds, lease_end

log = logging.getLogger("latchd")

#: How long one request of a wait stays open: less than the idle time after which balancers close connections (60 s is
#: common). The next one carries the same idempotency key and so takes the old place in the queue.
_SLICE_SECONDS = 50.0
#: How long after the end of a wait the service may still be about to say so.
_LAST_WORD_SECONDS = 5.0
#: How long it may take to find out who holds what was not to be had.
_LOOK_SECONDS = 2.0
#: How many sessions may end while one lock is taken before something else must be wrong.
_SESSIONS_MAX = 3
_FOREVER = float("inf")


class Client:
    """A client of the service at `url`: one URL, or those of several nodes, as a list or with commas between them.

    `verify` and `cert` are those of `requests`: True, False or a PEM file with the authorities to trust; a PEM file
    of a client certificate with its key, or a pair of files. A credential is an `api_key` or a `password`.

    `timeout` bounds one attempt of a request, `patience` how long a request is sent again while no node can answer
    it, both in seconds.

    Threads may share a client. It has one session, opened with the first lock; `close` ends it and gives back
    whatever is still held.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        *,
        api_key: str | None = None,
        password: str | None = None,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        timeout: float = 10.0,
        patience: float = 10.0,
    ) -> None:
        urls = [each.strip() for each in url.split(",")] if isinstance(url, str) else list(url)
        self._transport = Transport(urls, verify, cert, api_key, password)
        self._timeout = timeout
        self._patience = patience
        self._opening = threading.Lock()
        self._guard = threading.Lock()
        self._session: Session | None = None
        self._holds: set[Hold] = set()
        self._closed = False

    def lock(
        self,
        name: str,
        *,
        wait: float | None = None,
        lease: float = 30.0,
        size: int = 1,
        metadata: Mapping[str, str] | None = None,
        on_lost: Callable[[Hold], object] | None = None,
    ) -> Hold:
        """Takes a lock, waiting for it for so many seconds: as long as it takes without `wait`, not at all with 0.

        It stays taken for `lease` seconds after it could last be renewed, which a thread does at a third of that.
        `size` is how many may hold it at once; all who use it have to say the same number. `metadata` is shown to
        whoever asks who holds it. `on_lost` is called, in another thread, when the hold is lost.

        Raises `NotAcquired` if others held it all the time, `Unreachable` if no node answered, `Refused` if the
        service will not do it.
        """
        hold = self._acquire(name, wait, lease, size, metadata, on_lost)
        if hold is None:
            found = self._look(name)
            raise NotAcquired(name, found.holders if found else [], found.queue_length if found else 0)
        return hold

    def try_lock(
        self,
        name: str,
        *,
        lease: float = 30.0,
        size: int = 1,
        metadata: Mapping[str, str] | None = None,
        on_lost: Callable[[Hold], object] | None = None,
    ) -> Hold | None:
        """Takes a lock if it is free now; else None."""
        return self._acquire(name, 0, lease, size, metadata, on_lost)

    def show(self, name: str) -> LockInfo | None:
        """Who holds a lock and how many wait for it; None if nobody does."""
        return self._show(name, self._usual())

    def close(self) -> None:
        """Ends the session; whatever is still held is free, and lost to its holders."""
        with self._guard:
            session, self._session, self._closed = self._session, None, True
        if session is None:
            return
        self._end(session, "its client was closed")
        try:
            self._transport.send(Call("DELETE", "/session", session=session.id), self._usual())
        except Refused:
            pass  # It has ended by itself, or an answer was lost.
        except LatchdError as error:
            log.warning("the session could not be ended and ends by itself: %s", error)
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def _acquire(
        self,
        name: str,
        wait: float | None,
        lease: float,
        size: int,
        metadata: Mapping[str, str] | None,
        on_lost: Callable[[Hold], object] | None,
    ) -> Hold | None:
        if not 0 < lease < _FOREVER:
            raise ValueError(f"lease must be a number of seconds above 0, not {lease}")
        wanted: dict[str, object] = {"name": name, "size": size, "lock_timeout_seconds": lease}
        if metadata:
            wanted["metadata"] = dict(metadata)
        ends = _FOREVER if wait is None else clock.now() + wait
        sessions = 0
        while True:
            if wait is None:
                wanted["wait_timeout_seconds"] = 0
            elif wait > 0:
                # Never 0, which means for ever.
                wanted["wait_timeout_seconds"] = max(0.001, round(clock.left(ends), 3))
            session = self._open()
            sessions += 1
            try:
                answer = self._ask(wanted, session, ends)
                hold = self._trusted(name, lease, answer, session, on_lost) if answer else None
            except SessionEnded:
                self._end(session, "its session has ended")
                if sessions >= _SESSIONS_MAX:
                    raise
                continue
            except Refused as error:
                # Gone: what an earlier attempt was given has ended before anybody heard of it.
                if error.status != 410 or clock.left(ends) == 0:
                    raise
                continue
            # Time may be left: the service has a longest wait of its own, and a lease may run out unused.
            if hold is not None or clock.left(ends) == 0:
                return hold

    def _ask(self, wanted: Mapping[str, object], session: Session, ends: float) -> Answer | None:
        """Asks, in slices under one idempotency key. None: the wait is over and no answer told of it."""
        call = Call("POST", "/v1/lock", dict(wanted), session.id, str(uuid.uuid4()))
        usual = self._usual()
        if "wait_timeout_seconds" not in wanted:
            return self._transport.send(call, usual)
        until = usual.until if ends == _FOREVER else max(ends, usual.until)
        while True:
            seconds = min(_SLICE_SECONDS, clock.left(ends) + _LAST_WORD_SECONDS)
            try:
                return self._transport.send(call, Patience(until, seconds, waits=True))
            except CutShort:
                if clock.left(ends) == 0:
                    return None
                # Somebody was there.
                until = max(until, self._usual().until)

    def _trusted(
        self,
        name: str,
        lease: float,
        answer: Answer,
        session: Session,
        on_lost: Callable[[Hold], object] | None,
    ) -> Hold | None:
        """The hold, once its lease can be counted from before a request that is not long ago. A wait may have been
        granted at any time since it began, so its lease is renewed before anybody relies on it."""
        body = answer.body
        error = body.get("error")
        if error and error.get("code") != WAIT_TIMEOUT:
            raise Refused(f"{name!r}: {error.get('message')}", 200, error.get("code"))
        if not body.get("locked"):
            return None
        key, until = str(body["key"]), lease_end(body, lease, answer.sent)
        if clock.left(until) < lease * 3 / 4:
            renewed = self._extend(name, key, lease, session, self._usual())
            until = lease_end(renewed.body, lease, renewed.sent)
            if not renewed.body.get("locked") or clock.left(until) == 0:
                return None
        hold = Hold(self, name, key, int(body["fencing_token"]), lease, until, session, on_lost)
        with self._guard:
            self._holds.add(hold)
        return hold

    def _open(self) -> Session:
        """The session of this client, opened now if there is none. The others wait for whoever opens it."""
        with self._opening:
            with self._guard:
                if self._closed:
                    raise RuntimeError("the client is closed")
                if self._session is not None:
                    return self._session
            answer = self._transport.send(Call("POST", "/session", key=str(uuid.uuid4())), self._usual())
            session = Session(str(answer.body["session_id"]), idle_seconds(answer.headers))
            with self._guard:
                self._session = session
            return session

    def _end(self, session: Session, why: str) -> None:
        """A session is no more: its holds are lost before another one is opened."""
        with self._guard:
            if self._session is session:
                self._session = None
            holds = [hold for hold in self._holds if hold._session is session]
        for hold in holds:
            hold._lose(why)

    def _forget(self, hold: Hold) -> None:
        with self._guard:
            self._holds.discard(hold)

    def _renew(self, hold: Hold, patience: Patience) -> Answer:
        return self._extend(hold.name, hold.key, hold.lease, hold._session, patience)

    def _extend(self, name: str, key: str, lease: float, session: Session, patience: Patience) -> Answer:
        body = {"name": name, "key": key, "lock_timeout_seconds": lease}
        return self._transport.send(Call("POST", "/v1/renew", body, session.id), patience)

    def _unlock(self, hold: Hold, until: float, attempt: float | None = None) -> Answer:
        """No attempt begins after that moment: by then it has ended by itself."""
        call = Call("POST", "/v1/unlock", {"name": hold.name, "key": hold.key}, hold._session.id)
        usual = self._usual()
        return self._transport.send(call, Patience(min(until, usual.until), attempt or self._timeout))

    def _show(self, name: str, patience: Patience) -> LockInfo | None:
        call = Call("GET", "/v1/locks/" + urllib.parse.quote(name, safe=""))
        try:
            return LockInfo.of(self._transport.send(call, patience).body)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def _look(self, name: str) -> LockInfo | None:
        """The same for a message, which does without if it has to."""
        try:
            return self._show(name, Patience(clock.now(), _LOOK_SECONDS))
        except LatchdError:
            return None

    def _usual(self) -> Patience:
        return Patience(clock.now() + self._patience, self._timeout)
