"""A client of one service: its session, its credential, and how it takes locks."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence

from . import clock, enclosing
from .acquiring import Wait, acquire
from .adopting import adopt
from .changing import Transferred
from .election import Leader, Leadership, campaign, look_up
from .errors import CutShort, LatchdError, NotAcquired
from .hold import Hold
from .identity import described
from .service import Service
from .transport import Patience
from .wanted import Mode, Names, Wanted
from .wire import Granted, LockInfo

#: The time limit for asking who holds a lock that was not acquired.
_LOOK_SECONDS = 1.0

_Made = typing.TypeVar("_Made", bound=Hold)


class Client:
    """A client of the service at `url`: one URL, or those of several nodes, as a list or with commas between them.

    `verify` and `cert` are those of `requests`: True, False or a PEM file with the authorities to trust; a PEM file
    of a client certificate with its key, or a pair of files. A credential is an `api_key` or a `password`.

    `timeout` bounds one attempt of a request, `patience` how long a request is sent again while no node can answer
    it, both in seconds.

    `metadata` is shown to whoever asks who holds a lock of this client: host, pid and user unless it is given.

    Threads may share a client. Each that holds a lock or waits for one has a session, which the next may have after it;
    so deadlocks among threads are found as well. `close` ends all sessions and gives back whatever is still held. A forked child that uses it has connections, a session and holds of its own.
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
        self._service = Service(
            urls,
            verify=verify,
            cert=cert,
            api_key=api_key,
            password=password,
            timeout=timeout,
            patience=patience,
        )
        self._metadata = None if metadata is None else dict(metadata)

    def lock(
        self,
        name: Names,
        *,
        wait: float | None = None,
        lease: float = 30.0,
        size: int | None = None,
        mode: Mode | None = None,
        weight: int | None = None,
        lock_delay: float | None = None,
        metadata: Mapping[str, str] | None = None,
        on_lost: Callable[[Hold], object] | None = None,
    ) -> Hold:
        """Takes a lock, waiting for it for so many seconds: as long as it takes without `wait`, not at all with 0.

        Several, in a list or a tuple, are taken all at once or none, under one token; each is a name, or a name and its
        mode. With the mode "shared" any number may hold the lock who take it so; else one has it alone.

        It stays taken for `lease` seconds after it could last be renewed, which a thread does at a third of that.
        `size` is how many may hold it at once, 1 unless given; all who use it have to say the same number. `weight` is
        how many of those places this hold takes. Nobody is granted a lock for `lock_delay` seconds after it is lost.
        `metadata` is shown to whoever asks who holds it, beside that of the client. `on_lost` is called, in another
        thread, when the hold is lost.

        Raises `NotAcquired` if it was not to be had in that time, which tells who holds it or that no answer came;
        `WouldDeadlock`, which is one of these, if the wait could not end; `Unreachable` if no node is there or can work
        now; `Refused` if the service will not do it. Whatever the service does, the wait has ended a second after
        `wait`; without a wait it takes two seconds at most.
        """
        wanted = Wanted.of(name, lease=lease, size=size, mode=mode, weight=weight, lock_delay=lock_delay)
        if wait != 0 and size in (None, 1):
            self._refuse_own_deadlock(wanted)
        return self._must(wanted, wait, metadata, lambda granted: Hold(self._service, granted, on_lost))

    def read_lock(
        self,
        name: Names,
        *,
        wait: float | None = None,
        lease: float = 30.0,
        lock_delay: float | None = None,
        metadata: Mapping[str, str] | None = None,
        on_lost: Callable[[Hold], object] | None = None,
    ) -> Hold:
        """As `lock`, shared with all who take it so."""
        return self.lock(
            name, wait=wait, lease=lease, mode="shared", lock_delay=lock_delay, metadata=metadata, on_lost=on_lost
        )

    def try_lock(
        self,
        name: Names,
        *,
        lease: float = 30.0,
        size: int | None = None,
        mode: Mode | None = None,
        weight: int | None = None,
        lock_delay: float | None = None,
        metadata: Mapping[str, str] | None = None,
        on_lost: Callable[[Hold], object] | None = None,
    ) -> Hold | None:
        """Takes a lock, or several, if all are free now; else None."""
        wanted = Wanted.of(name, lease=lease, size=size, mode=mode, weight=weight, lock_delay=lock_delay)
        return self._acquire(wanted, 0, metadata, lambda granted: Hold(self._service, granted, on_lost))

    def elect(
        self,
        name: str,
        value: str,
        *,
        wait: float | None = None,
        lease: float = 10.0,
        metadata: Mapping[str, str] | None = None,
        on_lost: Callable[[Hold], object] | None = None,
    ) -> Leadership:
        """Campaigns in an election, and leads it from then on, until the end of its block or until the lead is lost.
        `value` is what `leader` says about this process, to everybody. The rest is as of `lock`: an election is one."""
        wanted = campaign(name, value, lease)
        if wait != 0:
            self._refuse_own_deadlock(wanted)
        return self._must(wanted, wait, metadata, lambda granted: Leadership(self._service, granted, on_lost, value))

    def leader(self, name: str) -> Leader | None:
        """Who leads an election, and for how long nobody else can; None if nobody leads."""
        self._service.here()
        return look_up(self._service, name, self._service.usual())

    def session_id(self) -> str:
        """The id of a session of this client, opened now if there is none; for `Hold.transfer` in another one. It is a
        secret."""
        self._service.here()
        return self._service.open().id

    def adopt(
        self, given: Transferred, *, lease: float = 30.0, on_lost: Callable[[Hold], object] | None = None
    ) -> Hold:
        """Goes on with a hold that `Hold.transfer` has given to the session of this client. Raises `LockLost` if it has
        ended since."""
        self._service.here()
        return _begun(Hold(self._service, adopt(self._service, given, lease), on_lost))

    def show(self, name: str) -> LockInfo | None:
        """The holders of a lock and its number of waiters; None if it has neither."""
        self._service.here()
        return self._service.show(name, self._service.usual())

    def close(self) -> None:
        """Ends its sessions; whatever is still held is free, and lost to its holders."""
        self._service.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a Client belongs to its process: make one in each")

    def _must(
        self,
        wanted: Wanted,
        wait: float | None,
        metadata: Mapping[str, str] | None,
        make: Callable[[Granted], _Made],
    ) -> _Made:
        try:
            hold = self._acquire(wanted, wait, metadata, make)
        except CutShort as error:
            if not wait:
                raise
            raise NotAcquired(wanted.names[0], [], 0, str(error)) from error
        if hold is None:
            raise self._not_acquired(wanted)
        return hold

    def _acquire(
        self,
        wanted: Wanted,
        wait: float | None,
        metadata: Mapping[str, str] | None,
        make: Callable[[Granted], _Made],
    ) -> _Made | None:
        if wait is not None and not 0 <= wait:
            raise ValueError(f"wait must be a number of seconds from 0, or None, not {wait}")
        self._service.here()
        if shown := described(self._metadata, metadata):
            wanted = dataclasses.replace(wanted, body={**wanted.body, "metadata": shown})
        with self._service.sessions.in_use():
            granted = acquire(self._service, wanted, Wait.of(wait, self._service.patience))
            return None if granted is None else _begun(make(granted))

    def _look(self, name: str) -> LockInfo | None:
        """The same for a message; None if it takes long."""
        self._service.here()
        try:
            return self._service.show(name, Patience(clock.now(), _LOOK_SECONDS, ends=clock.now() + _LOOK_SECONDS))
        except LatchdError:
            return None

    def _refuse_own_deadlock(self, wanted: Wanted) -> None:
        for name, shared in wanted.places:
            # It would wait for itself.
            if name in enclosing.names() and (found := self._look(name)) and enclosing.is_in_the_way(found, shared):
                raise self._held(found, shared)

    def _not_acquired(self, wanted: Wanted) -> NotAcquired:
        for name, shared in wanted.places:
            if (found := self._look(name)) is not None and found.holders:
                return self._held(found, shared)
        return NotAcquired(wanted.names[0], [], 0)

    def _held(self, found: LockInfo, shared: bool) -> NotAcquired:
        note = ""
        own = self._service.tokens()
        if enclosing.is_in_the_way(found, shared):
            note = "held by the `latchd lock` that this program runs under: a deadlock with oneself"
        elif own & {holder.fencing_token for holder in found.holders}:
            note = "held by this client itself"
        return NotAcquired(found.name, found.holders, found.queue_length, note)


def _begun(hold: _Made) -> _Made:
    hold._begin()
    return hold
