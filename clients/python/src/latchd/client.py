"""A client of one service: its session, its credential, and how it takes locks."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import types
import typing
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence

from . import asked, clock, process
from .acquiring import Wait, acquire
from .errors import CutShort, LatchdError, NotAcquired, Refused
from .hold import Hold
from .identity import described
from .keeper import Granted, Keeper
from .transport import Answer, Call, Patience, Transport
from .wire import LockInfo, Session

log = logging.getLogger("latchd")

#: How long it may take to find out who holds what was not to be had.
_LOOK_SECONDS = 1.0
_FOREVER = float("inf")


class Client:
    """A client of the service at `url`: one URL, or those of several nodes, as a list or with commas between them.

    `verify` and `cert` are those of `requests`: True, False or a PEM file with the authorities to trust; a PEM file
    of a client certificate with its key, or a pair of files. A credential is an `api_key` or a `password`.

    `timeout` bounds one attempt of a request, `patience` how long a request is sent again while no node can answer
    it, both in seconds.

    `metadata` is shown to whoever asks who holds a lock of this client: host, pid and user unless it is given.

    Threads may share a client. It has one session, opened with the first lock; `close` ends it and gives back
    whatever is still held. A forked child that uses it has connections, a session and holds of its own.
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
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        urls = [each.strip() for each in url.split(",")] if isinstance(url, str) else list(url)
        self._transport = Transport(urls, verify, cert, api_key, password)
        self._timeout = timeout
        self._patience = patience
        self._metadata = None if metadata is None else dict(metadata)
        self._closed = False
        #: The longest wait that the service takes, as far as it is known: the default of its `locks.wait_max`.
        self._longest_wait = 86400.0
        self._belong()
        _clients.add(self)

    def _belong(self) -> None:
        """Begins without a session and holds, in this process."""
        self._opening = threading.Lock()
        self._guard = threading.Lock()
        self._session: Session | None = None
        self._keepers: set[Keeper] = set()
        self._process = process.current()

    def _begin_anew(self) -> None:
        """In a forked child: what there was is the parent's."""
        self._belong()
        self._transport.begin_anew()

    def _here(self) -> None:
        """Where Python was not told that it forked, the id of the process tells."""
        if self._process != process.current():
            self._begin_anew()

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
        whoever asks who holds it, beside that of the client. `on_lost` is called, in another thread, when the hold is
        lost.

        Raises `NotAcquired` if it was not to be had in that time, which tells who holds it or that no answer came,
        `Unreachable` if no node is there or can work now, `Refused` if the service will not do it. Whatever the
        service does, the wait has ended a second after `wait`; without a wait it takes two seconds at most.
        """
        if wait != 0 and size == 1 and _is_enclosing(name):
            # It would wait for its own end.
            if (found := self._look(name)) and _is_held_by_enclosing(found):
                raise self._not_acquired(name, found)
        try:
            hold = self._acquire(name, wait, lease, size, metadata, on_lost)
        except CutShort as error:
            if not wait:
                raise
            raise NotAcquired(name, [], 0, str(error)) from error
        if hold is None:
            raise self._not_acquired(name, self._look(name))
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
        self._here()
        return self._show(name, self._usual())

    def close(self) -> None:
        """Ends the session; whatever is still held is free, and lost to its holders."""
        self._here()
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

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a Client belongs to its process: make one in each")

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
        if wait is not None and not 0 <= wait:
            raise ValueError(f"wait must be a number of seconds from 0, or None, not {wait}")
        self._here()
        wanted: dict[str, object] = {"name": name, "size": size, "lock_timeout_seconds": lease}
        if shown := described(self._metadata, metadata):
            wanted["metadata"] = shown
        granted = acquire(self, wanted, lease, Wait.of(wait, self._patience))
        if granted is None:
            return None
        hold = Hold(self, granted, on_lost)
        with self._guard:
            self._keepers.add(hold._keeper)
        hold._keeper.begin(hold)
        return hold

    def _open(self, patience: Patience | None = None) -> Session:
        """The session of this client, opened now if there is none. The others wait for whoever opens it."""
        patience = patience or self._usual()
        with self._alone_in_opening(patience):
            with self._guard:
                if self._closed:
                    raise RuntimeError("the client is closed")
                if self._session is not None:
                    return self._session
            answer = self._transport.send(
                Call("POST", "/session", key=str(uuid.uuid4()), check=asked.session), patience
            )
            session = Session.of(answer.body, answer.headers)
            with self._guard:
                self._session = session
            return session

    @contextlib.contextmanager
    def _alone_in_opening(self, patience: Patience) -> Iterator[None]:
        opening = self._opening
        if not opening.acquire(timeout=min(clock.left(patience.ends), threading.TIMEOUT_MAX)):
            raise CutShort("another thread was still opening the session")
        try:
            yield
        finally:
            opening.release()

    def _end(self, session: Session, why: str) -> None:
        """A session is no more: its holds are lost before another one is opened."""
        with self._guard:
            if self._session is session:
                self._session = None
            keepers = [keeper for keeper in self._keepers if keeper.granted.session is session]
        for keeper in keepers:
            keeper.lose(why)

    def _forget(self, keeper: Keeper) -> None:
        with self._guard:
            self._keepers.discard(keeper)

    def _renew(self, hold: Granted, patience: Patience) -> Answer:
        body = {"name": hold.name, "key": hold.key, "lock_timeout_seconds": hold.lease}
        check = asked.renewal(hold.name, hold.key)
        return self._transport.send(Call("POST", "/v1/renew", body, hold.session.id, check=check), patience)

    def _unlock(self, hold: Granted, until: float, attempt: float | None = None) -> Answer:
        """No attempt begins after that moment: by then it has ended by itself."""
        body = {"name": hold.name, "key": hold.key}
        call = Call("POST", "/v1/unlock", body, hold.session.id, check=asked.release(hold.name))
        usual = self._usual()
        return self._transport.send(call, Patience(min(until, usual.until), attempt or self._timeout))

    def _show(self, name: str, patience: Patience) -> LockInfo | None:
        # By `?name=`, because a path cannot carry every name: `.`, `..`, and on some proxies a slash.
        call = Call("GET", "/v1/locks", check=asked.listing(name), query=(("name", name),))
        found = self._transport.send(call, patience).body["locks"]
        return LockInfo.of(found[0]) if found else None

    def _look(self, name: str) -> LockInfo | None:
        """The same for a message, which does without if it takes long."""
        self._here()
        try:
            return self._show(name, Patience(clock.now(), _LOOK_SECONDS, ends=clock.now() + _LOOK_SECONDS))
        except LatchdError:
            return None

    def _not_acquired(self, name: str, found: LockInfo | None) -> NotAcquired:
        if found is None:
            return NotAcquired(name, [], 0)
        note = ""
        with self._guard:
            own = {keeper.granted.fencing_token for keeper in self._keepers}
        if _is_held_by_enclosing(found):
            note = "held by the `latchd lock` that this program runs under: a deadlock with oneself"
        elif own & {holder.fencing_token for holder in found.holders}:
            note = "held by this client itself"
        return NotAcquired(name, found.holders, found.queue_length, note)

    def _usual(self) -> Patience:
        return Patience(clock.now() + self._patience, self._timeout)


def _is_enclosing(name: str) -> bool:
    """Whether this program runs under `latchd lock` of that name."""
    return os.environ.get("LATCHD_LOCK_NAME") == name


def _is_held_by_enclosing(found: LockInfo) -> bool:
    token = os.environ.get("LATCHD_FENCING_TOKEN")
    return _is_enclosing(found.name) and any(str(holder.fencing_token) == token for holder in found.holders)


#: Those of this process.
_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _begin_anew() -> None:
    for client in list(_clients):
        client._begin_anew()


process.in_child(_begin_anew)
