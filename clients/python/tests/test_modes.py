"""Shared, weighed and delayed locks, several at once, and holds that change."""

from __future__ import annotations

import concurrent.futures
import json
import threading
import time
import typing
from collections.abc import Iterator

import pytest
from servers import Between, Server, wire
from test_locks import until_waiting

from latchd import Client, Hold, LockLost, NotAcquired, Refused, WouldDeadlock


def outlast_lease(hold: Hold) -> None:
    """Until its first lease would have been over."""
    assert not hold.wait_lost(hold.lease * 1.3)


@pytest.mark.row("shared")
def test_readers_share_and_a_writer_waits_for_both(client: Client, other: Client, shared: Server) -> None:
    with client.read_lock("report", wait=10) as one, other.lock("report", wait=10, mode="shared") as two:
        shown = client.show("report")
        assert shown and shown.mode == "shared" and len(shown.holders) == 2
        with pytest.raises(NotAcquired) as refused:
            client.lock("report", wait=0)
        assert len(refused.value.holders) == 2
        with Client(shared.url) as writer, concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = pool.submit(writer.lock, "report", wait=20)
            until_waiting(client, "report", 1)
            assert client.try_lock("report", mode="shared") is None, "the writer was here before"
            one.release()
            two.release()
            waiting.result(timeout=20).release()


@pytest.mark.row("names")
def test_several_locks_are_one_hold(client: Client, other: Client) -> None:
    with client.lock(["b", ("a", "shared")], wait=10, lease=4) as hold:
        assert (hold.name, hold.names) == ("b", ("b", "a"))
        outlast_lease(hold)
        assert other.try_lock("b") is None and other.try_lock(("c", "a")) is None
        other.read_lock("a", wait=10).release()
        with pytest.raises(NotAcquired) as refused:
            other.lock(["c", "b"], wait=0)
        assert refused.value.name == "b" and refused.value.holders[0].fencing_token == hold.fencing_token
    with other.lock(("a", "b", "c"), wait=10) as all_of_them:
        assert all_of_them.fencing_token > hold.fencing_token
    other.lock(["a"], wait=10).release()


@pytest.mark.row("names")
def test_several_locks_in_opposite_orders_never_block_each_other(shared: Server) -> None:
    def work(names: list[str]) -> int:
        with Client(shared.url) as client:
            for _ in range(10):
                client.lock(names, wait=30).release()
        return 10

    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(work, names) for names in (["x", "y"], ["y", "x"], ["y", "z"], ["z", "x"])]
        assert sum(run.result(timeout=60) for run in runs) == 40


@pytest.mark.row("weight")
def test_weight_takes_that_many_places(client: Client, other: Client) -> None:
    with client.lock("memory", wait=10, size=4, weight=3):
        assert other.try_lock("memory", size=4, weight=2) is None
        other.lock("memory", wait=10, size=4).release()
        with pytest.raises(Refused, match="weight must be a whole number from 1 to the size, 4"):
            other.lock("memory", wait=0, size=4, weight=5)


def test_lock_delay_follows_a_loss_and_no_release(server: Server) -> None:
    with Client(server.url) as lost, Client(server.url) as other:
        other.lock("slow", wait=10, lock_delay=60).release()
        begun = time.monotonic()
        hold = lost.lock("slow", wait=10, lease=1, lock_delay=1.5)
        hold._keeper.ended.set()  # It is not renewed, as if its process had been killed.
        with other.lock("slow", wait=20):
            assert time.monotonic() - begun >= 2.5, "the lease and the delay"


@pytest.mark.row("downgrade")
def test_downgrade_lets_readers_in_and_goes_on_under_a_new_token(client: Client, other: Client) -> None:
    with client.lock("table", wait=10, lease=4) as hold:
        first = hold.fencing_token
        assert other.try_lock("table", mode="shared") is None
        hold.downgrade()
        assert hold.fencing_token > first
        with other.read_lock("table", wait=10):
            outlast_lease(hold)
            shown = other.show("table")
            assert shown and hold.fencing_token in {holder.fencing_token for holder in shown.holders}
    assert client.show("table") is None


