"""Only what the service says of what was asked is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from servers import Between, Server, wire

from latchd import Client, LockLost, Refused, Unreachable, clock

PAGE = b"<html>nothing here</html>"
NAMES = [".", "..", "a/../b", "-x", "--", "a/b", "a%2Fb", "a?b", "a#b", "a&name=b", "a+b", " ", "ä\u2028", "'\"\\"]


@pytest.mark.parametrize("name", NAMES)
def test_lock_of_any_name_is_acquired_and_released(client: Client, other: Client, name: str) -> None:
    with client.lock(name, wait=10, lease=4) as hold:
        shown = other.show(name)
        assert shown and shown.name == name
        assert [holder.fencing_token for holder in shown.holders] == [hold.fencing_token]
        assert other.try_lock(name) is None
    assert other.show(name) is None


@pytest.mark.row("foreign-answer")
@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (404, PAGE, "text/html"),
        (404, b'{"error": "no such route"}', "application/json"),
        (404, b'{"type": "about:blank", "code": "no-such-lock"}', "application/problem+json"),
        (410, PAGE, "text/html"),
        (200, PAGE, "text/html"),
    ],
)
def test_foreign_page_is_no_free_lock(shared: Server, status: int, content: bytes, kind: str) -> None:
    with Between(shared, lambda *_: iter([wire(status, content, kind)])) as between:
        with Client(between.url) as client:
            with pytest.raises(Refused, match=f"answered {status}"):
                client.show("held")
            with pytest.raises(Refused, match=f"answered {status}"):
                client.lock("held", wait=0)


def test_wrong_url_prefix_is_reported(shared: Server) -> None:
    with Client(shared.url + "/somewhere") as client:
        with pytest.raises(Refused, match="answered 404"):
            client.show("anything")
        with pytest.raises(Refused, match="answered 404"):
            client.try_lock("anything")


def test_grant_of_another_lock_is_refused(shared: Server, other: Client) -> None:
    mixed_up: list[str] = []

    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        if path == "/v1/lock" and len(mixed_up) < 2:
            mixed_up.append(path)
            return iter([wire(200, content.replace(b'"name":"mine"', b'"name":"theirs"'))])
        return None

    with Between(shared, answer) as between, Client(between.url) as client:
        with client.lock("mine", wait=5) as hold:
            assert len(mixed_up) == 2 and hold.name == "mine"
            shown = other.show("mine")
            assert shown and shown.holders[0].fencing_token == hold.fencing_token


def test_service_with_only_wrong_answers_is_unreachable(shared: Server) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        return iter([wire(200, b'{"locked": true, "name": "theirs", "key": "k", "fencing_token": 1}')])

    with Between(shared, answer) as between:
        with pytest.raises(Unreachable, match="something else"):
            Client(between.url, patience=0.2).lock("mine")
        with pytest.raises(Unreachable, match="something else"):
            Client(between.url, patience=0.2).show("mine")


@pytest.mark.parametrize(
    "said",
    [
        {"locked": False, "name": "theirs", "key": ""},
        {"locked": True, "name": "renewed", "key": "theirs", "expires_in_seconds": 600},
        {"name": "renewed"},
        {},
    ],
)
def test_renewal_of_another_hold_is_refused(shared: Server, said: dict[str, object]) -> None:
    def answer(path: str, status: int, content: bytes) -> Iterator[bytes] | None:
        return iter([wire(200, json.dumps(said).encode())]) if path == "/v1/renew" else None

    with Between(shared, answer) as between, Client(between.url) as client:
        with pytest.raises(LockLost, match="could not be renewed"):
            with client.lock("renewed", lease=6) as hold:
                ends = hold._keeper.until
                assert not hold.wait_lost(1.5), "it is ours until its lease ends"
                assert hold.wait_lost(60) and clock.now() < ends + 20
                assert hold._keeper.until == ends


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (401, b"<html>your session with this proxy has ended</html>", "text/html"),
        (401, b'{"error": "no session"}', "application/json"),
        (410, PAGE, "text/html"),
        (404, PAGE, "text/html"),
    ],
)
def test_brief_refusals_of_a_proxy_lose_no_hold(
    shared: Server, status: int, content: bytes, kind: str
) -> None:
    refused: list[str] = []

    def answer(path: str, _: int, __: bytes) -> Iterator[bytes] | None:
        if path == "/v1/renew" and len(refused) < 2:
            refused.append(path)
            return iter([wire(status, content, kind)])
        return None

    with Between(shared, answer) as between, Client(between.url) as client:
        with client.lock("refused", lease=9) as hold:
            first = hold._keeper.until
            while hold._keeper.until == first:
                assert not hold.wait_lost(0.01)
            assert len(refused) == 2
