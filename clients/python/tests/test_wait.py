"""A wait has ended when the caller said, whatever the other end does; and what is known of the holder then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from servers import Between, Server, binary, wire

from latchd import Client, LockLost, NotAcquired, Unreachable


def pause(seconds: float = 30.0) -> Iterator[bytes | float]:
    yield seconds


def trickle(status: int, content: bytes) -> Iterator[bytes | float]:
    for each in wire(status, content):
        yield bytes([each])
        yield 0.15


def in_the_body(status: int, content: bytes) -> Iterator[bytes | float]:
    whole = wire(status, content)
    yield whole[:-5]
    yield 30.0


@pytest.mark.parametrize("how", ["stalls", "trickles", "stops in the body"])
@pytest.mark.parametrize("where", ["/session", "/v1/lock"])
@pytest.mark.parametrize("wait", [0.0, 1.5])
def test_wait_ends_in_time_behind_faulty_proxy(shared: Server, how: str, where: str, wait: float) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes | float] | None:
        if path != where:
            return None
        if how == "stalls":
            return pause()
        return trickle(status, content) if how == "trickles" else in_the_body(status, content)

    with Between(shared, answer) as between:
        client = Client(between.url)
        begun = time.monotonic()
        with pytest.raises(NotAcquired if wait else Unreachable, match="in time"):
            client.lock("between", wait=wait)
        assert max(wait, 1.0) - 0.1 < time.monotonic() - begun < 9


@pytest.mark.row("wait-timeout")
@pytest.mark.parametrize("wait", [0.0, 1.5])
def test_wait_ends_in_time_at_paused_server(server: Server, wait: float) -> None:
    client = Client(server.url)
    held = client.lock("held", lease=60)
    server.pause()
    begun = time.monotonic()
    with pytest.raises(NotAcquired if wait else Unreachable):
        client.lock("held", wait=wait)
    assert time.monotonic() - begun < 9
    server.resume()
    held.release()


@pytest.mark.parametrize("wait", [0.0, 1.5])
def test_wait_ends_in_time_without_server(server: Server, wait: float) -> None:
    server.kill()
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="refused"):
        Client(server.url).lock("a", wait=wait)
    assert time.monotonic() - begun < 9


@pytest.mark.parametrize("wait", [0.0, 1.5])
def test_unanswered_wait_names_no_holder(server: Server, wait: float) -> None:
    server.pause()
    with pytest.raises(NotAcquired if wait else Unreachable) as refused:
        Client(server.url).lock("silent", wait=wait)
    assert "gave no answer in time" in str(refused.value) and "held" not in str(refused.value)
    server.resume()


@pytest.mark.parametrize("wait", [0.0, 1.5])
def test_last_error_is_reported_after_the_wait(shared: Server, wait: float) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes | float]:
        detail = "the cluster knows node 1 with another data directory"
        return iter([wire(503, json.dumps({"detail": detail}).encode(), "application/problem+json")])

    with Between(shared, answer) as between, pytest.raises((Unreachable, NotAcquired), match="data directory"):
        Client(between.url).lock("a", wait=wait)


def test_wait_beside_a_thread_that_gets_no_session_ends_in_time(shared: Server) -> None:
    asked = threading.Event()

    def answer(path: str, status: int, content: bytes) -> Iterator[bytes | float] | None:
        asked.set()
        return pause()

    with Between(shared, answer) as between:
        client = Client(between.url, patience=20)
        threading.Thread(target=lambda: pytest.raises(Unreachable, client.lock, "a"), daemon=True).start()
        asked.wait(10)
        begun = time.monotonic()
        with pytest.raises(NotAcquired):
            client.lock("a", wait=1.2)
        assert time.monotonic() - begun < 9


def test_silent_node_leaves_time_for_the_others(shared: Server, server: Server) -> None:
    server.pause()
    with Client([server.url, shared.url]) as client:
        client.lock("not silent", wait=30).release()
    server.resume()


def test_wait_outlasts_the_services_longest_wait(shared: Server) -> None:
    server = Server(environment={"LATCHD_LOCKS_WAIT_MAX": "300ms"})
    try:
        with Client(server.url) as client, Client(server.url) as other:
            held = client.lock("held")
            begun = time.monotonic()
            with pytest.raises(NotAcquired):
                other.lock("held", wait=1.5)
            assert 1.4 < time.monotonic() - begun < 9
            release = threading.Timer(1.0, held.release)
            release.start()
            other.lock("held").release()
            release.join()
    finally:
        server.end()


@pytest.mark.parametrize("status", [200, 400])
def test_wait_limit_is_obeyed_in_every_error_shape(
    shared: Server, client: Client, status: int
) -> None:
    told: list[str] = []

    def answer(path: str, _: int, __: bytes) -> Iterator[bytes | float] | None:
        if path != "/v1/lock" or told:
            return None
        told.append(path)
        said = "wait_timeout_seconds must be a number of seconds from 0 to 0.5 (locks.wait_max)"
        refused = {"locked": False, "name": "limited", "key": "", "error": {"code": "Unknown", "message": said}}
        body = refused if status == 200 else {"code": 3, "message": said, "details": []}
        return iter([wire(status, json.dumps(body).encode())])

    with Between(shared, answer) as between, Client(between.url) as limited:
        held = client.lock("limited")
        # A busy machine may leave no time for it.
        for _ in range(5):
            with pytest.raises(NotAcquired):
                limited.lock("limited", wait=1.2)
            if told:
                break
        assert told and limited._service.longest_wait == 0.5
        held.release()


def test_hold_counts_as_ended_with_its_session(shared: Server) -> None:
    server = Server(environment={"LATCHD_SESSIONS_IDLE_TIMEOUT": "9s"})
    try:
        client = Client(server.url)
        with pytest.raises(LockLost):
            with client.lock("long", lease=3600) as hold:
                assert not hold.wait_lost(11), "renewed in time for the session"
                assert hold.remaining < 9, "ends when the session does if it hears nothing more"
                server.kill()
                assert hold.wait_lost(60)
    finally:
        server.end()


@pytest.mark.row("holder")
def test_error_names_holders_times_and_waiters(shared: Server, client: Client) -> None:
    with Client(shared.url, metadata={"job": "7"}) as named, client.lock("named", metadata={"task": "x"}) as hold:
        waiter = threading.Thread(target=lambda: named.lock("named", wait=20).release())
        waiter.start()
        while (shown := client.show("named")) is None or shown.queue_length < 1:
            time.sleep(0.01)
        with Client(shared.url) as third, pytest.raises(NotAcquired) as refused:
            third.lock("named", wait=0)
        said = str(refused.value)
        assert f"pid {os.getpid()} since 20" in said and "task=x" in said and said.endswith("; 1 waits for it"), said
        assert f"@{os.uname().nodename}" in said and f"token {hold.fencing_token}" in said, said
        hold.release()
        waiter.join(20)
        with named.lock("named"):
            shown = client.show("named")
            assert shown and dict(shown.holders[0].metadata) == {"job": "7"}
        full = {f"entry {n}": "x" for n in range(31)}
        with client.lock("full", metadata=full):
            shown = client.show("full")
            assert shown and dict(shown.holders[0].metadata) == full | {"host": os.uname().nodename}


def test_error_says_if_the_client_is_the_holder(client: Client) -> None:
    with client.lock("own"), pytest.raises(NotAcquired, match="held by this client itself"):
        client.lock("own", wait=0.2)


def test_wait_under_same_latchd_lock_fails_as_deadlock(shared: Server) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(os.path.join(os.path.dirname(__file__), "..", "src"))!r})
from latchd import Client, NotAcquired
try:
    Client({shared.url!r}).lock("nightly")
except NotAcquired as error:
    print(error)
"""
    command = [binary(), "lock", "--url", shared.url, "nightly", "--", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "a deadlock with oneself" in done.stdout, done.stdout + done.stderr
