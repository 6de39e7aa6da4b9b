"""Which session an owner uses: a thread, or a task of asyncio. The service looks for deadlocks among sessions, so owners that
hold or wait have each their own; one that does neither any more leaves it to the next."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from .wire import Session


@dataclasses.dataclass
class _Used:
    session: Session
    owner: int
    #: Whether somebody else may give it a hold.
    is_told: bool = False


class Sessions:
    """Those that are open. The caller sees to it that only one thread at a time asks. `owner` tells who asks."""

    def __init__(self, owner: Callable[[], int]) -> None:
        self._owner = owner
        self._used: list[_Used] = []
        #: The owners that are acquiring.
        self._busy: set[int] = set()

    def mine(self, held: list[Session]) -> Session | None:
        """That of this owner, or one without holds that no other uses."""
        owner = self._owner()
        own = [used for used in self._used if used.owner == owner]
        ids = {session.id for session in held}
        free = [used for used in self._used if used.owner not in self._busy and used.session.id not in ids]
        for used in own + free:
            used.owner = owner
            return used.session
        return None

    def add(self, session: Session) -> None:
        """Opened by this owner."""
        self._used.append(_Used(session, self._owner()))

    def tell(self, session: Session) -> None:
        """Somebody else hears of it."""
        for used in self._used:
            used.is_told = used.is_told or used.session is session

    def retire(self, session: Session) -> bool:
        """Removes one that nobody else has heard of; whether it was one."""
        found = [used for used in self._used if used.session is session and not used.is_told]
        self._used = [used for used in self._used if used not in found]
        return bool(found)

    def find(self, id: str) -> Session | None:
        return next((used.session for used in self._used if used.session.id == id), None)

    def remove(self, session: Session) -> None:
        self._used = [used for used in self._used if used.session is not session]

    def take_all(self) -> list[Session]:
        sessions, self._used = [used.session for used in self._used], []
        return sessions

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """No other owner is given the session of this one meanwhile."""
        owner = self._owner()
        self._busy.add(owner)
        try:
            yield
        finally:
            self._busy.discard(owner)
