"""Taking, waiting, giving back."""

from __future__ import annotations

import concurrent.futures
import os
import pwd
import signal
import threading
import time

import pytest
from servers import Server

from latchd import Client, LockLost, NotAcquired, Refused, Unreachable


def until_waiting(client: Client, name: str, count: int) -> None:
    end = time.monotonic() + 60
    while (shown := client.show(name)) is None or shown.queue_length < count:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.row("scope")
def test_lock_is_held_in_its_block_and_free_after_it(client: Client, other: Client) -> None:
    with client.lock("block", metadata={"host": "web-1"}) as hold:
        assert not hold.lost and 15 < hold.remaining <= 30
        hold.check()
        assert other.try_lock("block") is None
        shown = other.show("block")
        assert shown and [holder.fencing_token for holder in shown.holders] == [hold.fencing_token]
        assert dict(shown.holders[0].metadata) == {"host": "web-1"} | {
            "pid": str(os.getpid()),
            "user": pwd.getpwuid(os.getuid()).pw_name,
        }
    assert not hold.lost and hold.remaining == 0
    assert other.show("block") is None
    with other.lock("block") as later:
        assert later.fencing_token > hold.fencing_token


def test_error_names_the_holder(client: Client, other: Client) -> None:
    with client.lock("busy", metadata={"host": "web-1"}) as hold:
        begun = time.monotonic()
        with pytest.raises(NotAcquired, match="@web-1 pid ") as refused:
            other.lock("busy", wait=0.5)
        assert 0.4 < time.monotonic() - begun < 9
        assert [holder.fencing_token for holder in refused.value.holders] == [hold.fencing_token]


@pytest.mark.row("wait")
def test_wait_ends_with_the_release(client: Client, other: Client) -> None:
    hold = client.lock("queue")
    granted: list[int] = []

    def wait() -> None:
        with other.lock("queue") as mine:
            granted.append(mine.fencing_token)

    waiter = threading.Thread(target=wait)
    waiter.start()
    until_waiting(client, "queue", 1)
    hold.release()
    hold.release()
    waiter.join(10)
    assert granted and granted[0] > hold.fencing_token


@pytest.mark.row("try")
def test_try_of_a_held_lock_is_none_at_once(client: Client, other: Client) -> None:
    with client.lock("tried"):
        begun = time.monotonic()
        assert other.try_lock("tried") is None
        assert time.monotonic() - begun < 9
        with pytest.raises(Refused, match="must be at most"):
            other.try_lock("a" * 600)


@pytest.mark.row("order")
def test_waiters_get_the_lock_in_the_order_in_which_they_came(client: Client, other: Client) -> None:
    order: list[int] = []

    def wait(number: int) -> None:
        with other.lock("order", wait=20):
            order.append(number)

    hold = client.lock("order")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for number in range(4):
            pool.submit(wait, number)
            until_waiting(client, "order", number + 1)
        hold.release()
    assert order == [0, 1, 2, 3]


def test_late_grant_has_its_whole_lease(client: Client, other: Client) -> None:
    kept = client.lock("late", lease=8)
    closing = threading.Timer(5, client.close)
    closing.start()
    with other.lock("late", wait=30, lease=8) as hold:
        assert hold.remaining > 4, "counted from before the renewal, not from before the wait"
        assert not hold.lost
    assert kept.lost


@pytest.mark.row("scope-error")
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_lock_is_released_however_its_block_ends(
    client: Client, other: Client, error: type[BaseException]
) -> None:
    with pytest.raises(error):
        with client.lock("broken"):
            raise error
    with other.lock("broken", wait=10):
        pass


@pytest.mark.row("cancel")
@pytest.mark.parametrize("has_another", [False, True])
def test_interrupted_wait_leaves_the_queue(client: Client, other: Client, has_another: bool) -> None:
    hold = client.lock("interrupted")
    another = other.lock("another") if has_another else None
    interrupt = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        other.lock("interrupted", wait=60)
    shown = client.show("interrupted")
    # With another hold, its session goes on: its place is passed over.
    assert shown and shown.queue_length == (1 if has_another else 0)
    hold.release()
    client.lock("interrupted", wait=10).release()
    if another is not None:
        another.release()


def test_lock_of_size_two_has_two_holders(client: Client, other: Client) -> None:
    with client.lock("pool", size=2), other.lock("pool", size=2, wait=10):
        assert client.try_lock("pool", size=2) is None
        with pytest.raises(Refused, match="size mismatch") as refused:
            client.lock("pool", size=3)
        assert refused.value.code == "LockSizeMismatch"


@pytest.mark.row("renewal")
def test_renewal_keeps_lock_beyond_its_lease(client: Client, other: Client) -> None:
    with client.lock("long", lease=4) as hold:
        assert not hold.wait_lost(9)
        assert other.try_lock("long") is None


@pytest.mark.row("concurrent")
@pytest.mark.row("token")
def test_eight_threads_lose_no_increment(shared: Server) -> None:
    counter = 0
    tokens: list[int] = []

    def count(client: Client) -> None:
        nonlocal counter
        for _ in range(10):
            with client.lock("counter") as hold:
                seen = counter
                time.sleep(0.001)
                counter = seen + 1
                tokens.append(hold.fencing_token)

    with Client(shared.url) as one, Client(shared.url) as two:
        threads = [threading.Thread(target=count, args=[one if n % 2 else two]) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert counter == 80
    assert tokens == sorted(set(tokens)), "tokens rise"


@pytest.mark.row("close")
def test_closed_client_releases_its_locks(client: Client, other: Client) -> None:
    told = threading.Event()
    hold = client.lock("open", on_lost=lambda hold: told.set())
    client.close()
    assert hold.lost and told.wait(5)
    with pytest.raises(LockLost, match="closed"):
        hold.release()
    with other.lock("open", wait=0):
        pass
    with pytest.raises(RuntimeError, match="closed"):
        client.lock("open")


def test_credentials_and_settings_are_checked(server: Server) -> None:
    with pytest.raises(ValueError, match="not an http"):
        Client("localhost:8443")
    with pytest.raises(ValueError, match="a URL has no credential") as refused:
        Client("https://ada:sesame@localhost:8443")
    assert "sesame" not in str(refused.value)
    with pytest.raises(ValueError, match="not both"):
        Client(server.url, api_key="a", password="b")
    with pytest.raises(ValueError, match="lease"):
        Client(server.url).lock("a", lease=0)
    with pytest.raises(Refused, match="must be at most"):
        Client(server.url).lock("a" * 600)


@pytest.mark.row("credential")
def test_credential_is_sent_with_every_request() -> None:
    server = Server("--password", "sesame: open")
    try:
        with pytest.raises(Refused, match="this password or API key is not known") as refused:
            Client(server.url, password="not it").lock("a")
        assert refused.value.status == 401
        with pytest.raises(Refused, match="a password or an API key is needed"):
            Client(server.url).lock("a")
        with Client(server.url, password="sesame: open") as client, client.lock("a") as hold:
            assert not hold.lost
    finally:
        server.end()


@pytest.mark.row("certificate")
def test_unknown_certificate_is_refused_at_once() -> None:
    server = Server(listen="https://127.0.0.1:0")
    try:
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="certificate"):
            Client(server.url).lock("a")
        assert time.monotonic() - begun < 5
        with pytest.raises(Unreachable, match="name the PEM file of its authority, .* with verify="):
            Client(server.url).lock("a", wait=1)
        with Client(server.url, verify=str(server.home / "certs/dev-cert.pem")) as client, client.lock("a") as hold:
            assert not hold.lost
    finally:
        server.end()
