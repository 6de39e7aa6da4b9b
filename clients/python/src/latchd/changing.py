"""Changes a hold that goes on: its mode, or its session."""

from __future__ import annotations

import dataclasses
import typing

from . import asked, clock
from .acquiring import SLICE_SECONDS, Wait
from .errors import CutShort, Refused
from .nodes import Answer, Call
from .service import Service
from .steps import Steps
from .wire import WAIT_TIMEOUT, BlockedBy, Freeze, Granted, deadlock, longest_wait


@dataclasses.dataclass(frozen=True)
class Transferred:
    """A hold that another session has now; `Client.adopt` takes it up there. Session and key are secrets."""

    names: tuple[str, ...]
    #: The session that has it.
    session: str = dataclasses.field(repr=False)
    key: str = dataclasses.field(repr=False)
    fencing_token: int
    #: Until it ends if the other side does not renew it.
    expires_in_seconds: float | None


def downgrade(service: Service, hold: Granted) -> Steps[Granted]:
    """The hold, shared from now on."""
    call = _call(hold, "/v1/downgrade", {}, asked.lock(hold.names[:1]))
    answer = yield from service.nodes.send(call, service.usual())
    return _changed(hold, answer, is_shared=True)


def upgrade(service: Service, hold: Granted, wait: Wait) -> Steps[Granted | Freeze | list[BlockedBy] | None]:
    """The hold, exclusive from now on; None: others still shared it at the end of the wait; a freeze: it was frozen then. A
    list: the deadlock that the wait would have been."""
    while True:
        seconds = min(clock.left(wait.over), service.longest_wait)
        body = {"wait_timeout_seconds": max(0.001, round(seconds, 3))} if seconds > 0 else {}
        call = _call(hold, "/v1/upgrade", body, asked.lock(hold.names[:1]))
        patience = wait.patience(service, SLICE_SECONDS if body else None)
        try:
            answer = yield from service.nodes.send(call, patience)
        except CutShort:
            # The next attempt takes the place of this one.
            if not body or clock.left(wait.ends) == 0:
                raise
            continue
        except Refused as refused:
            # The service may be set to a shorter one.
            longest = longest_wait(str(refused)) if refused.status == 400 else None
            if longest is None or not 0 < longest < seconds:
                raise
            service.longest_wait = longest
            continue
        if answer.body["locked"]:
            return _changed(hold, answer, is_shared=False)
        if (cycle := deadlock(answer.body)) is not None:
            return cycle
        error = answer.body.get("error")
        if isinstance(error, dict) and error.get("code") != WAIT_TIMEOUT:
            raise Refused(f"{hold.name!r}: {error.get('message')}", 200, str(error.get("code")))
        if clock.left(wait.over) == 0:
            return Freeze.of(answer.body)


def transfer(service: Service, hold: Granted, session: str) -> Steps[Transferred]:
    call = _call(hold, "/v1/transfer", {"to_session": session}, asked.transfer(hold.name))
    answer = yield from service.nodes.send(call, service.usual())
    told = answer.body
    left = told.get("expires_in_seconds")
    return Transferred(hold.names, session, str(told["key"]), int(told["fencing_token"]), left)


def _call(hold: Granted, path: str, more: dict[str, typing.Any], check: asked.Check) -> Call:
    return Call("POST", path, {"name": hold.name, "key": hold.key, **more}, hold.session.id, check=check)


def _changed(hold: Granted, answer: Answer, *, is_shared: bool) -> Granted:
    """The key stays, the token is a new one."""
    return dataclasses.replace(hold, fencing_token=int(answer.body["fencing_token"]), is_shared=is_shared)
