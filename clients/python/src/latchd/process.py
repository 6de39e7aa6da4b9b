"""Tells a forked child from its parent. An object that belongs to a process stores `current()` when it is made, and
compares it before it is used."""

from __future__ import annotations

import os
from collections.abc import Callable

#: Process ids are reused: a grandchild may have the id of its grandparent.
_forks = 0

Process = tuple[int, int]


def current() -> Process:
    """The same for as long as this is one process, another one in its children."""
    return os.getpid(), _forks


def in_child(begin: Callable[[], object]) -> None:
    """Has it called in each forked child, before anything else runs there."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=begin)


def _count() -> None:
    global _forks
    _forks += 1


in_child(_count)
