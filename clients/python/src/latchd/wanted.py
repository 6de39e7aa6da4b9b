"""What a client asks for: which locks, in which mode, and how much of them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence

Mode = typing.Literal["exclusive", "shared"]
#: A lock, or several: each by its name, or with a mode of its own.
Names = typing.Union[str, Sequence[typing.Union[str, tuple[str, Mode]]]]

_FOREVER = float("inf")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A request for one lock or for several, as it is sent except for its wait."""

    #: The locks and whether each is to be shared.
    places: tuple[tuple[str, bool], ...]
    lease: float
    body: Mapping[str, object]
    #: Where it is asked for.
    path: str = "/v1/lock"
    query: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.places)

    @property
    def is_counted(self) -> bool:
        """Whether several may have it, each by its place."""
        return self.body.get("size", 1) != 1

    @property
    def shown(self) -> str:
        """The names, for a message."""
        return ", ".join(map(repr, self.names))

    @classmethod
    def of(
        cls,
        names: Names,
        *,
        lease: float,
        size: int | None,
        mode: Mode | None,
        weight: int | None,
        lock_delay: float | None,
    ) -> Wanted:
        if not 0 < lease < _FOREVER:
            raise ValueError(f"lease must be a number of seconds above 0, not {lease}")
        if mode is not None and size is not None:
            raise ValueError("mode goes without size: a counted lock is neither shared nor exclusive")
        if weight is not None and size is None:
            raise ValueError("weight goes with size: only a counted lock has places")
        places = [(names, mode)] if isinstance(names, str) else [_place(each, mode) for each in names]
        if not places:
            raise ValueError("names is empty")
        if len(places) > 1 and size is not None:
            raise ValueError("size goes with one name: several are shared or exclusive")
        body: dict[str, object] = {"lock_timeout_seconds": lease}
        if len(places) == 1:
            [(body["name"], mode)] = places
            if mode is None:
                # As older services want it.
                body["size"] = 1 if size is None else size
            else:
                body["mode"] = mode
        else:
            body["names"] = [name if mode is None else {"name": name, "mode": mode} for name, mode in places]
        if weight is not None:
            body["weight"] = weight
        if lock_delay is not None:
            body["lock_delay_seconds"] = lock_delay
        return cls(tuple((name, mode == "shared") for name, mode in places), lease, body)


def _place(each: str | tuple[str, Mode], mode: Mode | None) -> tuple[str, Mode | None]:
    if isinstance(each, str):
        return each, mode
    name, own = each
    return name, own


def of_hold(names: tuple[str, ...]) -> dict[str, object]:
    """How a request names a hold."""
    return {"name": names[0]} if len(names) == 1 else {"names": list(names)}
