"""A backend for celery-once, by which a task is queued once:

    app.conf.ONCE = {
        "backend": "latchd.plugins.celery_once.Latchd",
        "settings": {"url": "https://127.0.0.1:8443", "default_timeout": 3600},
    }

Whoever queues a task takes the lock, and a worker, which is another process, releases it. So each lock has a session of its
own, and the metadata of the lock names that session, sealed with a secret that all of them have.
"""

from __future__ import annotations

import dataclasses
import hmac
import logging
import secrets
import threading
import typing
import uuid
from collections.abc import Mapping

from celery_once.tasks import AlreadyQueued

from .. import asked, clock
from ..acquiring import Wait
from ..client import Client
from ..errors import Frozen, LatchdError, SessionEnded
from ..identity import described
from ..nodes import Call
from ..service import Service
from ..steps import Steps
from ..wanted import Wanted
from ..wire import Freeze, Json, Session

log = logging.getLogger("latchd")

#: The entry of the metadata that names the session.
_ENTRY = "celery-once"
_NONCE_BYTES = 16
_PAD = "sha512"
_SESSION_BYTES_MAX = 64
#: Those of `Client`.
_CLIENT_SETTINGS = ("api_key", "password", "verify", "cert", "timeout", "patience")

_clients: dict[str, Client] = {}
_guard = threading.Lock()


class Latchd:
    """`settings` has `url`, and the settings of `latchd.Client` that have other values than usual. `blocking` and
    `blocking_timeout` are those of the Redis backend: whether to wait for a lock, and for how many seconds. `prefix` goes
    before the names of the locks. `secret` seals the sessions: the credential unless it is given; producers and workers
    have the same."""

    def __init__(self, settings: Mapping[str, typing.Any]) -> None:
        known = {name: settings[name] for name in _CLIENT_SETTINGS if name in settings}
        url = settings["url"]
        self._prefix = str(settings.get("prefix", ""))
        self._wait = float(settings.get("blocking_timeout", 1)) if settings.get("blocking", False) else 0.0
        credential = settings.get("api_key") or settings.get("password") or ""
        self._secret = str(settings.get("secret", credential)).encode()
        # celery-once makes a backend for each call.
        identity = repr((url, sorted(known.items())))
        with _guard:
            if (client := _clients.get(identity)) is None:
                client = _clients[identity] = Client(url, **known)
        self._client = client

    def raise_or_lock(self, key: str, timeout: float) -> None:
        """Takes the lock for so many seconds; raises `AlreadyQueued` where it is taken already, and
        `Frozen` where an operator has frozen it: then nobody has queued the task."""
        left = self._client._blocking.run(self._lock(self._service(), self._prefix + key, float(timeout)))
        if left is not None:
            raise AlreadyQueued(left)

    def clear_lock(self, key: str) -> int:
        """Releases it, whoever took it; how many holds there were."""
        return self._client._blocking.run(self._clear(self._service(), self._prefix + key))

    def _service(self) -> Service:
        service = self._client._service
        service.here()
        return service

    def _lock(self, service: Service, name: str, lease: float) -> Steps[float | None]:
        """None: it is ours. Else in how many seconds it is free."""
        opening = Call(
            "POST", "/session", {"idle_timeout_seconds": lease}, key=str(uuid.uuid4()), check=asked.session
        )
        answer = yield from service.nodes.send(opening, service.usual())
        session = Session.of(answer.body, answer.headers)
        told: Json = {}
        try:
            told = yield from self._take(service, session, name, lease)
        finally:
            if not told.get("locked"):
                # Whatever it has or waits for ends with it.
                yield from service.delete(session, service.usual())
        if told["locked"]:
            return None
        found = yield from service.show(name, service.usual())
        left = [] if found is None else [each.remaining_seconds for each in found.holders]
        if not left and (freeze := Freeze.of(told)) is not None:
            # It is not queued, and must not be.
            raise Frozen(name, freeze, [], 0)
        return max((seconds for seconds in left if seconds is not None), default=0.0)

    def _take(self, service: Service, session: Session, name: str, lease: float) -> Steps[Json]:
        wanted = Wanted.of(name, lease=lease, size=None, mode=None, weight=None, lock_delay=None)
        wait = Wait.of(self._wait, service.patience)
        body: dict[str, object] = {**wanted.body, "metadata": described(None, {_ENTRY: self._seal(session.id)})}
        if (seconds := clock.left(wait.over)) > 0:
            body["wait_timeout_seconds"] = max(0.001, round(seconds, 3))
        call = Call("POST", wanted.path, body, session.id, str(uuid.uuid4()), asked.lock(wanted.names))
        patience = wait.patience(service, service.timeout + self._wait if self._wait else None)
        answer = yield from service.nodes.send(call, dataclasses.replace(patience, waits=False))
        return answer.body

    def _clear(self, service: Service, name: str) -> Steps[int]:
        found = yield from service.show(name, service.usual())
        cleared = 0
        for holder in [] if found is None else found.holders:
            session = self._unseal(holder.metadata.get(_ENTRY, ""))
            try:
                if session is not None:
                    yield from service.nodes.send(Call("DELETE", "/session", session=session), service.usual())
                    cleared += 1
                    continue
            except SessionEnded:
                pass
            except LatchdError as error:
                log.warning("%r could not be released and ends with its timeout: %s", name, error)
                continue
            log.warning("%r was taken with another secret, or by another program: it is not released", name)
        return cleared

    def _seal(self, session: str) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce.hex() + self._mask(nonce, session.encode()).hex()

    def _unseal(self, sealed: str) -> str | None:
        try:
            both = bytes.fromhex(sealed)
            opened = self._mask(both[:_NONCE_BYTES], both[_NONCE_BYTES:]).decode("ascii")
        except ValueError:
            return None
        # Nothing else may get into a header.
        return opened if opened.isalnum() else None

    def _mask(self, nonce: bytes, text: bytes) -> bytes:
        """Each nonce is used once, so that its pad is too."""
        if len(text) > _SESSION_BYTES_MAX:
            raise ValueError(f"a session id of more than {_SESSION_BYTES_MAX} bytes")
        pad = hmac.new(self._secret, nonce, _PAD).digest()
        return bytes(each ^ other for each, other in zip(text, pad))
