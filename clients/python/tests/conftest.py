"""A started server for all tests, and further ones for those that end or stop theirs."""

from __future__ import annotations

import collections.abc

import pytest
from servers import Proxy, Server

from latchd import Client


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
