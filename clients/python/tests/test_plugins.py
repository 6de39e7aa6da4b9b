"""The plug-ins with the libraries that they serve, and the package as it is published."""

from __future__ import annotations

import email
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import typing
import urllib.request
import zipfile
from collections.abc import Iterator

import pytest
import tooz
from celery import Celery
from celery_once import AlreadyQueued, QueueOnce
from oslo_utils import netutils
from servers import Server

from latchd import Client, Frozen, Unreachable
from latchd.plugins import celery_once as once
from latchd.plugins.tooz import LatchdDriver

_PROJECT = pathlib.Path(__file__).parent.parent


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The wheel, unpacked: what an installation puts on the import path."""
    home = tmp_path_factory.mktemp("package")
    shutil.copytree(_PROJECT, home / "project", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*build, "--no-build-isolation", "-w", str(home), str(home / "project")], check=True)
    [wheel] = home.glob("latchd-*-py3-none-any.whl")
    zipfile.ZipFile(wheel).extractall(home / "installed")
    return home / "installed"


def test_wheel_has_every_module_and_says_what_it_needs(package: pathlib.Path) -> None:
    source = _PROJECT / "src"
    modules = {str(file.relative_to(source)) for file in source.rglob("*.py")}
    packed = {str(file.relative_to(package)) for file in package.rglob("*.py")}
    assert packed == modules and (package / "latchd/py.typed").exists()
    [described] = package.glob("latchd-*.dist-info")
    metadata = email.message_from_string((described / "METADATA").read_text())
    assert set(metadata.get_all("Provides-Extra") or []) == {"asyncio", "tooz", "celery-once"}
    assert metadata["Version"] and metadata["Description-Content-Type"] == "text/markdown"
    assert "latchd+http = latchd.plugins.tooz:LatchdDriver" in (described / "entry_points.txt").read_text()


def test_locks_pass_the_tests_of_tooz(shared: Server, package: pathlib.Path, tmp_path: pathlib.Path) -> None:
    # Its tests import the drivers of others, one of which needs a C library.
    (tmp_path / "sysv_ipc.py").write_text("KEY_MIN, KEY_MAX, SEMAPHORE_TIMEOUT_SUPPORTED = 0, 1, False\n")
    url = shared.url.replace("http://", "latchd+http://")
    environment = {**os.environ, "PYTHONPATH": f"{package}:{tmp_path}", "TOOZ_TEST_URL": url}
    environment["XDG_CACHE_HOME"] = str(tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
    done = subprocess.run(
        [*command, "--pyargs", "tooz.tests.test_coordination", "-k", "TestAPI"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) > 30, done.stdout
    reasons = set(re.findall(r"SKIPPED .*?: (.*)", done.stdout))
    groups = {"not implemented", "latchd has no groups"}
    others = {reason for reason in reasons if "heartbeating not required" in reason or "destroy groups" in reason}
    assert reasons == groups | others, "only what is about groups and heartbeats is not there"


@pytest.fixture
def coordinators(shared: Server) -> Iterator[tuple[LatchdDriver, LatchdDriver]]:
    place = shared.url.removeprefix("http://")
    made = [_driver(place, member) for member in (b"one", b"two")]
    for each in made:
        each.start()
    yield made[0], made[1]
    for each in made:
        each.stop()


def _driver(place: str, member: bytes, **options: typing.Any) -> LatchdDriver:
    url = f"latchd+http://{place}"
    return LatchdDriver(member, netutils.urlsplit(url), options)


def test_tooz_elects_one_leader_and_the_next_after_it(coordinators: tuple[LatchdDriver, LatchdDriver]) -> None:
    one, two = coordinators
    told: list[bytes] = []
    for each in (one, two):
        each.watch_elected_as_leader(b"group", lambda event: told.append(event.member_id))
        each.run_watchers()
        each.run_watchers()
    assert told == [b"one"] and two.get_leader(b"group").get() == b"one"
    assert not two.stand_down_group_leader(b"group") and one.stand_down_group_leader(b"group")
    # Nobody else is elected for as long as the answer above is reliable, which is a second at most.
    end = time.monotonic() + 60
    while len(told) < 2 and time.monotonic() < end:
        time.sleep(0.05)
        two.run_watchers()
    assert told == [b"one", b"two"] and one.get_leader(b"group").get() == b"two"
    with pytest.raises(tooz.NotImplemented):
        one.create_group(b"group")
    with pytest.raises(tooz.NotImplemented):
        one.watch_join_group(b"group", lambda event: None)


def test_tooz_lock_waits_shares_and_tells_its_token(coordinators: tuple[LatchdDriver, LatchdDriver]) -> None:
    one, two = (each.get_lock(b"of tooz") for each in coordinators)
    assert one.acquire(shared=True) and two.acquire(blocking=False, shared=True)
    assert not two.acquire(timeout=0.1) and not two.acquire(blocking=0.1)
    first = one.fencing_token
    assert one.release() and two.release() and not one.is_still_owner()
    assert two.acquire() and two.fencing_token > first and two.acquired
    waiting = threading.Timer(0.2, two.release)
    waiting.start()
    assert one.acquire(timeout=30)
    waiting.join()
    assert one.release()
    with pytest.raises(tooz.ToozError, match="not held"):
        one.fencing_token


def test_tooz_options_are_checked(server: Server) -> None:
    for options, said in (({"lees": ["30"]}, "is no option of latchd"), ({"lease": ["x"]}, "lease must be a number")):
        with pytest.raises(tooz.ToozError, match=said):
            _driver("localhost:1", b"one", **options)
    driver = _driver("localhost:1", b"one", verify=["false"], nodes=["b:2,c:3"], prefix=["p/"])
    assert driver._urls == ["http://localhost:1", "http://b:2", "http://c:3"] and driver.named(b"a") == "p/a"
    assert driver._settings["verify"] is False
    with pytest.raises(tooz.ToozError, match="is no UTF-8"):
        driver.get_lock(b"\xff")
    with pytest.raises(tooz.ToozError, match="not started"):
        driver.get_lock(b"a").acquire()


def test_tooz_lock_is_broken_by_administrators_only() -> None:
    server = Server("--password", "s3same/")
    try:
        driver = _driver(f":s3same%2F@{server.url.removeprefix('http://')}", b"one")
        driver.start()
        lock = driver.get_lock(b"held")
        assert lock.acquire() and "s3same" not in repr(vars(lock))
        driver.stop()
        with pytest.raises(tooz.ToozError, match="password or an API key is needed"):
            _driver(server.url.removeprefix("http://"), b"two").start()
    finally:
        server.end()


def test_task_is_queued_once_until_it_has_run(shared: Server, client: Client) -> None:
    app = Celery("tasks", broker="memory://")
    app.conf.task_always_eager = True
    app.conf.ONCE = {
        "backend": "latchd.plugins.celery_once.Latchd",
        "settings": {"url": shared.url, "default_timeout": 60, "prefix": "once/"},
    }
    inside: list[object] = []

    @app.task(base=QueueOnce)  # type: ignore[untyped-decorator]
    def work(number: int) -> int:
        if not inside:
            with pytest.raises(AlreadyQueued) as refused:
                work.delay(number)
            inside.append(refused.value.countdown)
            inside.append(work.apply_async(args=[number + 1]).result)
        return number

    assert work.delay(1).get() == 1
    countdown, other = inside
    assert isinstance(countdown, float) and 55 < countdown <= 60 and other == 2
    assert work.delay(1).get() == 1, "it was released"


def test_lock_of_celery_once_is_released_by_another_process(shared: Server, client: Client) -> None:
    settings = {"url": shared.url, "secret": "of all workers"}
    once.Latchd(settings).raise_or_lock("k", timeout=60)
    shown = client.show("k")
    assert shown and shown.holders[0].metadata["pid"] == str(os.getpid())
    assert once.Latchd({**settings, "secret": "another"}).clear_lock("k") == 0
    with pytest.raises(AlreadyQueued):
        once.Latchd(settings).raise_or_lock("k", timeout=60)
    script = f"from latchd.plugins.celery_once import Latchd; print(Latchd({settings!r}).clear_lock('k'))"
    environment = {**os.environ, "PYTHONPATH": str(_PROJECT / "src")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=100)
    assert done.stdout == "1\n", done.stderr
    assert client.show("k") is None and once.Latchd(settings).clear_lock("k") == 0


def test_lock_of_celery_once_ends_with_its_timeout_and_is_waited_for(server: Server) -> None:
    backend = once.Latchd({"url": server.url})
    begun = time.monotonic()
    backend.raise_or_lock("timed", timeout=0.7)
    once.Latchd({"url": server.url, "blocking": True, "blocking_timeout": 30}).raise_or_lock("timed", timeout=60)
    assert 0.7 <= time.monotonic() - begun < 25
    with pytest.raises(AlreadyQueued):
        backend.raise_or_lock("timed", timeout=60)
    assert backend.clear_lock("timed") == 1
    with urllib.request.urlopen(f"{server.url}/v1/sessions") as answer:
        assert not json.load(answer)["sessions"], "neither of those that have ended nor of the one that was refused"


def test_frozen_task_is_not_queued_and_its_caller_is_told_why(shared: Server) -> None:
    backend = once.Latchd({"url": shared.url})
    backend.raise_or_lock("once-frozen", timeout=60)
    shared.freeze("once-frozen", "release 7")
    with pytest.raises(AlreadyQueued):
        backend.raise_or_lock("once-frozen", timeout=60)
    assert backend.clear_lock("once-frozen") == 1
    with pytest.raises(Frozen, match="release 7"):
        backend.raise_or_lock("once-frozen", timeout=60)


def test_celery_once_seals_the_session(shared: Server, client: Client) -> None:
    backend = once.Latchd({"url": shared.url, "secret": "s"})
    backend.raise_or_lock("sealed", timeout=60)
    shown = client.show("sealed")
    assert shown
    sealed = shown.holders[0].metadata["celery-once"]
    session = backend._unseal(sealed)
    assert session and session not in sealed and backend._seal(session) != backend._seal(session)
    assert once.Latchd({"url": shared.url, "secret": "t"})._unseal(sealed) != session
    assert backend._unseal("zz") is None and backend._unseal("00" * 100) is None
    backend.clear_lock("sealed")


def test_celery_once_reports_a_service_that_is_not_there(server: Server) -> None:
    server.kill()
    with pytest.raises(Unreachable):
        once.Latchd({"url": server.url, "patience": 0.2}).raise_or_lock("a", timeout=60)
    with pytest.raises(Unreachable):
        once.Latchd({"url": server.url, "patience": 0.2}).clear_lock("a")
