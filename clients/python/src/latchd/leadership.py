"""A hold whose owner leads an election."""

from __future__ import annotations

from collections.abc import Callable

from .blocking import Blocking
from .election import set_value
from .hold import Hold
from .service import Service
from .wire import Granted


class Leadership(Hold):
    """The lead in an election, until this process resigns, or it is lost. It is a `Hold`: `lost`, `check`, `wait_lost`,
    `remaining` and `on_lost` are those of locks, and `release` resigns, as the end of the block does."""

    def __init__(
        self,
        blocking: Blocking,
        service: Service,
        granted: Granted,
        on_lost: Callable[[Hold], object] | None,
        value: str,
    ) -> None:
        super().__init__(blocking, service, granted, on_lost)
        #: What it says about itself.
        self.value = value

    def set_value(self, value: str) -> None:
        """Says something else from now on; the token stays. Raises `LockLost` if the lead is lost."""
        self._blocking.run(set_value(self, value))
        self.value = value
