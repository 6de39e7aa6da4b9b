"""What a reply means: an answer, or one of our errors."""

from __future__ import annotations

import json
import os
import ssl

from .errors import CutShort, HoldEnded, HoldGone, Refused, SessionEnded, Unreachable
from .steps import Reply
from .wire import Json, is_of_older_service, sentence

#: Statuses that say "not now".
_PASSING = (429, 502, 503, 504)
_PROBLEM = "application/problem+json"
#: In the words of sessions v1, which has this shape of errors from gRPC.
_NOT_FOUND = 5
#: The longest answer that is read: more than a list of all that may hold one lock.
ANSWER_BYTES_MAX = 1 << 26
#: OpenSSL's reasons for the end of a handshake with a port that answers in plain text.
_NO_TLS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")


def body_of(reply: Reply, url: str, has_credential: bool) -> Json:
    """The body of a successful one."""
    body = _json(reply)
    if reply.status >= 400 or body is None:
        raise _failure(url, reply, body, _unauthorized(has_credential))
    return body


def unanswered(url: str, error: BaseException, is_late: bool) -> Unreachable:
    """The error of an attempt without a reply; late: its time is over."""
    if is_late:
        return CutShort(f"{url} gave no answer in time")
    cause = _innermost(error)
    # Certificates do not change while one waits; other ends of TLS are those of any connection.
    may_pass = not isinstance(cause, ssl.SSLCertVerificationError)
    said = str(cause) or type(cause).__name__
    if isinstance(cause, ConnectionRefusedError) and cause.errno is not None:
        said = os.strerror(cause.errno)
    if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
        said = "it does not speak TLS; does it listen with https?"
    if not may_pass:
        said += "; name the PEM file of its authority, or of the very certificate, with verify="
    return Unreachable(f"{url} cannot be reached: {said}", may_pass=may_pass)


def oversized(url: str) -> Refused:
    return Refused(f"{url} gave an answer of more than {ANSWER_BYTES_MAX} bytes, which is none of latchd", 200)


def _unauthorized(has_credential: bool) -> str:
    """What the service says to a wrong credential, or to none, where it has words for it: sessions v1 has none."""
    return "this password or API key is not known" if has_credential else "a password or an API key is needed"


def _innermost(error: BaseException) -> BaseException:
    """The cause at the bottom says most ("Connection refused"); those above only say that something failed."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error


def _json(reply: Reply) -> Json | None:
    try:
        body = json.loads(reply.content)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _failure(url: str, reply: Reply, body: Json | None, unauthorized: str) -> Exception:
    status = reply.status
    text = reply.content.decode(errors="replace")
    said = unauthorized if status == 401 and not text.strip() else sentence(body, text)
    message = f"{url} answered {status}: {said}"
    if status in (400, 404) and is_of_older_service(said):
        return Refused(f"{message}; the service is older than what is asked of it", status)
    if status in _PASSING:
        retry_after = reply.headers.get("Retry-After", "")
        seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
        return Unreachable(message, seconds, code=_code(body))
    # A refused credential is a 401 too, and a proxy may have one of its own: this is what latchd says of sessions.
    if status == 401 and body is not None and str(body.get("error")).startswith("session "):
        return SessionEnded(message, status)
    # Of latchd's own, and no page of a proxy for a wrong path.
    is_problem = body is not None and reply.headers.get("Content-Type", "").startswith(_PROBLEM)
    if body is not None and is_problem and str(body.get("type")).startswith("/docs/errors#"):
        return _problem(message, status, str(body.get("code")))
    if status == 404 and body is not None and body.get("code") == _NOT_FOUND and "message" in body:
        return HoldGone(message, status)
    if status == 410 and body is not None and isinstance(body.get("code"), int) and "message" in body:
        return HoldEnded(message, status)
    return Refused(message, status, _code(body))


def _code(body: Json | None) -> str | None:
    """The service's name for it: in a problem document, and beside the number of sessions v1."""
    for field in ("reason", "code"):
        if body is not None and isinstance(body.get(field), str):
            return str(body[field])
    return None


def _problem(message: str, status: int, code: str) -> Refused:
    """Of a problem document."""
    if (status, code) == (401, "session-unknown"):
        return SessionEnded(message, status, code)
    if (status, code) == (410, "request-ended"):
        return HoldEnded(message, status, code)
    return Refused(message, status, code)
