"""The connections of a client that blocks: one attempt of a request over `requests`."""

from __future__ import annotations

import http.cookiejar

import requests

from . import clock
from .connections import Adapter, reading_until
from .replies import ANSWER_BYTES_MAX, oversized, unanswered
from .steps import Attempt, Reply

_CONNECT_SECONDS = 5.0
_CHUNK_BYTES = 65536


class Transport:
    """Threads may share it."""

    def __init__(self, verify: bool | str, cert: str | tuple[str, str] | None, hosts: int) -> None:
        self._verify = verify
        self._cert = cert
        self._hosts = hosts
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
            http_session.mount(scheme, Adapter(pool_connections=max(10, self._hosts)))
        return http_session

    def attempt(self, asked: Attempt) -> Reply:
        ends = clock.now() + asked.seconds
        # There is one limit for each address that a name has, one for TLS, and one for the answer.
        limits = (max(0.001, min(_CONNECT_SECONDS, asked.seconds / 3)), asked.seconds)
        url = asked.url.partition("?")[0]
        try:
            with reading_until(ends):
                response = self._http.request(
                    asked.method,
                    asked.url,
                    data=asked.body,
                    headers=asked.headers,
                    timeout=limits,
                    allow_redirects=False,
                    stream=True,
                )
                content = _read(response, url)
        except requests.RequestException as error:
            is_late = isinstance(error, requests.ReadTimeout) or clock.left(ends) == 0
            raise unanswered(url, error, is_late) from error
        return Reply(response.status_code, response.headers, content, self._http.close)


def _read(response: requests.Response, url: str) -> bytes:
    content = bytearray()
    with response:
        for chunk in response.iter_content(_CHUNK_BYTES):
            content += chunk
            if len(content) > ANSWER_BYTES_MAX:
                raise oversized(url)
    return bytes(content)
