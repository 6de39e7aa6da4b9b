"""One call over HTTP: sent to one URL after the other until one answers or the retry time ends."""

from __future__ import annotations

import base64
import dataclasses
import http.cookiejar
import itertools
import json
import random
import ssl
import time
import typing
import urllib.parse

import requests

from . import clock, process
from .asked import Check
from .connections import Adapter, reading_until
from .errors import CutShort, HoldEnded, HoldGone, Refused, SessionEnded, Unreachable, WrongProcess
from .wire import COOKIE, Json, is_of_older_service, sentence

_CONNECT_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.05
#: Statuses that say "not now".
_PASSING = (429, 502, 503, 504)
_PROBLEM = "application/problem+json"
#: In the words of sessions v1, which has this shape of errors from gRPC.
_NOT_FOUND = 5


@dataclasses.dataclass(frozen=True)
class Call:
    """A request; the same for every attempt."""

    method: str
    path: str
    body: Json | None = None
    session: str | None = None
    #: Set if repeating the call would do harm.
    key: str | None = None
    #: What else must be true of an answer to this.
    check: Check | None = None
    query: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a call is retried while no node answers."""

    #: No attempt begins after this moment, but each URL is tried once in any case.
    until: float
    #: How long one attempt may take.
    attempt_seconds: float
    #: The longest pause between two rounds.
    pause_seconds: float = 2.0
    #: Whether an attempt that takes longer ends the call: it stood open because it waits.
    waits: bool = False
    #: Nothing goes on after this moment, whatever the other end does.
    ends: float = float("inf")


@dataclasses.dataclass(frozen=True)
class Answer:
    """A successful answer."""

    #: A moment before the answered attempt was sent.
    sent: float
    #: How many attempts there were.
    attempts: int
    headers: typing.Mapping[str, str]
    body: Json


class Transport:
    """Connections to the nodes of one service, and what is shown to them. Threads may share it."""

    def __init__(
        self,
        urls: list[str],
        verify: bool | str,
        cert: str | tuple[str, str] | None,
        api_key: str | None,
        password: str | None,
    ) -> None:
        self._urls = [_base(url) for url in urls]
        if not self._urls:
            raise ValueError("no URL was given")
        if api_key is not None and password is not None:
            raise ValueError("give an api_key or a password, not both")
        self._turn = 0
        self._credential: str | None = None
        if api_key is not None:
            self._credential = f"Bearer {api_key}"
        elif password is not None:
            self._credential = "Basic " + base64.b64encode(f"latchd:{password}".encode()).decode()
        self._verify = verify
        self._cert = cert
        self._http = self._connections()

    def close(self) -> None:
        self._http.close()

    def begin_anew(self) -> None:
        """In a forked child: connections of its own."""
        self._http = self._connections()

    def _connections(self) -> requests.Session:
        http_session = requests.Session()
        # The environment is not asked: it may name proxies that cut long waits, and other authorities.
        http_session.trust_env = False
        http_session.verify = self._verify
        http_session.cert = self._cert
        # The session goes with each call by hand, because threads of different sessions may share this.
        http_session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            http_session.mount(scheme, Adapter(pool_connections=max(10, len(self._urls))))
        return http_session

    def send(self, call: Call, patience: Patience) -> Answer:
        """Sends a call until it is answered. A final refusal is not repeated."""
        turn = self._turn
        pause = _FIRST_PAUSE_SECONDS
        begun_in = process.current()
        earlier: Unreachable | None = None
        for attempts in itertools.count(1):
            url = self._urls[turn % len(self._urls)] + call.path
            left = clock.left(patience.ends)
            if not patience.waits:
                # A node that is silent leaves time for the others.
                left /= max(1, len(self._urls) - attempts + 1)
            try:
                answer = self._attempt(call, url, min(patience.attempt_seconds, left))
                self._turn = turn
                return dataclasses.replace(answer, attempts=attempts)
            except Unreachable as unreachable:
                error = _with(unreachable, earlier)
            if not isinstance(error, CutShort):
                earlier = error
            if process.current() != begun_in:
                # A signal handler has forked: the call is the parent's, and so is its answer.
                raise WrongProcess(f"a call of {call.path}", begun_in[0])
            turn += 1
            if patience.waits and isinstance(error, CutShort):
                self._turn = turn
                raise error
            if attempts < len(self._urls) and clock.left(patience.ends) > 0:
                continue
            seconds = 0.0
            if attempts % len(self._urls) == 0:
                # Spread, so that many clients of a service that comes back do not all knock at the same moment.
                seconds = max(pause * random.uniform(0.5, 1.0), error.retry_after_seconds)
                seconds = min(seconds, patience.pause_seconds)
                pause = min(pause * 2, patience.pause_seconds)
            if not error.may_pass or clock.now() + seconds >= min(patience.until, patience.ends):
                raise error
            time.sleep(seconds)
        raise AssertionError("the loop has no end")

    def _attempt(self, call: Call, url: str, seconds: float) -> Answer:
        if seconds <= 0:
            raise CutShort(f"no time was left to ask {url}")
        sent = clock.now()
        # There is one limit for each address that a name has, one for TLS, and one for the answer.
        limits = (max(0.001, min(_CONNECT_SECONDS, seconds / 3)), seconds)
        data = None if call.body is None else json.dumps(call.body).encode()
        try:
            with reading_until(sent + seconds):
                response = self._http.request(
                    call.method,
                    url,
                    params=list(call.query),
                    data=data,
                    headers=self._headers(call),
                    timeout=limits,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            if isinstance(error, requests.ReadTimeout) or clock.left(sent + seconds) == 0:
                raise CutShort(f"{url} gave no answer in time") from error
            cause = _innermost(error)
            # Certificates do not change while one waits; other ends of TLS are those of any connection.
            may_pass = not isinstance(cause, ssl.SSLCertVerificationError)
            said = str(cause) or type(cause).__name__
            if not may_pass:
                said += "; name the PEM file of its authority, or of the very certificate, with verify="
            raise Unreachable(f"{url} cannot be reached: {said}", may_pass=may_pass) from error
        body = _json(response)
        if not response.ok or body is None:
            raise _failure(url, response, body, self._unauthorized())
        if call.check is not None and (wrong := call.check(body)) is not None:
            # What else comes on this connection may be mixed up too.
            self._http.close()
            raise Unreachable(f"{url} gave an answer to something else: {wrong}")
        return Answer(sent, 1, response.headers, body)

    def _unauthorized(self) -> str:
        """What the service says to a wrong credential, or to none, where it has words for it: sessions v1 has none."""
        if self._credential is None:
            return "a password or an API key is needed"
        return "this password or API key is not known"

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self._credential is not None:
            headers["Authorization"] = self._credential
        if call.session is not None:
            headers["Cookie"] = f"{COOKIE}={call.session}"
        if call.key is not None:
            headers["Idempotency-Key"] = call.key
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        return headers


def _base(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not an http or https URL")
    return url.rstrip("/")


def _innermost(error: BaseException) -> BaseException:
    """The cause at the bottom says most ("Connection refused"); those above only say that something failed."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error


