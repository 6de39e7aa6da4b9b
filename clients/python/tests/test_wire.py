"""What answers mean, without a server."""

from __future__ import annotations

from latchd import wire


def test_a_session_lives_from_the_date_of_its_answer_to_the_expiry_of_its_cookie() -> None:
    def idle(cookie: str) -> float:
        return wire.idle_seconds({"date": "Sat, 21 Nov 2026 01:41:39 GMT", "set-cookie": cookie})

    assert idle("ldlm-session=0a; Path=/; HttpOnly; Expires=Sat, 21 Nov 2026 01:48:39 GMT") == 420
    assert idle("ldlm-session=0a; Path=/") == 600
    assert idle("ldlm-session=0a; Expires=Sat, 21 Nov 2026 01:00:00 GMT") == 600
    assert wire.idle_seconds({}) == 600


def test_a_lease_counts_from_before_the_request_and_is_no_longer_than_the_service_says() -> None:
    assert wire.lease_end({"expires_in_seconds": 30.0}, 30, 100) == 130
    assert wire.lease_end({"expires_in_seconds": 12.5}, 30, 100) == 112.5
    assert wire.lease_end({"expires_in_seconds": 31}, 30, 100) == 130


def test_the_sentence_is_found_in_every_shape_of_error_body() -> None:
    assert wire.sentence({"title": "t", "detail": "no quorum"}, "") == "no quorum"
    assert wire.sentence({"code": 14, "message": "no quorum"}, "") == "no quorum"
    assert wire.sentence({"error": "session not found"}, "") == "session not found"
    assert wire.sentence(None, "<html>\n") == "<html>"
    assert wire.sentence(None, "") == "no reason given"
