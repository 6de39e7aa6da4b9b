"""What the client does, without how it waits: generators that yield whatever has to be waited for. `blocking` carries them out
on the calling thread, `aio` in a task."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Generator, Mapping


class Flag(typing.Protocol):
    """An event, of threads or of tasks."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One sending of a request. It gives a `Reply`, and raises `Unreachable`, or `CutShort` after its time."""

    method: str
    #: With its query, encoded.
    url: str
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    body: bytes | None = dataclasses.field(repr=False)
    seconds: float
    #: What takes back what it did, by its reply, where nobody waits for that any more.
    undo: Callable[[Reply], Steps[None]] | None = None


@dataclasses.dataclass(frozen=True)
class Reply:
    """Whatever came back."""

    status: int
    #: Found in either case of letters.
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    content: bytes = dataclasses.field(repr=False)
    #: Closes the connections: what else comes on them may be mixed up too.
    distrust: Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Pause:
    seconds: float


@dataclasses.dataclass(frozen=True)
class Until:
    """A wait for the flag, until that moment at most. It gives whether the flag is set."""

    flag: Flag
    moment: float


_Result = typing.TypeVar("_Result")

Effect = typing.Union[Attempt, Pause, Until]
Steps = Generator[Effect, typing.Any, _Result]
