"""Connections of urllib3 that a forked child drops unused, and whose answers are read until a moment.

A child inherits the sockets of its parent. Whatever it sent on them would be answered to either of the two, and while
it has them open the service does not see that the parent is gone. So they are closed in the child at once, without a
word to the other end, which still belongs to the parent.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import queue
import socket
import threading
import typing
import weakref
from collections.abc import Iterator

import urllib3
from requests.adapters import HTTPAdapter

from . import clock, process

_reading = threading.local()


@contextlib.contextmanager
def reading_until(moment: float) -> Iterator[None]:
    """Answers that this thread reads in this block have come by that moment, or are a timeout. The limit of a socket
    begins anew with every byte, so an answer that trickles would never reach it."""
    _reading.until = moment
    try:
        yield
    finally:
        del _reading.until


class Adapter(HTTPAdapter):
    """For `requests`; keeps as many connections as threads have called at once."""

    def init_poolmanager(self, *arguments: typing.Any, **named: typing.Any) -> None:
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class _UntilRaw(io.RawIOBase):
    """What a socket receives until a moment."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, until: float) -> None:
        self._sock = sock
        self._raw = raw
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: typing.Any) -> int | None:
        left = clock.left(self._until)
        if left == 0:
            raise socket.timeout("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: typing.Any, **named: typing.Any) -> None:
        super().__init__(sock, *arguments, **named)
        until: float | None = getattr(_reading, "until", None)
        if until is not None:
            self.fp = io.BufferedReader(_UntilRaw(sock, self.fp.detach(), until))


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Response

    def connect(self) -> None:
        super().connect()
        _opened.add(self)


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response

    def connect(self) -> None:
        super().connect()
        _opened.add(self)


class _Kept(queue.LifoQueue[typing.Any]):
    """Connections for the next call. It has no limit: more than one for each calling thread never come together."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__()
        _queues.add(self)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection
    QueueCls = _Kept


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
    QueueCls = _Kept


#: Of this process.
_opened: weakref.WeakSet[_Connection | _TlsConnection] = weakref.WeakSet()
_queues: weakref.WeakSet[_Kept] = weakref.WeakSet()


def _abandon() -> None:
    """Closes what the parent left here, and empties its queues: their mutexes may be locked by threads that are not
    here, and urllib3 asks them once more when it cleans up."""
    for connection in list(_opened):
        sock = connection.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                # Not `close`, which waits for those who still read, and no farewell of TLS.
                os.close(sock.detach())
    for kept in list(_queues):
        kept.__init__()  # type: ignore[misc]
    _opened.clear()


process.in_child(_abandon)
