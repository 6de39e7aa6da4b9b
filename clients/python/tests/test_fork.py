"""Forked children: what is the parent's stays the parent's."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import textwrap
import time

import pytest
from servers import Server

from latchd import Client, LockLost

_SOURCE = pathlib.Path(__file__).parent.parent / "src"


def run(url: str, script: str, *arguments: str) -> str:
    """What a program prints that begins with a client of its own; its children too."""
    begin = f"import os, sys, time\nfrom latchd import *\nclient = Client({url!r})\n"
    environment = {**os.environ, "PYTHONPATH": str(_SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", begin + textwrap.dedent(script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "ending",
    [
        "sys.exit()",
        "raise SystemExit(0)",
        "hold.__exit__(None, None, None); client.close(); sys.exit()",
        "import gc; del hold, client; gc.collect(); sys.exit()",
        "pass",
    ],
)
def test_child_leaving_the_block_releases_nothing(shared: Server, ending: str) -> None:
    said = run(
        shared.url,
        f"""
        with Client({shared.url!r}) as client, client.lock("block", lease=4) as hold:
            child = os.fork()
            if child == 0:
                {ending}
            if child:
                assert os.waitpid(child, 0)[1] == 0
                # Renewed still, under the same session, on connections that nobody else has used.
                renewed_until = hold._keeper.until
                while hold._keeper.until == renewed_until:
                    assert not hold.wait_lost(0.01)
                with Client({shared.url!r}) as other:
                    [holder] = other.show("block").holders
                    assert holder.fencing_token == hold.fencing_token
                    assert other.try_lock("block") is None
        if child:
            with Client({shared.url!r}) as other:
                assert other.show("block") is None
            print("kept")
        """,
    )
    assert said == "kept\n"


def test_hold_in_child_names_its_parent(shared: Server) -> None:
    said = run(
        shared.url,
        """
        with client.lock("whose") as hold:
            child = os.fork()
            if child == 0:
                for use in (
                    lambda: hold.lost,
                    lambda: hold.remaining,
                    lambda: hold.wait_lost(0),
                    hold.check,
                    hold.release,
                ):
                    try:
                        use()
                    except WrongProcess as error:
                        assert f"belongs to process {os.getppid()}" in str(error), error
                    else:
                        raise AssertionError(use)
                assert "of another process" in repr(hold) and hold.fencing_token > 0
                print("told", flush=True)
                os._exit(0)
            os.waitpid(child, 0)
            hold.check()
        """,
    )
    assert said == "told\n"


def test_child_has_its_own_session_and_connections(shared: Server) -> None:
    said = run(
        shared.url,
        """
        import stat
        def sockets():
            return [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")
                    and stat.S_ISSOCK(os.stat(f"/proc/self/fd/{fd}").st_mode)]
        hold = client.lock("parents")
        parents = client.session_id()
        assert len(sockets()) == 1
        child = os.fork()
        if child == 0:
            assert sockets() == [], "the parent's connections are closed here"
            assert client.try_lock("parents") is None
            own = client.lock("childs")
            assert client.session_id() != parents
            with client.lock("another"):
                pass
            client.close()
            assert own.lost
            try:
                client.lock("more")
            except RuntimeError:
                print("closed", flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        assert not hold.lost and client.show("childs") is None
        hold.release()
        """,
    )
    assert said == "closed\n"


def test_child_of_waiting_threads_blocks_no_client(shared: Server) -> None:
    said = run(
        shared.url,
        f"""
        import threading
        other = Client({shared.url!r})
        held = other.lock("waited")
        granted = []
        waiters = [threading.Thread(target=lambda: granted.append(client.lock("waited", size=1, wait=30).release()))
                   for _ in range(8)]
        for waiter in waiters:
            waiter.start()
        while other.show("waited").queue_length < 8:
            time.sleep(0.01)
        children = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                with client.lock(f"of {{os.getpid()}}", wait=10) as hold:
                    assert hold.name == f"of {{os.getpid()}}"
                sys.exit()
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 20
        held.release()
        for waiter in waiters:
            waiter.join(30)
        print(len(granted))
        """,
    )
    assert said == "8\n"


def test_fork_during_a_call_leaves_the_call_to_the_parent(shared: Server) -> None:
    said = run(
        shared.url,
        f"""
        import signal, threading
        held = Client({shared.url!r}).lock("called")
        children = []
        def fork(*_):
            children.append(os.fork())
            if children[0]:
                threading.Timer(0.5, held.release).start()
        signal.signal(signal.SIGALRM, fork)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            with client.lock("called", wait=20) as hold:
                print("parent" if children[0] else "child", flush=True)
        except WrongProcess:
            assert children == [0]
            time.sleep(2)
            sys.exit()
        assert os.waitpid(children[0], 0)[1] == 0
        """,
    )
    assert said == "parent\n"


def test_six_workers_forked_after_first_use_exclude_each_other(shared: Server, tmp_path: pathlib.Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    said = run(
        shared.url,
        """
        path = sys.argv[1]
        def work(name):
            with client.lock(name, wait=30) as hold:
                assert hold.name == name and hold.remaining > 0
                with open(path + ".held", "x"):
                    seen = int(open(path).read())
                    time.sleep(0.002)
                    open(path, "w").write(str(seen + 1))
                os.unlink(path + ".held")
            shown = client.show(f"own {os.getpid()}")
            assert shown is None, shown
            with client.lock(f"own {os.getpid()}") as own:
                shown = client.show(own.name)
                assert [h.fencing_token for h in shown.holders] == [own.fencing_token]
        work("shared")
        children = []
        for _ in range(6):
            child = os.fork()
            if child == 0:
                for _ in range(20):
                    work("shared")
                sys.exit()
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
        work("shared")
        print(open(path).read())
        """,
        str(counter),
    )
    assert said == "122\n"


def test_multiprocessing_pool_uses_inherited_client(shared: Server) -> None:
    said = run(
        shared.url,
        """
        import multiprocessing
        def work(number):
            with client.lock("of a pool", wait=30) as hold:
                return hold.fencing_token
        with client.lock("before"):
            with multiprocessing.get_context("fork").Pool(4) as pool:
                tokens = pool.map(work, range(40))
        assert len(set(tokens)) == 40
        print("done")
        """,
    )
    assert said == "done\n"


def test_waiter_of_killed_parent_is_skipped_while_child_lives(
    shared: Server, client: Client
) -> None:
    held = client.lock("orphaned")
    script = f"""
import os, sys, threading, time
sys.path.insert(0, {str(_SOURCE)!r})
from latchd import Client
client = Client({shared.url!r})
threading.Thread(target=client.lock, args=["orphaned"], kwargs={{"wait": 60}}).start()
other = Client({shared.url!r})
while other.show("orphaned").queue_length < 1:
    time.sleep(0.01)
if os.fork() == 0:
    os.close(1)
    sys.stdin.read()
    os._exit(0)
print("waiting", flush=True)
os.kill(os.getpid(), 9)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None and parent.stdout is not None and parent.stdout.read() == b"waiting\n"
    parent.wait()
    # Its place is kept for a retry, and passed over meanwhile.
    begun = time.monotonic()
    held.release()
    with client.lock("orphaned", wait=20):
        assert time.monotonic() - begun < 15, "nobody is asked to take it whose process is gone"
    parent.stdin.close()


def test_close_in_parent_ends_only_the_parents_holds(shared: Server) -> None:
    client = Client(shared.url)
    hold = client.lock("closing")
    child = os.fork()
    if child == 0:
        try:
            client.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    hold.check()
    client.close()
    with pytest.raises(LockLost, match="closed"):
        hold.check()
