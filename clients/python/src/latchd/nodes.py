"""One call: sent to one node after the other until one answers or the retry time ends."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import random
import typing
import urllib.parse
from collections.abc import Callable, Sequence

from . import clock, process, tracing
from .asked import Check
from .errors import CutShort, Unreachable, WrongProcess
from .replies import body_of
from .steps import Attempt, Pause, Reply, Steps
from .wire import COOKIE, Json

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class Call:
    """A request; the same for every attempt."""

    method: str
    path: str
    body: Json | None = dataclasses.field(default=None, repr=False)
    session: str | None = dataclasses.field(default=None, repr=False)
    #: Set if repeating the call would do harm.
    key: str | None = dataclasses.field(default=None, repr=False)
    #: What else must be true of an answer to this.
    check: Check | None = None
    query: tuple[tuple[str, str], ...] = ()
    undo: Callable[[Reply], Steps[None]] | None = None


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long a call is retried while no node answers."""

    #: No attempt begins after this moment, but each URL is tried once in any case.
    until: float
    #: How long one attempt may take.
    attempt_seconds: float
    #: The longest pause between two rounds where a hold is at stake. None: at least as long as the service asks for.
    pause_seconds: float | None = None
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
    headers: typing.Mapping[str, str] = dataclasses.field(repr=False)
    body: Json = dataclasses.field(repr=False)


class Nodes:
    """The nodes of one service, and what is shown to them."""

    def __init__(self, url: str | Sequence[str], api_key: str | None, password: str | None) -> None:
        urls = [each.strip() for each in url.split(",")] if isinstance(url, str) else list(url)
        self.urls = [_base(url) for url in urls]
        if not self.urls:
            raise ValueError("no URL was given")
        if api_key is not None and password is not None:
            raise ValueError("give an api_key or a password, not both")
        self._turn = 0
        self._credential: str | None = None
        if api_key is not None:
            self._credential = f"Bearer {api_key}"
        elif password is not None:
            self._credential = "Basic " + base64.b64encode(f"latchd:{password}".encode()).decode()

    def send(self, call: Call, patience: Patience) -> Steps[Answer]:
        """Sends a call until it is answered. A final refusal is not repeated."""
        turn = self._turn
        pause = _FIRST_PAUSE_SECONDS
        longest = _LONGEST_PAUSE_SECONDS if patience.pause_seconds is None else patience.pause_seconds
        begun_in = process.current()
        earlier: Unreachable | None = None
        for attempts in itertools.count(1):
            left = clock.left(patience.ends)
            if not patience.waits:
                # A node that is silent leaves time for the others.
                left /= max(1, len(self.urls) - attempts + 1)
            try:
                url = self.urls[turn % len(self.urls)]
                answer = yield from self._attempt(call, url, min(patience.attempt_seconds, left))
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
            if attempts < len(self.urls) and clock.left(patience.ends) > 0:
                continue
            seconds = 0.0
            if attempts % len(self.urls) == 0:
                # Spread, so that many clients of a service that comes back do not all knock at the same moment.
                seconds = max(pause * random.uniform(0.5, 1.0), error.retry_after_seconds)
                if patience.pause_seconds is not None:
                    seconds = min(seconds, patience.pause_seconds)
                pause = min(pause * 2, longest)
            if not error.may_pass or clock.now() + seconds >= min(patience.until, patience.ends):
                raise error
            yield Pause(seconds)
        raise AssertionError("the loop has no end")

    def _attempt(self, call: Call, base: str, seconds: float) -> Steps[Answer]:
        url = base + call.path
        if seconds <= 0:
            raise CutShort(f"no time was left to ask {url}")
        sent = clock.now()
        query = f"?{urllib.parse.urlencode(call.query)}" if call.query else ""
        data = None if call.body is None else json.dumps(call.body).encode()
        reply: Reply = yield Attempt(call.method, url + query, self._headers(call), data, seconds, call.undo)
        body = body_of(reply, url, self._credential is not None)
        if call.check is not None and (wrong := call.check(body)) is not None:
            reply.distrust()
            raise Unreachable(f"{url} gave an answer to something else: {wrong}")
        return Answer(sent, 1, reply.headers, body)

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {**tracing.headers(), "Accept": "application/json"}
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
    if parts.username is not None or parts.password is not None:
        # Messages name the URL.
        raise ValueError("a URL has no credential: give it as api_key or password")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not an http or https URL")
    return url.rstrip("/")


def _with(error: Unreachable, earlier: Unreachable | None) -> Unreachable:
    """An attempt for which no time was left hides why there was none before."""
    if earlier is None or not isinstance(error, CutShort):
        return error
    told = CutShort(f"{error}; before that: {earlier}")
    told.__cause__ = error
    return told
