"""A client of one service: its session, its credential, and how it takes locks."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence

from . import clock
from .acquiring import Wait, acquire
from .errors import CutShort, LatchdError, NotAcquired
from .hold import Hold
from .identity import described
from .service import Service
from .transport import Patience
from .wire import LockInfo

#: The time limit for asking who holds a lock that was not acquired.
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
            # It would wait for itself.
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
        """The holders of a lock and its number of waiters; None if it has neither."""
        self._service.here()
        return self._service.show(name, self._service.usual())

    def close(self) -> None:
        """Ends the session; whatever is still held is free, and lost to its holders."""
        self._service.close()

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
        self._service.here()
        wanted: dict[str, object] = {"name": name, "size": size, "lock_timeout_seconds": lease}
        if shown := described(self._metadata, metadata):
            wanted["metadata"] = shown
        granted = acquire(self._service, wanted, lease, Wait.of(wait, self._service.patience))
        if granted is None:
            return None
        hold = Hold(self._service, granted, on_lost)
        hold._begin()
        return hold

    def _look(self, name: str) -> LockInfo | None:
        """The same for a message; None if it takes long."""
        self._service.here()
        try:
            return self._service.show(name, Patience(clock.now(), _LOOK_SECONDS, ends=clock.now() + _LOOK_SECONDS))
        except LatchdError:
            return None

    def _not_acquired(self, name: str, found: LockInfo | None) -> NotAcquired:
        if found is None:
            return NotAcquired(name, [], 0)
        note = ""
        own = self._service.tokens()
        if _is_held_by_enclosing(found):
            note = "held by the `latchd lock` that this program runs under: a deadlock with oneself"
        elif own & {holder.fencing_token for holder in found.holders}:
            note = "held by this client itself"
        return NotAcquired(name, found.holders, found.queue_length, note)



def _is_enclosing(name: str) -> bool:
    """Whether this program runs under `latchd lock` of that name."""
    return os.environ.get("LATCHD_LOCK_NAME") == name


def _is_held_by_enclosing(found: LockInfo) -> bool:
    token = os.environ.get("LATCHD_FENCING_TOKEN")
    return _is_enclosing(found.name) and any(str(holder.fencing_token) == token for holder in found.holders)
