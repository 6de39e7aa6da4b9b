"""Ends the holds of others, as an administrator may."""

from __future__ import annotations

from . import asked
from .errors import Refused
from .nodes import Call
from .service import Service
from .steps import Steps


def force_release(service: Service, name: str, reason: str) -> Steps[int]:
    """How many holds of that lock were ended. Raises `Refused` where the credential is no administrator's."""
    listing = Call("GET", "/v1/locks", check=asked.listing(name), query=(("name", name),))
    answer = yield from service.nodes.send(listing, service.usual())
    ended = 0
    for lock in answer.body["locks"]:
        for holder in lock["holders"]:
            if "key" not in holder:
                raise Refused(f"to end the holds of others at {name!r}, the credential needs the admin role", 403)
            query = (("name", name), ("key", str(holder["key"])), ("reason", reason))
            try:
                yield from service.nodes.send(Call("DELETE", "/v1/holds", query=query), service.usual())
                ended += 1
            except Refused as error:
                if error.status != 404:
                    raise
    return ended
