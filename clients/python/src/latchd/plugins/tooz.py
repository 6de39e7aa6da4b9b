"""A driver for tooz: `latchd://host:port`, over HTTPS, or `latchd+http://host:port`.

It has locks, shared ones too, and elections. A group exists for its elections only: it is not created, joined or listed.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import typing
import urllib.parse
from collections.abc import Iterator

import tooz
from tooz import coordination, locking

from ..client import Client
from ..errors import LatchdError, LockLost, NotAcquired, Unreachable
from ..forcing import force_release
from ..hold import Hold
from ..leadership import Leadership

log = logging.getLogger("latchd")

#: How long `start` looks for the service.
_START_SECONDS = 1.0
_LEASE_SECONDS = 30.0
#: The options of a URL that are numbers of seconds, with their usual values.
_SECONDS = {"lease": _LEASE_SECONDS, "timeout": 10.0, "patience": 10.0}
#: The others. `nodes` are further `host:port`s, with commas between them.
_TEXTS = ("verify", "cert", "api_key", "password", "nodes", "prefix")


class LatchdLock(locking.Lock):
    """Threads may share it: each `acquire` that succeeds is a hold, and a `release` ends the last of them."""

    def __init__(self, driver: LatchdDriver, name: bytes) -> None:
        super().__init__(name)
        self._driver = driver
        self._named = driver.named(name)
        self._guard = threading.Lock()
        self._holds: list[Hold] = []

    def acquire(
        self, blocking: bool | float = True, shared: bool = False, timeout: float | None = None
    ) -> bool:
        """Waits as long as it takes, not at all without `blocking`, or for as many seconds as `blocking` or `timeout` is."""
        wait: float | None = timeout
        if blocking is False:
            wait = 0
        elif blocking is not True:
            wait = float(blocking)
        with _translated():
            try:
                hold = self._driver.client.lock(
                    self._named, wait=wait, lease=self._driver.lease, mode="shared" if shared else "exclusive"
                )
            except NotAcquired:
                return False
        with self._guard:
            self._holds.append(hold)
        return True

    def release(self) -> bool:
        """Whether it was held until now: not where it was lost."""
        with self._guard:
            if not self._holds:
                return False
            hold = self._holds.pop()
        with _translated():
            try:
                hold.release()
            except LockLost:
                return False
        return True

    def is_still_owner(self) -> bool:
        with self._guard:
            return bool(self._holds) and not self._holds[-1].lost

    @property
    def acquired(self) -> bool:
        return self.is_still_owner()

    @property
    def fencing_token(self) -> int:
        """Of the last hold, for the resource that the lock protects."""
        with self._guard:
            if not self._holds:
                raise tooz.ToozError(f"{self._named!r} is not held")
            return self._holds[-1].fencing_token

    def break_(self) -> bool:
        """Ends the holds of whoever has the lock, which needs the admin role."""
        return self._driver.force_release(self._named) > 0


class LatchdDriver(coordination.CoordinationDriver):
    """Locks are renewed by themselves; `heartbeat` is not needed."""

    CHARACTERISTICS = (
        coordination.Characteristics.DISTRIBUTED_ACROSS_THREADS,
        coordination.Characteristics.DISTRIBUTED_ACROSS_PROCESSES,
        coordination.Characteristics.DISTRIBUTED_ACROSS_HOSTS,
        coordination.Characteristics.LINEARIZABLE,
        coordination.Characteristics.SERIALIZABLE,
        coordination.Characteristics.SAME_VIEW_UNDER_PARTITIONS,
        coordination.Characteristics.SAME_VIEW_ACROSS_CLIENTS,
    )

    def __init__(self, member_id: bytes, parsed_url: typing.Any, options: dict[str, typing.Any]) -> None:
        super().__init__(member_id, parsed_url, options)
        given = {name: values[-1] if isinstance(values, list) else values for name, values in options.items()}
        if unknown := sorted(set(given) - set(_SECONDS) - set(_TEXTS)):
            known = ", ".join(sorted({*_SECONDS, *_TEXTS}))
            raise tooz.ToozError(f"{unknown[0]!r} is no option of latchd (known: {known})")
        seconds = {name: _number(name, given.get(name, usual)) for name, usual in _SECONDS.items()}
        self.lease = seconds.pop("lease")
        self._prefix = str(given.get("prefix", ""))
        self._client: Client | None = None
        credential, _, places = parsed_url.netloc.rpartition("@")
        scheme = "http" if parsed_url.scheme == "latchd+http" else "https"
        hosts = [*places.split(","), *str(given.get("nodes", "")).split(",")]
        self._urls = [f"{scheme}://{host.strip()}" for host in hosts if host.strip()]
        self._settings: dict[str, typing.Any] = {**seconds, "verify": _verify(given.get("verify", True))}
        for name in ("cert", "api_key", "password"):
            if name in given:
                self._settings[name] = given[name]
        if credential:
            self._settings["password"] = urllib.parse.unquote(credential.partition(":")[2])
        self._leads: dict[bytes, Leadership] = {}

    @property
    def client(self) -> Client:
        if self._client is None:
            raise tooz.ToozError("the coordinator is not started")
        return self._client

    def named(self, name: bytes) -> str:
        """As the service knows it, which has names of text."""
        try:
            return self._prefix + (name.decode() if isinstance(name, bytes) else name)
        except UnicodeDecodeError:
            raise tooz.ToozError(f"{name!r} is no UTF-8: names of latchd are text") from None

    def get_lock(self, name: bytes) -> LatchdLock:
        return LatchdLock(self, name)

    def force_release(self, name: str) -> int:
        with _translated():
            client = self.client
            return client._blocking.run(force_release(client._service, name, "broken by a lock of tooz"))

    def watch_join_group(self, group_id: bytes, callback: coordination.EventCallback[typing.Any]) -> None:
        raise tooz.NotImplemented("latchd has no groups")

    def watch_leave_group(self, group_id: bytes, callback: coordination.EventCallback[typing.Any]) -> None:
        raise tooz.NotImplemented("latchd has no groups")

    def run_watchers(self, timeout: float | None = None) -> list[typing.Any]:
        return self._elect()

    def run_elect_coordinator(self) -> None:
        self._elect()

    def get_leader(self, group_id: bytes) -> coordination.CoordAsyncResult[typing.Any]:
        """The member id of the leader; None if nobody leads."""
        with _translated():
            found = self.client.leader(self._election(group_id))
        return _Done(None if found is None else found.value.encode())

    def stand_down_group_leader(self, group_id: bytes) -> bool:
        lead = self._leads.pop(group_id, None)
        if lead is None:
            return False
        with _translated(), contextlib.suppress(LockLost):
            lead.release()
        return True

    def _start(self) -> None:
        with _translated(), Client(self._urls, **{**self._settings, "patience": _START_SECONDS}) as probe:
            probe.show("tooz")
        self._client = Client(self._urls, **self._settings)

    def _stop(self) -> None:
        self._leads.clear()
        client, self._client = self.client, None
        client.close()

    def _elect(self) -> list[typing.Any]:
        """Campaigns once for each group that is watched, and calls the hooks of those that are won."""
        told: list[typing.Any] = []
        member = self._member_id.decode() if isinstance(self._member_id, bytes) else self._member_id
        for group_id, hooks in list(self._hooks_elected_leader.items()):
            lead = self._leads.get(group_id)
            if lead is not None and not lead.lost:
                continue
            with _translated():
                try:
                    won = self.client.elect(self._election(group_id), member, wait=0, lease=self.lease)
                except NotAcquired:
                    continue
            self._leads[group_id] = won
            told.extend(hooks.run(coordination.LeaderElected(group_id, self._member_id)))
        return told

    def _election(self, group_id: bytes) -> str:
        return self.named(group_id) + "/leader"


class _Done(coordination.CoordAsyncResult[typing.Any]):
    """What is known already."""

    def __init__(self, result: typing.Any) -> None:
        self._result = result

    def get(self, timeout: float | None = None) -> typing.Any:
        return self._result

    def done(self) -> bool:
        return True


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Our errors as those of tooz."""
    try:
        yield
    except Unreachable as error:
        raise coordination.ToozConnectionError(str(error), cause=error) from error
    except LatchdError as error:
        raise tooz.ToozError(str(error), cause=error) from error


def _number(name: str, value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise tooz.ToozError(f"{name} must be a number of seconds above 0, not {value!r}")
    return seconds


def _verify(value: object) -> bool | str:
    """A file, or whether to verify at all."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(str(value).lower(), str(value))
