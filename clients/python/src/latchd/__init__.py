"""Locks that say when they are lost: the client of the latchd lock service.

    client = Client("https://127.0.0.1:8443")
    with client.lock("report", wait=10) as hold:
        ...  # under hold.fencing_token; hold.lost says when it is not ours any more

A hold is renewed by a thread of its own. `errors` says what can go wrong.
"""

from .changing import Transferred
from .client import Client
from .election import Leader
from .errors import Frozen, LatchdError, LockLost, NotAcquired, Refused, Unreachable, WouldDeadlock, WrongProcess
from .hold import Hold
from .leadership import Leadership
from .wire import BlockedBy, Freeze, Holder, LockInfo

__all__ = [
    "BlockedBy",
    "Client",
    "Freeze",
    "Frozen",
    "Hold",
    "Holder",
    "LatchdError",
    "Leader",
    "Leadership",
    "LockInfo",
    "LockLost",
    "NotAcquired",
    "Refused",
    "Transferred",
    "Unreachable",
    "WouldDeadlock",
    "WrongProcess",
]
