"""The clock of leases; no other file reads a clock.

It goes on while the machine is suspended where the system has such a clock: a laptop that slept through its lease has
to know so when it wakes up.
"""

from __future__ import annotations

import datetime
import threading
import time

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)

#: The longest timer, because timers stop during a suspension.
SLICE_SECONDS = 0.25


def now() -> float:
    """Seconds since some moment in the past. They mean nothing to another machine or after a reboot."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


def left(moment: float) -> float:
    """Seconds until then; 0 if it has passed."""
    return max(0.0, moment - now())


def wall_time_before(seconds: float) -> str:
    """The wall clock at that time, for messages only."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - seconds))


def wall_time_after(seconds: float) -> datetime.datetime:
    """The wall clock so long from now, as far as it goes."""
    try:
        return datetime.datetime.fromtimestamp(time.time() + seconds, datetime.timezone.utc)
    except (OverflowError, ValueError):
        return datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)


def wait(event: threading.Event, moment: float) -> bool:
    """Waits for the event until that moment at most; whether it has happened."""
    while (seconds := left(moment)) > 0:
        if event.wait(min(seconds, SLICE_SECONDS)):
            return True
    return event.is_set()
