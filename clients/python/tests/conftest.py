"""A started server for all tests, and further ones for those that end or stop theirs. Tests that are coroutines run in an
event loop of their own, and their clients are closed in it."""

from __future__ import annotations

import asyncio
import collections.abc
import inspect
import typing

import pytest
from servers import Proxy, Server

from latchd import Client
from latchd.aio import AsyncClient

_TEST_SECONDS = 60


@pytest.fixture(scope="session")
def shared() -> collections.abc.Iterator[Server]:
    server = Server()
    yield server
    server.end()


@pytest.fixture
def server() -> collections.abc.Iterator[Server]:
    """A server of the test's own."""
    server = Server()
    yield server
    server.end()


@pytest.fixture
def proxy(shared: Server) -> collections.abc.Iterator[Proxy]:
    proxy = Proxy(shared)
    yield proxy
    proxy.end()


@pytest.fixture
def client(shared: Server) -> collections.abc.Iterator[Client]:
    with Client(shared.url) as client:
        yield client


@pytest.fixture
def other(shared: Server) -> collections.abc.Iterator[Client]:
    with Client(shared.url) as client:
        yield client


@pytest.fixture
def aclient(shared: Server) -> AsyncClient:
    return AsyncClient(shared.url)


@pytest.fixture
def aother(shared: Server) -> AsyncClient:
    return AsyncClient(shared.url)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    asyncio.run(asyncio.wait_for(_closing(pyfuncitem.obj(**arguments), arguments.values()), _TEST_SECONDS))
    return True


async def _closing(
    test: collections.abc.Coroutine[typing.Any, typing.Any, object], used: collections.abc.Iterable[object]
) -> None:
    try:
        await test
    finally:
        for client in used:
            if isinstance(client, AsyncClient):
                await client.close()