def _json(response: requests.Response) -> Json | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _with(error: Unreachable, earlier: Unreachable | None) -> Unreachable:
    """An attempt for which no time was left hides why there was none before."""
    if earlier is None or not isinstance(error, CutShort):
        return error
    told = CutShort(f"{error}; before that: {earlier}")
    told.__cause__ = error
    return told


def _failure(url: str, response: requests.Response, body: Json | None, unauthorized: str) -> Exception:
    status = response.status_code
    said = unauthorized if status == 401 and not response.text.strip() else sentence(body, response.text)
    message = f"{url} answered {status}: {said}"
    if status in (400, 404) and is_of_older_service(said):
        return Refused(f"{message}; the service is older than what is asked of it", status)
    if status in _PASSING:
        retry_after = response.headers.get("Retry-After", "")
        return Unreachable(message, float(retry_after) if retry_after.isdigit() else 0.0)
    # A refused credential is a 401 too, and a proxy may have one of its own: this is what latchd says of sessions.
    if status == 401 and body is not None and str(body.get("error")).startswith("session "):
        return SessionEnded(message, status)
    # Of latchd's own, and no page of a proxy for a wrong path.
    is_problem = body is not None and response.headers.get("Content-Type", "").startswith(_PROBLEM)
    if body is not None and is_problem and str(body.get("type")).startswith("/docs/errors#"):
        return _problem(message, status, str(body.get("code")))
    if status == 404 and body is not None and body.get("code") == _NOT_FOUND and "message" in body:
        return HoldGone(message, status)
    if status == 410 and body is not None and isinstance(body.get("code"), int) and "message" in body:
        return HoldEnded(message, status)
    return Refused(message, status)


def _problem(message: str, status: int, code: str) -> Refused:
    """Of a problem document."""
    if (status, code) == (401, "session-unknown"):
        return SessionEnded(message, status, code)
    if (status, code) == (410, "request-ended"):
        return HoldEnded(message, status, code)
    return Refused(message, status, code)
