"""The connections of a client for asyncio: one attempt of a request over `aiohttp`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import typing
import weakref

import aiohttp
import certifi
import yarl

from .. import clock, process
from ..replies import ANSWER_BYTES_MAX, oversized, unanswered
from ..steps import Attempt, Reply

_CONNECT_SECONDS = 5.0
#: Less than the idle time after which balancers close connections (60 s is common).
_KEPT_SECONDS = 50.0
_CHUNK_BYTES = 65536


class _Connections:
    """Those of one event loop, until an answer on them cannot be trusted."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.in_use = 0
        self.http = aiohttp.ClientSession(
            connector=_Connector(
                # As many as tasks call at once.
                limit=0,
                ssl=True if tls is None else tls,
                keepalive_timeout=_KEPT_SECONDS,
                socket_factory=_new_socket,
            ),
            # The session goes with each call by hand, because tasks of different sessions share this.
            cookie_jar=aiohttp.DummyCookieJar(),
            # The environment is not asked: it may name proxies that cut long waits.
            trust_env=False,
        )


class Transport:
    """Tasks of one event loop may share it."""

    def __init__(self, verify: bool | str, cert: str | tuple[str, str] | None, is_tls: bool) -> None:
        self._tls = _tls(verify, cert) if is_tls else None
        self._open: _Connections | None = None
        self._retired: list[_Connections] = []

    def begin_anew(self) -> None:
        """In a forked child: connections of its own."""
        _abandon()
        for connections in (self._open, *self._retired):
            if connections is not None:
                connections.http.detach()
        self._open, self._retired = None, []

    async def close(self) -> None:
        if self._open is not None:
            self._retired.append(self._open)
            self._open = None
        retired, self._retired = self._retired, []
        for connections in retired:
            await connections.http.close()

    async def attempt(self, asked: Attempt) -> Reply:
        connections = self._connections()
        ends = clock.now() + asked.seconds
        url = asked.url.partition("?")[0]
        connections.in_use += 1
        try:
            async with connections.http.request(
                asked.method,
                yarl.URL(asked.url, encoded=True),
                data=asked.body,
                headers=asked.headers,
                timeout=_limits(asked.seconds),
                allow_redirects=False,
            ) as response:
                content = await _read(response, url)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            is_connecting = isinstance(error, aiohttp.ConnectionTimeoutError)
            is_late = isinstance(error, asyncio.TimeoutError) and not is_connecting
            raise unanswered(url, error, is_late or clock.left(ends) == 0) from error
        finally:
            connections.in_use -= 1
        await self._close_retired()
        return Reply(response.status, response.headers, content, lambda: self._retire(connections))

    def _connections(self) -> _Connections:
        loop = asyncio.get_running_loop()
        if self._open is None:
            self._open = _Connections(self._tls)
        if self._open.loop is not loop:
            raise RuntimeError("a client belongs to the event loop in which it was used first: make one in each")
        return self._open

    def _retire(self, connections: _Connections) -> None:
        if self._open is connections:
            self._retired.append(connections)
            self._open = None

    async def _close_retired(self) -> None:
        """Those that nobody reads from any more."""
        for connections in [each for each in self._retired if each.in_use == 0]:
            self._retired.remove(connections)
            await connections.http.close()


async def _read(response: aiohttp.ClientResponse, url: str) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            raise oversized(url)
    return bytes(content)


def _limits(seconds: float) -> aiohttp.ClientTimeout:
    """One limit for each address that a name has, and one for everything."""
    connect = max(0.001, min(_CONNECT_SECONDS, seconds / 3))
    return aiohttp.ClientTimeout(total=seconds, sock_connect=connect, ceil_threshold=float("inf"))


def _tls(verify: bool | str, cert: str | tuple[str, str] | None) -> ssl.SSLContext:
    """`verify` and `cert` as `requests` takes them."""
    # The authorities that `requests` trusts, so that both clients trust the same.
    trusted = certifi.where() if isinstance(verify, bool) else verify
    is_folder = os.path.isdir(trusted)
    context = ssl.create_default_context(
        cafile=None if is_folder else trusted, capath=trusted if is_folder else None
    )
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    return context


class _Connector(aiohttp.TCPConnector):
    """In a forked child it is dropped without a word."""

    def __init__(self, **settings: typing.Any) -> None:
        super().__init__(**settings)
        self._made_in = process.current()

    def __del__(self, *more: typing.Any) -> None:
        if self._made_in == process.current():
            super().__del__(*more)


#: Of this process.
_opened: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _new_socket(address: typing.Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    _opened.add(made)
    return made


def _abandon() -> None:
    """Closes in a child what the parent has opened, without a word to the other end."""
    for each in list(_opened):
        with contextlib.suppress(OSError):
            os.close(each.detach())
    _opened.clear()
