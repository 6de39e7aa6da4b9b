"""Checks that an answer belongs to its request. A proxy may mix up answers or make its own, and another server may
answer."""

from __future__ import annotations

import typing

from .wire import Json

#: The error in an answer; None: it is correct.
Check = typing.Callable[[Json], typing.Optional[str]]


def session(body: Json) -> str | None:
    return None if _is_text(body.get("session_id")) else "it names no session"


def lock(names: tuple[str, ...]) -> Check:
    def wrong(body: Json) -> str | None:
        if body.get("locked") is True and not (_is_text(body.get("key")) and _is_token(body.get("fencing_token"))):
            return "it has no key and fencing token"
        if body.get("locked") is True and len(names) > 1 and body.get("names") != list(names):
            # A service may ignore what it does not know.
            return "it does not name all the locks"
        return _flag(body, "locked") or _name(body, names[0])

    return wrong


def renewal(name: str, key: str) -> Check:
    def wrong(body: Json) -> str | None:
        if body.get("locked") is True and body.get("key") != key:
            return "it is about another hold"
        return _flag(body, "locked") or _name(body, name)

    return wrong


def elected(name: str) -> Check:
    """Of a campaign or a leader's request."""

    def wrong(body: Json) -> str | None:
        if body.get("elected") is True and not (_is_text(body.get("key")) and _is_token(body.get("fencing_token"))):
            return "it has no key and fencing token"
        return _flag(body, "elected") or _name(body, name)

    return wrong


def transfer(name: str) -> Check:
    def wrong(body: Json) -> str | None:
        if not (_is_text(body.get("key")) and _is_token(body.get("fencing_token"))):
            return "it has no key and fencing token"
        return _name(body, name)

    return wrong


def release(name: str) -> Check:
    return lambda body: _flag(body, "unlocked") or _name(body, name)


def listing(name: str) -> Check:
    """The answer is about that lock, or about none."""

    def wrong(body: Json) -> str | None:
        locks = body.get("locks")
        if not isinstance(locks, list) or len(locks) > 1:
            return f"it is no list of {name!r} alone"
        return _name(locks[0], name) if locks else None

    return wrong


def _name(body: Json, name: str) -> str | None:
    if not isinstance(body, dict):
        return "it is no object"
    return None if body.get("name") == name else f"it is about {body.get('name')!r}, not {name!r}"


def _flag(body: Json, field: str) -> str | None:
    return None if isinstance(body.get(field), bool) else f"it does not say whether {field}"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
