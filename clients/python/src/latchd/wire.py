"""Sessions v1 and the listing of locks as JSON; nothing here sends anything."""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import re
import typing
from collections.abc import Mapping

from . import clock

Json = typing.Mapping[str, typing.Any]

#: The name of the session cookie.
COOKIE = "ldlm-session"

#: The error code of a wait that ended without the lock.
WAIT_TIMEOUT = "LockWaitTimeout"

#: That of a wait that could not end.
WOULD_DEADLOCK = "WouldDeadlock"

#: How long a session lives without a request where the service does not say so: its default.
_IDLE_SECONDS = 600.0


@dataclasses.dataclass(frozen=True)
class Holder:
    """A hold, as others may see it."""

    fencing_token: int
    dialect: str
    held_for_seconds: float
    #: None without a lease.
    remaining_seconds: float | None
    owner: str | None
    metadata: Mapping[str, str]

    @classmethod
    def of(cls, found: Json) -> Holder:
        return cls(
            fencing_token=int(found["fencing_token"]),
            dialect=str(found["dialect"]),
            held_for_seconds=float(found["held_for_seconds"]),
            remaining_seconds=_optional_seconds(found.get("remaining_seconds")),
            owner=found.get("owner"),
            metadata=dict(found.get("metadata") or {}),
        )

    def __str__(self) -> str:
        rest = dict(self.metadata)
        user, host, pid = (rest.pop(key, "") for key in ("user", "host", "pid"))
        who = "@".join(part for part in (user, host) if part)
        who = " ".join(part for part in (who, f"pid {pid}" if pid else "", self.owner or "") if part)
        more = "".join(f", {key}={value}" for key, value in rest.items())
        since = clock.wall_time_before(self.held_for_seconds)
        return printable(f"{who or 'somebody'} since {since} (token {self.fencing_token}{more})")


@dataclasses.dataclass(frozen=True)
class Freeze:
    """An operator has frozen names: nothing new is granted under them until its end."""

    #: The name that is frozen, or what all frozen names start with; empty where everything is.
    target: str
    #: `name`, `prefix` or `everything`.
    match: str
    #: The operator's.
    reason: str
    #: For how long it went on when the service answered, unless an operator ends it sooner.
    remaining_seconds: float
    #: The same by the clock of the service.
    until: datetime.datetime

    @classmethod
    def of(cls, body: Json) -> Freeze | None:
        """That of an answer; None where nothing is frozen."""
        found = body.get("frozen")
        if not isinstance(found, dict):
            return None
        remaining = _optional_seconds(found.get("remaining_seconds")) or 0.0
        target, match, reason = (str(found.get(field, "")) for field in ("target", "match", "reason"))
        return cls(target, match, reason, remaining, _moment(found.get("until"), remaining))

    def __str__(self) -> str:
        what = {"everything": "everything is", "prefix": f"all names that start with {self.target!r} are"}
        until = self.until.strftime("%Y-%m-%d %H:%M:%S UTC")
        return printable(f"{what.get(self.match, f'{self.target!r} is')} frozen until {until}: {self.reason}")


@dataclasses.dataclass(frozen=True)
class LockInfo:
    """A lock and those who hold it."""

    name: str
    size: int
    #: How many wait for it.
    queue_length: int
    #: Oldest first.
    holders: list[Holder]
    #: `exclusive`, `shared` or `counted`; empty from services that do not know it.
    mode: str = ""
    #: What keeps it from being granted; None: nothing does.
    frozen: Freeze | None = None
    #: For how long nobody is granted it because of how its last hold ended; None without such a delay.
    delayed_for_seconds: float | None = None

    @classmethod
    def of(cls, found: Json) -> LockInfo:
        return cls(
            str(found["name"]),
            int(found["size"]),
            int(found["queue_length"]),
            [Holder.of(holder) for holder in found["holders"]],
            str(found.get("mode", "")),
            Freeze.of(found),
            _optional_seconds(found.get("delayed_for_seconds")),
        )


@dataclasses.dataclass(frozen=True)
class BlockedBy:
    """One step of a deadlock: who waits for whom. Whoever is waited for waits in the next step, and in the last one for
    the first."""

    #: The lock; None where this credential may not see it.
    name: str | None
    #: Who holds it or is ahead in its queue: the handle of a session, or an owner label.
    held_by: str
    waited_for_by: str

    def __str__(self) -> str:
        name = "another lock" if self.name is None else repr(self.name)
        return printable(f"{self.waited_for_by} waits for {name}, which {self.held_by} has")


