"""The hold that this program runs under, where `latchd lock` has started it."""

from __future__ import annotations

import json
import os

from .wire import LockInfo


def names() -> set[str]:
    """Its locks; empty without one."""
    try:
        # Older versions of `latchd lock` name only one.
        return set(json.loads(os.environ["LATCHD_LOCK_NAMES"]))
    except (KeyError, ValueError, TypeError):
        first = os.environ.get("LATCHD_LOCK_NAME")
        return set() if first is None else {first}


def is_in_the_way(found: LockInfo, shared: bool) -> bool:
    """Whether a request for this lock would wait for the end of this program."""
    token = os.environ.get("LATCHD_FENCING_TOKEN")
    is_held = found.name in names() and any(str(holder.fencing_token) == token for holder in found.holders)
    return is_held and not (shared and found.mode == "shared")
