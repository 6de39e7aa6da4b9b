"""What answers mean, without a server."""

from __future__ import annotations

import pytest

from latchd import asked, wire


def test_freeze_is_shown_as_far_as_it_is_told() -> None:
    for told in ({}, {"frozen": None}, {"frozen": "yes"}):
        assert wire.Freeze.of(told) is None
    until = "2026-11-30T06:00:00Z"
    frozen = {"target": "a", "match": "name", "reason": "x\x1b", "remaining_seconds": 7.5, "until": until}
    assert str(wire.Freeze.of({"frozen": frozen})) == "'a' is frozen until 2026-11-30 06:00:00 UTC: x\\x1b"
    odd = wire.Freeze.of({"frozen": {"match": "everything", "remaining_seconds": 1e300, "until": 7}})
    assert str(odd).startswith("everything is frozen until ")


def test_session_lives_as_long_as_answer_or_cookie_says() -> None:
    def idle(cookie: str, **body: object) -> float:
        headers = {"date": "Sat, 21 Nov 2026 01:41:39 GMT", "set-cookie": cookie}
        return wire.Session.of({"session_id": "0a", **body}, headers).idle_seconds

    assert idle("ldlm-session=0a; Path=/; Max-Age=9", idle_timeout_seconds=7.5) == 7.5
    assert idle("ldlm-session=0a; Path=/; Max-Age=9; Expires=Sat, 21 Nov 2026 01:48:39 GMT") == 9
    assert idle("ldlm-session=0a; Path=/; HttpOnly; Expires=Sat, 21 Nov 2026 01:48:39 GMT") == 420
    assert idle("ldlm-session=0a; Path=/") == 600
    assert idle("ldlm-session=0a; Expires=Sat, 21 Nov 2026 01:00:00 GMT") == 600
    assert idle("") == 600


def test_lease_counts_from_request_up_to_services_limit() -> None:
    assert wire.lease_end({"expires_in_seconds": 30.0}, 30, 100) == 130
    assert wire.lease_end({"expires_in_seconds": 12.5}, 30, 100) == 112.5
    assert wire.lease_end({"expires_in_seconds": 31}, 30, 100) == 130


def test_sentence_is_found_in_every_shape_of_error_body() -> None:
    assert wire.sentence({"title": "t", "detail": "no quorum"}, "") == "no quorum"
    assert wire.sentence({"code": 14, "message": "no quorum"}, "") == "no quorum"
    assert wire.sentence({"error": "session not found"}, "") == "session not found"
    assert wire.sentence(None, "<html>\n") == "<html>"
    assert wire.sentence(None, "") == "no reason given"


def test_refused_wait_gives_the_longest_wait() -> None:
    refusal = "https://a answered 400: wait_timeout_seconds must be a number of seconds from 0 to "
    assert wire.longest_wait(refusal + "1") == 1
    assert wire.longest_wait(refusal + "2.5; locks.wait_max sets it") == 2.5
    assert wire.longest_wait("lock_timeout_seconds must be a number of seconds from 0 to 1") is None


def test_holder_is_named_without_control_characters() -> None:
    def shown(metadata: dict[str, str], owner: str | None = None) -> str:
        return str(wire.Holder(7, "sessions-v1", 60.0, 30.0, owner, metadata))

    assert shown({"user": "ada", "host": "web-1", "pid": "12"}).startswith("ada@web-1 pid 12 since 20")
    assert shown({"job": "nightly"}, "scheduler").startswith("scheduler since ")
    assert "(token 7, job=nightly)" in shown({"job": "nightly"})
    assert shown({}).startswith("somebody since ")
    assert "\\x1b[2J\\u202e" in shown({"host": "\x1b[2J\u202e"})


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (asked.session, {"session_id": "0a"}, [{}, {"session_id": ""}, {"session_id": 5}]),
        (
            asked.lock(("a",)),
            {"locked": True, "name": "a", "key": "k", "fencing_token": 7},
            [
                {"locked": True, "name": "b", "key": "k", "fencing_token": 7},
                {"locked": True, "name": "a", "key": "", "fencing_token": 7},
                {"locked": True, "name": "a", "key": "k"},
                {"locked": True, "name": "a", "key": "k", "fencing_token": "7"},
                {"locked": False, "name": "b"},
                {"locked": "no", "name": "a"},
                {"name": "a"},
                {},
            ],
        ),
        (
            asked.lock(("a", "b")),
            {"locked": True, "name": "a", "names": ["a", "b"], "key": "k", "fencing_token": 7},
            [
                {"locked": True, "name": "a", "key": "k", "fencing_token": 7},
                {"locked": True, "name": "a", "names": ["a"], "key": "k", "fencing_token": 7},
                {"locked": False, "name": "b"},
            ],
        ),
        (
            asked.transfer("a"),
            {"transferred": True, "name": "a", "key": "k", "fencing_token": 7},
            [{"name": "b", "key": "k", "fencing_token": 7}, {"name": "a", "key": "k"}, {"name": "a"}],
        ),
        (
            asked.renewal("a", "k"),
            {"locked": True, "name": "a", "key": "k"},
            [{"locked": True, "name": "a", "key": "l"}, {"locked": False, "name": "b"}, {"name": "a", "key": "k"}],
        ),
        (asked.release("a"), {"unlocked": True, "name": "a"}, [{"unlocked": True, "name": "b"}, {"name": "a"}]),
        (
            asked.listing("a"),
            {"locks": [{"name": "a"}]},
            [{}, {"locks": {}}, {"locks": [{"name": "b"}]}, {"locks": [{"name": "a"}, {"name": "b"}]}, {"locks": [1]}],
        ),
    ],
)
def test_answer_to_another_request_is_refused(
    check: asked.Check, right: wire.Json, wrong: list[wire.Json]
) -> None:
    assert check(right) is None
    for body in wrong:
        assert check(body) is not None, body