@pytest.mark.row("upgrade")
def test_upgrade_waits_to_be_alone_and_goes_on_under_a_new_token(client: Client, other: Client) -> None:
    with client.read_lock("table-2", wait=10, lease=4) as hold, concurrent.futures.ThreadPoolExecutor() as pool:
        reader = other.read_lock("table-2", wait=10)
        first = hold.fencing_token
        with pytest.raises(NotAcquired, match="others share it"):
            hold.upgrade(wait=0)
        with pytest.raises(NotAcquired, match="others share it"):
            hold.upgrade(wait=0.2)
        assert hold.fencing_token == first and not hold.lost
        waiting = pool.submit(hold.upgrade, wait=20)
        until_waiting(other, "table-2", 1)
        with pytest.raises((Refused, WouldDeadlock)):
            reader.upgrade(wait=20)
        reader.release()
        waiting.result(timeout=20)
        assert hold.fencing_token > first
        outlast_lease(hold)
        assert other.try_lock("table-2", mode="shared") is None
        hold.upgrade(wait=10)
    with pytest.raises(RuntimeError, match="released"):
        hold.upgrade(wait=0)
    with client.lock("pool-2", wait=0, size=2) as counted, pytest.raises(Refused, match="409"):
        counted.upgrade(wait=0)


def test_upgrade_outlasts_the_services_longest_wait() -> None:
    server = Server(environment={"LATCHD_LOCKS_WAIT_MAX": "300ms"})
    try:
        with Client(server.url) as client, Client(server.url) as other:
            hold, reader = client.read_lock("long-upgrade"), other.read_lock("long-upgrade")
            threading.Timer(1.0, reader.release).start()
            hold.upgrade()
            assert other.try_lock("long-upgrade", mode="shared") is None
    finally:
        server.end()


@pytest.mark.parametrize("change", ["upgrade", "downgrade"])
def test_change_of_a_hold_that_was_ended_loses_it(server: Server, change: str) -> None:
    told: list[Hold] = []
    with Client(server.url) as client, Client(server.url) as other:
        hold = client.read_lock("forced", on_lost=told.append)
        other.session_id()
        client._blocking.run(client._service.unlock(hold._keeper.granted, float("inf")))
        with pytest.raises(LockLost, match="the service says that it has ended"):
            getattr(hold, change)()
        assert hold.lost and told == [hold]


@pytest.mark.row("transfer")
def test_transferred_hold_goes_on_in_the_other_session(client: Client, other: Client) -> None:
    told: list[Hold] = []
    hold = client.lock(["job", "disk"], wait=10, lease=4, on_lost=told.append)
    given = hold.transfer(other.session_id())
    assert given.fencing_token > hold.fencing_token and given.key not in repr(given)
    hold.release()
    client.close()
    with other.adopt(given, lease=4) as mine:
        assert (mine.names, mine.fencing_token) == (("job", "disk"), given.fencing_token)
        outlast_lease(mine)
        shown = other.show("disk")
        assert shown and shown.holders[0].fencing_token == given.fencing_token
    assert not told and not hold.lost
    with pytest.raises(LockLost, match="before it was taken up"):
        other.adopt(given)


def test_transfer_to_nobody_leaves_the_hold(client: Client, other: Client) -> None:
    with client.lock("kept", wait=10) as hold:
        with pytest.raises(Refused, match="400"):
            hold.transfer("nonsense")
        with pytest.raises(Refused):
            hold.transfer("00" * 16)
        assert not hold.lost and other.try_lock("kept") is None


def test_renewal_during_a_transfer_reports_no_loss(shared: Server, other: Client) -> None:
    """The old key is worth nothing while the answer to the transfer is still on its way."""
    told: list[Hold] = []
    renewals: list[bytes] = []

    def answer(path: str, status: int, content: bytes) -> Iterator[bytes | float] | None:
        if path == "/v1/renew":
            renewals.append(content)
        late: list[bytes | float] = [4.0, wire(status, content)]
        return iter(late) if path == "/v1/transfer" else None

    with Between(shared, answer) as between, Client(between.url) as client:
        hold = client.lock("passed", wait=10, lease=6, on_lost=told.append)
        hold.transfer(other.session_id())
        assert any(b'"locked":false' in content for content in renewals), "it was renewed meanwhile"
        hold.release()
        assert not told and not hold.lost


