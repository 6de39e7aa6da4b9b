"""The real server as a child process, and a proxy before it that loses answers."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import typing
import urllib.parse


def binary() -> str:
    """The server to test against: LATCHD_BINARY, or what the PATH has."""
    found = os.environ.get("LATCHD_BINARY") or shutil.which("latchd")
    assert found, "set LATCHD_BINARY to the built latchd"
    return found


class Server:
    """A server on a free port; it keeps nothing unless it gets a data directory."""

    def __init__(
        self,
        *arguments: str,
        listen: str = "http://127.0.0.1:0",
        environment: typing.Mapping[str, str] | None = None,
    ) -> None:
        self._home = tempfile.TemporaryDirectory()
        outside = {name: value for name, value in os.environ.items() if not name.startswith("LATCHD_")}
        storage = [] if "--data-dir" in arguments else ["--in-memory"]
        self._process = subprocess.Popen(
            [binary(), "serve", "--listen", listen, *storage, *arguments],
            cwd=self._home.name,
            env=outside | dict(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "listening on" in line, f"the server did not start: {line!r}"
        self.url = line.split()[-1]

    def freeze(self, target: str, reason: str, seconds: float = 600, match: str = "name") -> None:
        """As an operator does."""
        said = {"reason": reason, "for_seconds": seconds, "match": match}
        self._ask("PUT", f"/v1/freezes?{urllib.parse.urlencode({'target': target})}", said)

    def thaw(self, target: str) -> None:
        self._ask("DELETE", f"/v1/freezes?{urllib.parse.urlencode({'target': target})}", {"reason": "done"})

    def lose(self, name: str, delay: float) -> None:
        """Takes a lock with a delay, and lets its lease expire."""
        session = self._ask("POST", "/session")["session_id"]
        wanted = {"name": name, "lock_timeout_seconds": 0.05, "lock_delay_seconds": delay}
        assert self._ask("POST", "/v1/lock", wanted, {"Cookie": f"ldlm-session={session}"})["locked"]
        listing = f"/v1/locks?{urllib.parse.urlencode({'name': name})}"
        while not any(lock.get("delayed_for_seconds") for lock in self._ask("GET", listing)["locks"]):
            time.sleep(0.01)

    def _ask(
        self, method: str, target: str, body: object = None, headers: typing.Mapping[str, str] | None = None
    ) -> typing.Any:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60)
        connection.request(method, target, None if body is None else json.dumps(body), dict(headers or {}))
        answer = connection.getresponse()
        said = json.load(answer)
        connection.close()
        assert answer.status < 300, said
        return said

    @property
    def home(self) -> pathlib.Path:
        return pathlib.Path(self._home.name)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        # Until each of its threads stands still; a running one would still answer.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._home.cleanup()


class Proxy:
    """Passes requests on to a server, and loses answers where it is told to: the request is done, the client does
    not hear of it."""

    def __init__(self, server: Server) -> None:
        self.requests: list[tuple[str, str | None]] = []
        #: The `traceparent` of each.
        self.traces: list[str | None] = []
        self._to_lose: dict[str, float] = {}
        target = server.url.removeprefix("http://")
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                proxy.requests.append((self.path, self.headers.get("Idempotency-Key")))
                proxy.traces.append(self.headers.get("traceparent"))
                connection = http.client.HTTPConnection(target, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                if (late_by := proxy._to_lose.pop(self.path, None)) is not None:
                    time.sleep(late_by)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = pass_on

            def log_message(self, format: str, *arguments: typing.Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def lose_answer_to(self, path: str, after_seconds: float = 0.0) -> None:
        self._to_lose[path] = after_seconds

    def keys(self, path: str) -> list[str | None]:
        """The idempotency keys of the requests for that path."""
        return [key for asked, key in self.requests if asked == path]

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Between:
    """Stands before a server and does what it likes with each request: `answer` gets the path and what the server
    says, and gives what the client hears instead, a byte string as it goes over the wire, in pieces with pauses."""

    def __init__(
        self, server: Server, answer: typing.Callable[[str, int, bytes], typing.Iterator[bytes | float] | None]
    ) -> None:
        target = server.url.removeprefix("http://")
        closing = self._closing = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                connection = http.client.HTTPConnection(target, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))
                heard = connection.getresponse()
                content = heard.read()
                connection.close()
                pieces = answer(self.path, heard.status, content)
                if pieces is None:
                    kind = heard.getheader("Content-Type") or "text/plain"
                    pieces = iter([wire(heard.status, content, kind)])
                try:
                    for piece in pieces:
                        if isinstance(piece, bytes):
                            self.wfile.write(piece)
                        elif closing.wait(piece):
                            break
                except OSError:
                    pass
                self.close_connection = True

            do_GET = do_POST = do_DELETE = pass_on

            def log_message(self, format: str, *arguments: typing.Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Between:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()


def problem(status: int, code: str, detail: str, retry_after: int | None = None) -> bytes:
    """A refusal of latchd as it goes over the wire."""
    said = {"type": f"/docs/errors#{code}", "status": status, "detail": detail, "code": code}
    more = "" if retry_after is None else f"\r\nRetry-After: {retry_after}"
    return wire(status, json.dumps(said).encode(), f"application/problem+json{more}")


def wire(status: int, content: bytes, kind: str = "application/json") -> bytes:
    """An answer as it goes over the wire."""
    lengths = f"Content-Length: {len(content)}\r\nConnection: close"
    return f"HTTP/1.1 {status} So\r\nContent-Type: {kind}\r\n{lengths}\r\n\r\n".encode() + content
