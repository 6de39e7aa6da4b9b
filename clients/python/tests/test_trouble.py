"""Lost leases, lost answers, lost servers."""

from __future__ import annotations

import dataclasses
import logging
import pathlib
import socket
import threading
import time

import pytest
from servers import Between, Proxy, Server, wire

from latchd import Client, Hold, LockLost, Refused, Unreachable, clock


@pytest.mark.row("deadline")
@pytest.mark.row("loss")
@pytest.mark.parametrize("how", ["killed", "paused"])
def test_unrenewed_lock_is_lost_before_its_lease_ends(server: Server, how: str) -> None:
    told: list[Hold] = []
    client = Client(server.url)
    with pytest.raises(LockLost, match="could not be renewed"):
        with client.lock("mine", lease=6, on_lost=told.append) as hold:
            server.kill() if how == "killed" else server.pause()
            ends = hold._keeper.until
            assert not hold.lost and hold.remaining > 1
            assert hold.wait_lost(60)
            # A busy machine may wake this thread late, but not change when the answer to `lost` turns.
            assert hold._keeper.deadline() < ends, "before the lease ends"
            assert ends - 0.5 < clock.now() < ends + 20
            assert hold.remaining == 0
            with pytest.raises(LockLost):
                hold.check()
            while not told:
                assert clock.now() < ends + 20
                time.sleep(0.01)
    assert told == [hold]
    server.resume()
    assert hold.lost, "it stays so"


def test_lost_lock_does_not_hide_error_of_the_block(server: Server) -> None:
    client = Client(server.url)
    with pytest.raises(ValueError):
        with client.lock("mine", lease=1) as hold:
            server.kill()
            assert hold.wait_lost(60)
            raise ValueError


def test_pause_shorter_than_the_lease_loses_nothing(server: Server) -> None:
    with Client(server.url) as client, client.lock("mine", lease=9) as hold:
        server.pause()
        time.sleep(4)
        server.resume()
        assert not hold.wait_lost(7)


@pytest.mark.row("forced")
def test_forced_release_is_noticed_at_next_renewal(client: Client, other: Client) -> None:
    with pytest.raises(LockLost, match="ended"):
        with client.lock("taken", lease=9) as hold:
            # The key alone opens a hold, whoever shows it.
            stolen = dataclasses.replace(hold._keeper.granted, session=other._blocking.run(other._service.open()))
            answer = other._blocking.run(other._service.unlock(stolen, clock.now() + 60))
            assert answer.body["unlocked"]
            assert hold.wait_lost(8), "sooner than its lease would have ended"


@pytest.mark.row("retry")
@pytest.mark.parametrize("wait", [0, 5])
def test_retry_after_lost_answer_gives_the_same_hold(proxy: Proxy, other: Client, wait: float) -> None:
    proxy.lose_answer_to("/session")
    proxy.lose_answer_to("/v1/lock")
    with Client(proxy.url) as client, client.lock("once", wait=wait, size=2) as hold:
        shown = other.show("once")
        assert shown and [holder.fencing_token for holder in shown.holders] == [hold.fencing_token]
        for path in ("/session", "/v1/lock"):
            first, second = proxy.keys(path)
            assert first == second and first is not None
        # Its release too.
        proxy.lose_answer_to("/v1/unlock")
    assert len(proxy.keys("/v1/unlock")) == 2
    assert other.show("once") is None and not hold.lost


@pytest.mark.row("late-answer")
def test_lease_of_late_answer_counts_from_its_grant(proxy: Proxy) -> None:
    proxy.lose_answer_to("/v1/lock", after_seconds=1)
    with Client(proxy.url) as client, client.lock("told late", lease=30) as hold:
        assert len(proxy.keys("/v1/lock")) == 2
        assert 15 < hold.remaining + hold.lease / 20 < 29.1, "the first answer left the server a second ago"


