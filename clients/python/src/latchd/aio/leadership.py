"""A hold whose owner leads an election."""

from __future__ import annotations

from collections.abc import Callable

from ..election import set_value
from ..service import Service
from ..wire import Granted
from .hold import AsyncHold
from .tasks import Suspending


class AsyncLeadership(AsyncHold):
    """The lead in an election, until this process resigns, or it is lost. It is an `AsyncHold`: `lost`, `check`,
    `wait_lost`, `remaining` and `on_lost` are those of locks, and `release` resigns, as the end of the block does."""

    def __init__(
        self,
        suspending: Suspending,
        service: Service,
        granted: Granted,
        on_lost: Callable[[AsyncHold], object] | None,
        cancel_on_loss: bool,
        value: str,
    ) -> None:
        super().__init__(suspending, service, granted, on_lost, cancel_on_loss)
        #: What it says about itself.
        self.value = value

    async def set_value(self, value: str) -> None:
        """Says something else from now on; the token stays. Raises `LockLost` if the lead is lost."""
        await self._suspending.run(set_value(self, value))
        self.value = value
