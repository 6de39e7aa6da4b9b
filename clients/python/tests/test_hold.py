"""What becomes of a hold without its holder, and of many."""

from __future__ import annotations

import concurrent.futures
import copy
import gc
import logging
import pickle
import threading
import time
import warnings

import pytest
from servers import Server

from latchd import Client, Hold


def keepers(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == f"latchd {name}"]


def until_gone(name: str) -> None:
    end = time.monotonic() + 60
    while keepers(name):
        assert time.monotonic() < end
        # Its thread may refer to it for a moment.
        gc.collect()
        time.sleep(0.01)


def test_dropped_hold_warns_and_ends_with_its_lease(
    client: Client, other: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.warns(ResourceWarning, match="'dropped' was dropped"):
        client.lock("dropped", lease=2)
        gc.collect()
    until_gone("dropped")
    assert "dropped without a release" in caplog.text
    assert not client._service.keepers
    other.lock("dropped", wait=30).release()


class Worker:
    """Refers to its hold, which refers to it: only a search for cycles finds them."""

    def __init__(self, client: Client) -> None:
        self.told: list[Hold] = []
        self.hold = client.lock("in a cycle", on_lost=self.lost)

    def lost(self, hold: Hold) -> None:
        self.told.append(hold)


def test_hold_in_reference_cycle_is_dropped_with_it(client: Client) -> None:
    worker = Worker(client)
    assert keepers("in a cycle")
    with pytest.warns(ResourceWarning):
        # Any allocation may begin a collection from here on.
        del worker
        until_gone("in a cycle")


def test_hold_of_dropped_client_is_kept(shared: Server, other: Client) -> None:
    hold = Client(shared.url).lock("client gone", lease=4)
    gc.collect()
    first = hold._keeper.until
    while hold._keeper.until == first:
        assert not hold.wait_lost(0.01)
    assert other.try_lock("client gone") is None
    hold.release()


def test_released_hold_warns_of_nothing(client: Client) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with client.lock("quiet"):
            pass
        client.lock("quiet").release()
        gc.collect()


def test_hold_cannot_be_copied_or_pickled(client: Client) -> None:
    with client.lock("mine") as hold:
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="belongs to its process"):
                copied(hold)
            with pytest.raises(TypeError, match="belongs to its process"):
                copied(client)


def test_hundred_threads_cause_no_warning(
    client: Client, other: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """All call at once, and have a connection each to give back afterwards."""
    held = other.lock("crowd")
    with caplog.at_level(logging.WARNING, "urllib3"), concurrent.futures.ThreadPoolExecutor(100) as pool:
        waiting = [pool.submit(client.lock, "crowd", wait=60) for _ in range(100)]
        while (shown := other.show("crowd")) is None or shown.queue_length < 100:
            time.sleep(0.01)
        held.release()
        for granted in concurrent.futures.as_completed(waiting):
            granted.result().release()
    assert not [record for record in caplog.records if record.name.startswith("urllib3")]