def test_hold_lost_before_its_answer_is_acquired_again(proxy: Proxy) -> None:
    proxy.lose_answer_to("/v1/lock", after_seconds=4.5)
    with Client(proxy.url) as client, client.lock("untold", wait=40, lease=3) as hold:
        first, second, third = proxy.keys("/v1/lock")
        assert first == second != third and not hold.lost


@pytest.mark.row("session-end")
def test_ended_session_loses_holds_and_is_reopened(server: Server, tmp_path: pathlib.Path) -> None:
    client = Client(server.url)
    kept = client.lock("kept", lease=600)
    ended = client._blocking.run(client._service.open())
    # Ended by somebody else, as idle ones are by the service.
    stranger = Client(server.url)
    stranger._service.sessions.add(ended)
    stranger.close()
    with client.lock("next", wait=10) as hold:
        assert not hold.lost
        assert kept.lost, "its session is no more"
    with pytest.raises(LockLost, match="session"):
        kept.release()
    client.close()


@pytest.mark.row("nodes")
def test_silent_node_is_skipped(shared: Server, server: Server) -> None:
    server.kill()
    with Client(f"{server.url}, {shared.url}") as client:
        begun = time.monotonic()
        with client.lock("elsewhere", lease=4) as hold:
            assert not hold.lost and time.monotonic() - begun < 9
            assert not hold.wait_lost(5.5), "renewed through the other one"


@pytest.mark.row("restart")
def test_restarted_service_is_found_again(tmp_path: pathlib.Path) -> None:
    first = Server("--data-dir", str(tmp_path))
    client = Client(first.url, patience=30)
    hold = client.lock("kept", lease=60)
    first.kill()
    servers: list[Server] = []
    back = threading.Timer(0.7, lambda: servers.append(Server("--data-dir", str(tmp_path), listen=first.url)))
    back.start()
    with client.lock("after the restart") as later:
        assert later.fencing_token > hold.fencing_token
    hold.release()
    client.close()
    for server in (first, *servers):
        server.end()


@pytest.mark.row("unreachable")
def test_unreachable_service_is_reported_in_time(server: Server) -> None:
    with pytest.raises(Unreachable, match="does it listen with https"):
        Client(server.url.replace("http:", "https:"), patience=0.5).lock("a", wait=0)
    server.kill()
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="refused"):
        Client(server.url, patience=0.5).lock("a")
    assert time.monotonic() - begun < 9


def test_broken_tls_handshake_is_retried() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[object] = []

    def break_off() -> None:
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            accepted.append(peer)
            connection.close()

    threading.Thread(target=break_off, daemon=True).start()
    with pytest.raises(Unreachable):
        Client(f"https://127.0.0.1:{listener.getsockname()[1]}", patience=2).lock("a")
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    assert len(accepted) > 1


@pytest.mark.row("no-secrets")
def test_no_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = Server("--password", "open-sesame")
    try:
        with Client(server.url, password="open-sesame") as client:
            hold = client.lock("secret", on_lost=lambda _: None)
            given = hold.transfer(client.session_id())
            adopted = client.adopt(given)
            client._blocking.run(client._service.unlock(adopted._keeper.granted, clock.now() + 60))
            with pytest.raises(LockLost) as lost:
                adopted.release()
            shown = [client, hold, given, adopted, adopted._keeper.granted, lost.value]
    finally:
        server.end()
    text = caplog.text + "".join(f"{each!r} {each!s}" for each in shown)
    for secret in (hold.key, given.key, given.session, "open-sesame", "b3Blbi1zZXNhbWU"):
        assert secret not in text


def test_endless_answer_is_refused(shared: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("latchd.replies", "latchd.transport"):
        monkeypatch.setattr(f"{module}.ANSWER_BYTES_MAX", 100_000)
    with Between(shared, lambda *_: iter([wire(200, b" " * 300_000)])) as between:
        with Client(between.url) as client, pytest.raises(Refused, match="more than 100000 bytes"):
            client.show("a")
