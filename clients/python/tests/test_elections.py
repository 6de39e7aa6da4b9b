"""Campaigning, leading, resigning, and who leads."""

from __future__ import annotations

import concurrent.futures
import json
import threading
import time
from collections.abc import Iterator

import pytest
from servers import Between, Server, wire
from test_locks import until_waiting

from latchd import Client, Leader, LockLost, NotAcquired, Refused, WouldDeadlock, wire as answers
from latchd.election import _leader


@pytest.mark.row("election")
@pytest.mark.row("election-value")
def test_leader_is_known_until_it_resigns(client: Client, other: Client) -> None:
    assert other.leader("primary") is None
    with client.elect("primary", "web-1:80", wait=10) as lead:
        assert not lead.lost and lead.value == "web-1:80" and 8 < lead.remaining <= 10
        found = other.leader("primary")
        assert found and (found.value, found.fencing_token) == ("web-1:80", lead.fencing_token)
        assert 0 < found.reliable_for_seconds <= 1
        lead.set_value("web-1:81")
        changed = other.leader("primary")
        assert changed and (changed.value, changed.fencing_token) == ("web-1:81", lead.fencing_token)
        with pytest.raises(NotAcquired, match="held by") as refused:
            other.elect("primary", "web-2", wait=0)
        assert [holder.fencing_token for holder in refused.value.holders] == [lead.fencing_token]
    assert other.leader("primary") is None
    lead.release()
    with pytest.raises(RuntimeError, match="released"):
        lead.set_value("late")


@pytest.mark.row("election")
@pytest.mark.parametrize("name", [".", "a/b", "a?b#c&name=d", "ä\u2028"])
def test_election_of_any_name_is_won_by_the_next_candidate(client: Client, other: Client, name: str) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        lead = client.elect(name, "one", lease=4)
        waiting = pool.submit(other.elect, name, "two", wait=20)
        until_waiting(client, name, 1)
        assert not lead.wait_lost(5.5), "it is renewed"
        lead.release()
        with waiting.result(timeout=20) as following:
            found = client.leader(name)
            assert found and (found.value, found.fencing_token) == ("two", following.fencing_token)
            assert following.fencing_token > lead.fencing_token


def test_nobody_else_is_elected_while_an_answer_is_reliable(client: Client, other: Client) -> None:
    lead = client.elect("reliable", "one", wait=10)
    found = other.leader("reliable")
    assert found
    lead.release()
    with other.elect("reliable", "two", wait=20):
        assert found.reliable_for_seconds == 0
        assert other.leader("reliable") != found


@pytest.mark.row("election-lost")
def test_leader_that_is_ended_is_lost(server: Server) -> None:
    told = threading.Event()
    with Client(server.url) as client, Client(server.url) as other:
        lead = client.elect("forced", "one", lease=4, on_lost=lambda hold: told.set())
        other.session_id()
        client._blocking.run(client._service.unlock(lead._keeper.granted, time.monotonic() + 60))
        with pytest.raises(LockLost, match="the service says that it has ended"):
            lead.set_value("two")
        assert lead.lost and told.wait(5)


def test_ended_session_of_a_candidate_is_reopened(server: Server) -> None:
    with Client(server.url) as client, Client(server.url) as stranger:
        stranger._service.sessions.add(client._blocking.run(client._service.open()))
        stranger.close()
        with client.elect("reopened", "one", wait=10) as lead:
            assert not lead.lost


def test_longest_wait_of_the_service_is_outlasted() -> None:
    server = Server(environment={"LATCHD_LOCKS_WAIT_MAX": "300ms"})
    try:
        with Client(server.url) as client, Client(server.url) as other:
            lead = client.elect("long", "one")
            threading.Timer(1.0, lead.release).start()
            other.elect("long", "two").release()
    finally:
        server.end()


def test_deadlock_of_a_candidate_is_refused(client: Client, other: Client) -> None:
    def lead_and_wait() -> None:
        with other.elect("dead", "two", wait=10), other.lock("end", wait=20):
            pass

    with concurrent.futures.ThreadPoolExecutor() as pool, client.lock("end", wait=10):
        waiting = pool.submit(lead_and_wait)
        until_waiting(client, "end", 1)
        with pytest.raises(WouldDeadlock):
            client.elect("dead", "one", wait=20)
    waiting.result(timeout=20)


def test_service_without_elections_is_named_as_older(shared: Server) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        problem = {"type": "/docs/errors#not-found", "code": "not-found", "detail": "there is nothing at /v1/elections"}
        document = json.dumps(problem).encode()
        return iter([wire(404, document, "application/problem+json")]) if "elections" in path else None

    with Between(shared, answer) as between, Client(between.url) as client:
        with pytest.raises(Refused, match="the service is older than what is asked of it"):
            client.elect("primary", "one")
        with pytest.raises(Refused, match="older"):
            client.leader("primary")


def test_wrong_values_are_refused(client: Client) -> None:
    with pytest.raises(Refused, match="value must have 1 to"):
        client.elect("primary", "")
    with pytest.raises(ValueError, match="lease"):
        client.elect("primary", "one", lease=0)


def test_answer_that_names_no_leader_is_refused() -> None:
    right: answers.Json = {"value": "v", "fencing_token": 7, "reliable_for_seconds": 1}
    assert _leader(right) is None
    for field, wrong in [("value", 7), ("fencing_token", "7"), ("fencing_token", True), ("reliable_for_seconds", None)]:
        assert _leader({**right, field: wrong}) is not None
    assert repr(Leader("v", 7, 0.0)) == "Leader(value='v', fencing_token=7)"