@dataclasses.dataclass(frozen=True)
class Session:
    """A session that was opened."""

    #: A secret of its owner.
    id: str
    #: How long it lives without a request.
    idle_seconds: float

    def __repr__(self) -> str:
        return "Session(...)"

    @classmethod
    def of(cls, body: Json, headers: Mapping[str, str]) -> Session:
        told = _optional_seconds(body.get("idle_timeout_seconds"))
        return cls(str(body["session_id"]), told if told else _cookie_seconds(headers))


@dataclasses.dataclass(frozen=True)
class Granted:
    """A hold as the service gave it."""

    #: The only one, or all of them.
    names: tuple[str, ...]
    key: str = dataclasses.field(repr=False)
    fencing_token: int
    #: As it was asked for, in seconds.
    lease: float
    #: When the answered request had not been sent yet.
    sent: float
    #: Until when it is certain.
    until: float
    session: Session
    #: Whether it is known to be shared.
    is_shared: bool = False

    @property
    def name(self) -> str:
        """The only one, or the first."""
        return self.names[0]

    @property
    def longest(self) -> float:
        """For how long it is certain after a request: the end of its session would end it too."""
        return min(self.lease, self.session.idle_seconds)


def lease_end(answer: Json, lease: float, sent: float) -> float:
    """Until when a hold is certain, by the clock of whoever sent the answered request at that moment.

    It is less than the lease where the service tells of a hold that it has given before. A request keeps its session
    for as long as that may be idle; so `lease` is to be no longer.
    """
    left = _optional_seconds(answer.get("expires_in_seconds"))
    return sent + (lease if left is None else min(lease, left))


def _cookie_seconds(headers: Mapping[str, str]) -> float:
    """How long a session lives without a request, from its cookie: older services do not say it in the body."""
    attributes = dict(part.strip().lower().partition("=")[::2] for part in headers.get("set-cookie", "").split(";"))
    if attributes.get("max-age", "").isdigit():
        return float(attributes["max-age"]) or _IDLE_SECONDS
    try:
        ends = email.utils.parsedate_to_datetime(attributes["expires"])
        seconds = (ends - email.utils.parsedate_to_datetime(headers["date"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return _IDLE_SECONDS
    return seconds if seconds > 0 else _IDLE_SECONDS


def sentence(body: Json | None, text: str) -> str:
    """The sentence in an error body, in whichever shape it came; else its beginning."""
    for field in ("detail", "message", "error"):
        if body is not None and isinstance(body.get(field), str):
            return printable(str(body[field]))
    return printable(text.strip()[:300]) or "no reason given"


def deadlock(body: Json) -> list[BlockedBy] | None:
    """The deadlock that an answer refuses."""
    error = body.get("error")
    if not isinstance(error, dict) or error.get("code") != WOULD_DEADLOCK:
        return None
    return [
        BlockedBy(step.get("name"), str(step["held_by"]), str(step["waited_for_by"])) for step in body.get("cycle", [])
    ]


def is_of_older_service(said: str) -> bool:
    """Whether these are the words of a service that is older than what was asked of it."""
    fields = r'the field "(names|mode|weight|lock_delay_seconds)" is not known'
    return re.search(fields + "|there is nothing at \\S*/v1/(upgrade|downgrade|transfer|elections)", said) is not None


def longest_wait(refusal: str) -> float | None:
    """The longest wait that the service takes, where it refused a longer one."""
    found = re.search(r"wait_timeout_seconds must be a number of seconds from 0 to ([0-9]+(?:[.][0-9]+)?)", refusal)
    return float(found[1]) if found else None


def printable(text: str) -> str:
    """The same without what moves the cursor of a terminal or turns the direction of writing."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _moment(told: object, remaining: float) -> datetime.datetime:
    """A moment as the service tells it, or that which is so many seconds from now."""
    try:
        found = datetime.datetime.fromisoformat(str(told).replace("Z", "+00:00"))
        return found.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):
        return clock.wall_time_after(remaining)


def _optional_seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
