"""The errors of this package."""

from __future__ import annotations

import os
import typing

if typing.TYPE_CHECKING:
    from .wire import BlockedBy, Freeze, Holder


class LatchdError(Exception):
    """All errors of this package."""


class NotAcquired(LatchdError):
    """The wait is over without the lock: others held it, or no answer came, as the message says."""

    def __init__(self, name: str, holders: list[Holder], queue_length: int, note: str = "") -> None:
        self.name = name
        #: Who held it just after; empty where nobody did any more, or where they may not be seen.
        self.holders = holders
        #: How many waited for it.
        self.queue_length = queue_length
        message = f"{name!r} was not to be had"
        if not holders and not note:
            note = "others held it or waited for it; who, the service does not say any more"
        if holders:
            more = f" and {len(holders) - 3} more" if len(holders) > 3 else ""
            held = "; ".join(str(holder) for holder in holders[:3])
            message += f": held by {held}{more}; {queue_length} {'waits' if queue_length == 1 else 'wait'} for it"
        super().__init__(message + (f" ({note})" if note else ""))


class WouldDeadlock(NotAcquired):
    """The service will not wait, because the wait could not end: each of these waits for the next one, and the last for
    the first. Release something, or take all of the locks at once."""

    def __init__(self, name: str, cycle: list[BlockedBy]) -> None:
        #: Who waits for what, and who has it; empty for a campaign in an election.
        self.cycle = cycle
        steps = ": " + "; ".join(map(str, cycle)) if cycle else ""
        super().__init__(name, [], 0, f"to wait would be a deadlock{steps}")


class Frozen(NotAcquired):
    """An operator has frozen the lock, and the freeze outlasts the wait."""

    def __init__(self, name: str, freeze: Freeze, holders: list[Holder], queue_length: int) -> None:
        #: Its target, reason and end.
        self.freeze = freeze
        super().__init__(name, holders, queue_length, str(freeze))


class LockLost(LatchdError):
    """The lock was lost, so what was done under it may not have been protected to the end."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why
        super().__init__(f"{name!r} was lost: {why}")


class WrongProcess(LatchdError):
    """It belongs to the process that made it, and this one was forked from that."""

    def __init__(self, what: str, owner: int) -> None:
        super().__init__(
            f"{what} belongs to process {owner}, and this is process {os.getpid()}, forked from it: "
            "take a lock of its own here"
        )


class Unreachable(LatchdError):
    """No node of the service gave an answer, or only that it cannot work now."""

    def __init__(
        self, message: str, retry_after_seconds: float = 0.0, may_pass: bool = True, code: str | None = None
    ) -> None:
        #: The delay before a retry that the service asks for. A retry that would come too late is not made.
        self.retry_after_seconds = retry_after_seconds
        #: The service's name for the reason, such as `rate-exceeded` or `share-full`, where it gave one.
        self.code = code
        #: Whether a retry may help.
        self.may_pass = may_pass
        super().__init__(message)


class Refused(LatchdError):
    """The service understood and will not do it: a credential, a right, a limit, a wrong value."""

    def __init__(self, message: str, status: int, code: str | None = None) -> None:
        #: The HTTP status; 200 where the refusal stood in an answer.
        self.status = status
        #: The service's name for it, such as `LockSizeMismatch`, where it has one.
        self.code = code
        super().__init__(message)


class HoldGone(Refused):
    """There is no such hold any more. Handled inside this package."""


class SessionEnded(Refused):
    """The session of the request has ended. Handled inside this package."""


class CutShort(Unreachable):
    """An attempt timed out. Handled inside this package."""


class HoldEnded(Refused):
    """The hold of an earlier attempt ended before its answer arrived. Handled inside this package."""
