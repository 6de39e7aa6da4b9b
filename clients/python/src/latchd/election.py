"""Elections: who leads, and a hold whose owner does."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable

from . import asked, clock
from .errors import HoldGone, Refused
from .hold import Hold
from .service import Service
from .transport import Call, Patience
from .wanted import Wanted
from .wire import Granted, Json

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


def look_up(service: Service, name: str, patience: Patience) -> Leader | None:
    call = Call("GET", "/v1/elections", check=_leader, query=(("name", name),))
    try:
        answer = service.transport.send(call, patience)
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


class Leadership(Hold):
    """The lead in an election, until this process resigns, or it is lost. It is a `Hold`: `lost`, `check`, `wait_lost`,
    `remaining` and `on_lost` are those of locks, and `release` resigns, as the end of the block does."""

    def __init__(
        self, service: Service, granted: Granted, on_lost: Callable[[Hold], object] | None, value: str
    ) -> None:
        super().__init__(service, granted, on_lost)
        #: What it says about itself.
        self.value = value

    def set_value(self, value: str) -> None:
        """Says something else from now on; the token stays. Raises `LockLost` if the lead is lost."""
        with self._changing() as keeper:
            hold = keeper.granted
            body = {"key": hold.key, "value": value}
            query = (("name", hold.name),)
            call = Call("PUT", "/v1/elections", body, hold.session.id, check=asked.elected(hold.name), query=query)
            try:
                keeper.service.transport.send(call, keeper.service.usual())
            except Refused as error:
                if error.status == 404 and error.code in ("no-such-lock", "wrong-key"):
                    raise HoldGone(str(error), error.status) from error
                raise
            self.value = value


def _leader(body: Json) -> str | None:
    token: typing.Any = body.get("fencing_token")
    named = isinstance(body.get("value"), str) and isinstance(token, int) and not isinstance(token, bool)
    return None if named and isinstance(body.get("reliable_for_seconds"), (int, float)) else "it names no leader"
