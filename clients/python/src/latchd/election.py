"""Elections: who leads, and how one campaigns and leads."""

from __future__ import annotations

import dataclasses
import typing

from . import asked, clock
from .base_hold import BaseHold
from .errors import HoldGone, Refused
from .nodes import Call, Patience
from .service import Service
from .steps import Steps
from .wanted import Wanted
from .wire import Json

_NOBODY = "no-elected-leader"


@dataclasses.dataclass(frozen=True)
class Leader:
    """Who leads."""

    #: What the leader says about itself.
    value: str
    #: Higher than that of every leader before.
    fencing_token: int
    #: Until when nobody else is elected, by this process's clock.
    until: float = dataclasses.field(repr=False)

    @property
    def reliable_for_seconds(self) -> float:
        """For how many seconds from now on nobody else is elected."""
        return clock.left(self.until)


def look_up(service: Service, name: str, patience: Patience) -> Steps[Leader | None]:
    call = Call("GET", "/v1/elections", check=_leader, query=(("name", name),))
    try:
        answer = yield from service.nodes.send(call, patience)
    except Refused as error:
        if error.status == 404 and error.code == _NOBODY:
            return None
        raise
    found = answer.body
    until = answer.sent + float(found["reliable_for_seconds"])
    return Leader(str(found["value"]), int(found["fencing_token"]), until)


def campaign(name: str, value: str, lease: float) -> Wanted:
    """What a candidate asks for."""
    wanted = Wanted.of(name, lease=lease, size=None, mode=None, weight=None, lock_delay=None)
    body = {"value": value, "lease_seconds": lease}
    return dataclasses.replace(wanted, body=body, path="/v1/elections", query=(("name", name),))


def set_value(hold: BaseHold, value: str) -> Steps[None]:
    """A leader says something else from now on."""
    with hold._changing() as keeper:
        granted = keeper.granted
        body = {"key": granted.key, "value": value}
        query = (("name", granted.name),)
        call = Call("PUT", "/v1/elections", body, granted.session.id, check=asked.elected(granted.name), query=query)
        try:
            yield from keeper.service.nodes.send(call, keeper.service.usual())
        except Refused as error:
            if error.status == 404 and error.code in ("no-such-lock", "wrong-key"):
                raise HoldGone(str(error), error.status) from error
            raise


def _leader(body: Json) -> str | None:
    token: typing.Any = body.get("fencing_token")
    named = isinstance(body.get("value"), str) and isinstance(token, int) and not isinstance(token, bool)
    return None if named and isinstance(body.get("reliable_for_seconds"), (int, float)) else "it names no leader"
