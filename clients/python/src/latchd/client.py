"""A client of one service: its session, its credential, and how it takes locks."""

from __future__ import annotations

import threading
import types
import typing
from collections.abc import Callable, Mapping, Sequence

from .blocking import Blocking
from .changing import Transferred
from .core import Core
from .election import Leader, campaign
from .errors import LatchdError
from .hold import Hold
from .leadership import Leadership
from .nodes import Nodes
from .service import Service
from .steps import Steps
from .transport import Transport
from .wanted import Mode, Names, Wanted
from .wire import Granted, LockInfo
from .withdrawing import Pending, withdraw

_Made = typing.TypeVar("_Made", bound=Hold)
_Granted = typing.TypeVar("_Granted")


class Client:
    """A client of the service at `url`: one URL, or those of several nodes, as a list or with commas between them.

    `verify` and `cert` are those of `requests`: True, False or a PEM file with the authorities to trust; a PEM file
    of a client certificate with its key, or a pair of files. A credential is an `api_key` or a `password`.

    `timeout` bounds one attempt of a request, `patience` how long a request is sent again while no node can answer
    it, both in seconds.

    `metadata` is shown to whoever asks who holds a lock of this client: host, pid and user unless it is given.

    Threads may share a client. Each that holds a lock or waits for one has a session, which the next may have after it;
    so deadlocks among threads are found as well. `close` ends all sessions and releases whatever is still held. A forked
    child that uses it has connections, a session and holds of its own.
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
        nodes = Nodes(url, api_key, password)
        self._transport = Transport(verify, cert, len(nodes.urls))
        self._blocking = Blocking(self._transport)
        self._service = Service(
            nodes, self._transport, owner=threading.get_ident, timeout=timeout, patience=patience
        )
        self._core = Core(self._service, metadata)

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

        Raises `NotAcquired` if it was not to be had in that time, which tells who holds it or that no answer came; of
        these, `Frozen` if an operator has frozen it for longer, and `WouldDeadlock` if the wait could not end; `Unreachable` if no node is there or can work
        now; `Refused` if the service will not do it. Whatever the service does, the wait has ended a second after
        `wait`; without a wait it takes two seconds at most.
        """
        wanted = Wanted.of(name, lease=lease, size=size, mode=mode, weight=weight, lock_delay=lock_delay)
        granted = self._wait(lambda pending: self._core.lock(wanted, wait, metadata, pending))
        return _begun(Hold(self._blocking, self._service, granted, on_lost))

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
        """Takes a lock, or several, if all are free now; else None. A frozen one is not free, whoever holds it."""
        wanted = Wanted.of(name, lease=lease, size=size, mode=mode, weight=weight, lock_delay=lock_delay)
        granted = self._wait(lambda pending: self._core.try_lock(wanted, metadata, pending))
        return None if granted is None else _begun(Hold(self._blocking, self._service, granted, on_lost))

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
        granted = self._wait(lambda pending: self._core.lock(wanted, wait, metadata, pending))
        return _begun(Leadership(self._blocking, self._service, granted, on_lost, value))

    def leader(self, name: str) -> Leader | None:
        """Who leads an election, and for how long nobody else can; None if nobody leads."""
        return self._blocking.run(self._core.leader(name))

    def session_id(self) -> str:
        """The id of a session of this client, opened now if there is none; for `Hold.transfer` in another one. It is a
        secret."""
        return self._blocking.run(self._core.session_id())

    def adopt(
        self, given: Transferred, *, lease: float = 30.0, on_lost: Callable[[Hold], object] | None = None
    ) -> Hold:
        """Goes on with a hold that `Hold.transfer` has given to the session of this client. Raises `LockLost` if it has
        ended since."""
        granted = self._blocking.run(self._core.adopt(given, lease))
        return _begun(Hold(self._blocking, self._service, granted, on_lost))

    def show(self, name: str) -> LockInfo | None:
        """The holders of a lock and its number of waiters; None if it has neither."""
        return self._blocking.run(self._core.show(name))

    def close(self) -> None:
        """Ends its sessions; whatever is still held is free, and lost to its holders."""
        self._blocking.run(self._service.close())
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> typing.NoReturn:
        raise TypeError("a Client belongs to its process: make one in each")

    def _wait(self, make: Callable[[Pending], Steps[_Granted]]) -> _Granted:
        """An interrupted wait leaves the queue, and releases what it was granted meanwhile."""
        pending = Pending()
        try:
            return self._blocking.run(make(pending))
        except LatchdError:
            raise
        except BaseException:
            self._blocking.run(withdraw(self._service, pending))
            raise


def _begun(hold: _Made) -> _Made:
    hold._begin()
    return hold
