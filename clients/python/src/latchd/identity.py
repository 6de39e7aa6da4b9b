"""The default metadata of locks: which process holds them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

#: The defaults of the service's limits.
_ENTRIES_MAX = 32
_VALUE_BYTES_MAX = 256


def of_this_process() -> dict[str, str]:
    """Host, process and user."""
    found = {"host": socket.gethostname(), "pid": str(os.getpid()), "user": _user()}
    return {key: _short(value) for key, value in found.items() if value}


def described(usual: Mapping[str, str] | None, given: Mapping[str, str] | None) -> dict[str, str]:
    """The metadata of one lock: what the caller gave, then the defaults that fit."""
    metadata = dict(given or {})
    for key, value in (of_this_process() if usual is None else usual).items():
        if key not in metadata and (usual is not None or len(metadata) < _ENTRIES_MAX):
            metadata[key] = value
    return metadata


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except ImportError:
        return os.environ.get("USERNAME", "")
    except KeyError:
        return f"uid {os.getuid()}"


def _short(text: str) -> str:
    return text.encode(errors="replace")[:_VALUE_BYTES_MAX].decode(errors="ignore")
