"""Which session a thread uses. The service looks for deadlocks among sessions, so threads that hold or wait have each their
own; one that does neither any more leaves it to the next."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator

from .wire import Session


@dataclasses.dataclass
class _Used:
    session: Session
    thread: int


class Sessions:
    """Those that are open. The caller sees to it that only one thread at a time asks."""

    def __init__(self) -> None:
        self._used: list[_Used] = []
        #: The threads that are acquiring.
        self._busy: set[int] = set()

    def mine(self, held: list[Session]) -> Session | None:
        """That of this thread, or one without holds that no other thread uses."""
        thread = threading.get_ident()
        own = [used for used in self._used if used.thread == thread]
        ids = {session.id for session in held}
        free = [used for used in self._used if used.thread not in self._busy and used.session.id not in ids]
        for used in own + free:
            used.thread = thread
            return used.session
        return None

    def add(self, session: Session) -> None:
        """Opened by this thread."""
        self._used.append(_Used(session, threading.get_ident()))

    def find(self, id: str) -> Session | None:
        return next((used.session for used in self._used if used.session.id == id), None)

    def remove(self, session: Session) -> None:
        self._used = [used for used in self._used if used.session is not session]

    def take_all(self) -> list[Session]:
        sessions, self._used = [used.session for used in self._used], []
        return sessions

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """No other thread is given the session of this one meanwhile."""
        thread = threading.get_ident()
        self._busy.add(thread)
        try:
            yield
        finally:
            self._busy.discard(thread)