@pytest.mark.row("deadlock")
@pytest.mark.parametrize("is_same_client", [False, True])
def test_deadlock_of_threads_is_refused_with_its_cycle(client: Client, other: Client, is_same_client: bool) -> None:
    others = client if is_same_client else other
    left, right = f"left-{is_same_client}", f"right-{is_same_client}"

    def take_both() -> None:
        with others.lock(right, wait=10), others.lock(left, wait=20):
            pass

    with client.lock(left, wait=10) as hold, concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(take_both)
        until_waiting(client, left, 1)
        with pytest.raises(WouldDeadlock, match=f"waits for '{right}'") as refused:
            client.lock(right, wait=20)
        one, two = refused.value.cycle
        assert (one.name, two.name) == (right, left)
        assert (one.held_by, two.held_by) == (two.waited_for_by, one.waited_for_by)
        assert not hold.lost
        hold.release()
        waiting.result(timeout=20)


def test_threads_of_one_client_that_only_wait_are_no_deadlock(client: Client, other: Client) -> None:
    one, two = "thread-one", "thread-two"
    held = client.lock(one, wait=10)
    with concurrent.futures.ThreadPoolExecutor() as pool, other.lock(two, wait=10):
        waiting = pool.submit(client.lock, two, wait=20)
        until_waiting(client, two, 1)
        crossing = pool.submit(other.lock, one, wait=20)
        until_waiting(client, one, 1)
        held.release()
        crossing.result(timeout=20).release()
    assert waiting.result().fencing_token > held.fencing_token


def test_free_session_goes_to_the_next_thread(client: Client) -> None:
    ids: set[str] = set()

    def use(count: int) -> None:
        with client.lock(f"each-{count}", wait=5) as hold:
            ids.add(hold._keeper.granted.session.id)

    for count in range(5):
        thread = threading.Thread(target=use, args=[count])
        thread.start()
        thread.join()
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"mode": "shared", "size": 2}, "mode goes without size"),
        ({"weight": 2}, "weight goes with size"),
        ({"name": ["a", "b"], "size": 2}, "size goes with one name"),
        ({"name": []}, "names is empty"),
        ({"lease": float("inf")}, "lease"),
    ],
)
def test_wrong_arguments_are_refused(client: Client, given: dict[str, typing.Any], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        client.lock(**{"name": "a", **given})


@pytest.mark.row("older-service")
@pytest.mark.parametrize("field", ["names", "mode", "weight"])
def test_older_service_is_named_as_such(shared: Server, field: str) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        said = {"code": 3, "message": f'the field "{field}" is not known (known here: name)', "details": []}
        return iter([wire(400, json.dumps(said).encode())]) if path == "/v1/lock" else None

    with Between(shared, answer) as between, Client(between.url) as client:
        with pytest.raises(Refused, match="the service is older than what is asked of it"):
            client.lock(["a", "b"])


def test_older_service_has_no_upgrade(shared: Server) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        said = {"code": 5, "message": f"there is nothing at {path}", "details": []}
        return iter([wire(404, json.dumps(said).encode())]) if path == "/v1/upgrade" else None

    with Between(shared, answer) as between, Client(between.url) as client, client.read_lock("a-reader") as hold:
        with pytest.raises(Refused, match="older"):
            hold.upgrade()
        assert not hold.lost


def test_own_lock_of_several_is_a_deadlock_with_oneself(
    client: Client, other: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client.lock(["outer", "beside"], wait=10) as hold, client.read_lock("read", wait=10) as read:
        monkeypatch.setenv("LATCHD_LOCK_NAME", "outer")
        monkeypatch.setenv("LATCHD_LOCK_NAMES", '["outer","beside","read"]')
        monkeypatch.setenv("LATCHD_FENCING_TOKEN", str(hold.fencing_token))
        with pytest.raises(NotAcquired, match="deadlock with oneself"):
            other.lock(["free", "beside"], wait=30)
        monkeypatch.setenv("LATCHD_FENCING_TOKEN", str(read.fencing_token))
        with pytest.raises(NotAcquired, match="deadlock with oneself"):
            other.lock("read", wait=30)
        other.read_lock("read", wait=30).release()
