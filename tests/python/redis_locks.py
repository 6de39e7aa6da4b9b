"""The published lock libraries of Python against the Redis protocol of a started server, as their users call them."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pottery
import redis
import redis.exceptions
import redis_lock
import redlock

URL, USER_URL = sys.argv[1], sys.argv[2]
"""With the admin's key, and with that of a client of the prefix `user/`."""


def refused(error, call):
    """The error that the call ends with."""
    try:
        call()
    except error as refusal:
        return str(refusal)
    raise AssertionError(f"no {error.__name__}")


def redis_py(protocol):
    client = redis.Redis.from_url(URL, protocol=protocol, client_name="worker-7")
    name = f"redis-py-{protocol}"
    assert client.ping() and client.client_getname() in ("worker-7", b"worker-7")
    with client.lock(name, timeout=30) as lock:
        assert lock.owned() and lock.locked()
        assert not client.lock(name, timeout=30, blocking=False).acquire()
        assert 29_000 < client.pttl(name) <= 30_000
        assert lock.extend(30) and 58_000 < client.pttl(name) <= 60_000
        assert lock.extend(20, replace_ttl=True) and 19_000 < client.pttl(name) <= 20_000
        assert lock.reacquire() and 29_000 < client.pttl(name) <= 30_000
        token = client.execute_command("LATCHD.TOKEN", name, lock.local.token)
        assert token > 0 and client.execute_command("LATCHD.TOKEN", name, "not mine") is None
    assert client.get(name) is None and client.pttl(name) == -2
    refused(redis.exceptions.LockError, lock.release)
    short = client.lock(name, timeout=0.05)
    assert short.acquire()
    waiting = client.lock(name, timeout=30, sleep=0.01)
    assert waiting.acquire(blocking_timeout=10), "the lease has ended"
    refused(redis.exceptions.LockNotOwnedError, lambda: short.extend(1))
    refused(redis.exceptions.LockNotOwnedError, short.reacquire)
    refused(redis.exceptions.LockNotOwnedError, short.release)
    assert client.execute_command("LATCHD.TOKEN", name) > token
    refused(redis.exceptions.LockError, lambda: client.lock(name, blocking_timeout=0.05, sleep=0.01).__enter__())
    waiting.release()


def redis_py_threads():
    client = redis.Redis.from_url(URL)
    local, shared = (client.lock(f"threads-{of}", timeout=30, thread_local=of == "local") for of in ("local", "shared"))
    assert local.acquire() and shared.acquire()
    with ThreadPoolExecutor(1) as other:
        # redis-py has no token of another thread, not even an empty one.
        other.submit(refused, AttributeError, local.release).result()
        other.submit(shared.release).result()
    assert local.owned()
    local.release()


def redis_py_excludes():
    """One at a time, among threads with connections of their own."""
    client, inside, most, lock = redis.Redis.from_url(URL), 0, 0, threading.Lock()

    def work(_):
        nonlocal inside, most
        with client.lock("excludes", timeout=30, sleep=0.001):
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(64)))
    assert most == 1, most


def redis_py_keys():
    """The commands of programs that lock without a class for it."""
    client = redis.Redis.from_url(URL, single_connection_client=True)
    other = redis.Redis.from_url(USER_URL, single_connection_client=True)
    assert client.set("user/keys", "1", nx=True, ex=30) and client.ttl("user/keys") == 30
    assert other.set("user/keys", "1", nx=True, ex=30) is None, "a constant value excludes as any other"
    assert not other.setnx("user/keys", "1") and other.exists("user/keys") == 1
    refused(redis.exceptions.NoPermissionError, lambda: other.delete("user/keys"))
    refused(redis.exceptions.NoPermissionError, lambda: other.set("user/keys", "2"))
    refused(redis.exceptions.NoPermissionError, lambda: other.expire("user/keys", 1))
    refused(redis.exceptions.NoPermissionError, lambda: other.set("elsewhere", "1", nx=True))
    assert client.expire("user/keys", 60) and client.ttl("user/keys") == 60
    assert client.mget("user/keys", "user/none") == [b"1", None]
    assert client.delete("user/keys") == 1 and client.delete("user/keys") == 0
    assert other.setnx("user/keys", b"\xff\x00") and other.get("user/keys") == b"\xff\x00"
    assert client.set("user/keys", "mine"), "an admin forces"
    assert other.get("user/keys") == b"mine" and other.unlink("user/none") == 0
    assert client.set("user/keys", "mine", xx=True, px=5_000) and client.pttl("user/keys") <= 5_000
    assert client.set("user/none", "mine", xx=True) is None and client.delete("user/keys") == 1
    for seconds in (0, -1):
        refused(redis.exceptions.ResponseError, lambda: client.set("user/keys", "1", nx=True, ex=seconds))
    assert "UTF-8" in refused(redis.exceptions.ResponseError, lambda: client.get(b"\xff"))
    assert "lock commands" in refused(redis.exceptions.ResponseError, lambda: client.lpush("list", 1))
    assert "runs no Lua" in refused(redis.exceptions.ResponseError, lambda: client.eval("return 1", 0))


def redlock_py():
    locks = redlock.Redlock([URL])
    held = locks.lock("redlock-py", 30_000)
    assert held and not redlock.Redlock([URL], retry_count=1).lock("redlock-py", 30_000)
    locks.unlock(held)
    assert locks.lock("redlock-py", 30_000)


def pottery_redlock():
    masters = {redis.Redis.from_url(URL)}
    one, other = (pottery.Redlock(key="pottery", masters=masters, auto_release_time=30) for _ in range(2))
    assert one.acquire() and not other.acquire(blocking=False)
    assert 29 < one.locked() <= 30 and other.locked() == 0
    one.extend()
    assert 29 < one.locked() <= 30
    one.release()
    refused(pottery.ReleaseUnlockedLock, one.release)
    with other:
        assert other.locked()


def python_redis_lock():
    """Without waiting, which needs lists."""
    client = redis.StrictRedis.from_url(URL)
    one, other = (redis_lock.Lock(client, "python-redis-lock", expire=30) for _ in range(2))
    assert one.acquire(blocking=False) and not other.acquire(blocking=False)
    one.extend(60)
    assert client.ttl("lock:python-redis-lock") == 60 and one.locked()
    one.release()
    refused(redis_lock.NotAcquired, one.release)
    assert other.acquire(blocking=False)
    assert "lock commands" in refused(redis.exceptions.ResponseError, one.acquire)


def wrong_credential():
    wrong = redis.Redis.from_url(URL.replace("//:", "//:not-"))
    refused(redis.exceptions.AuthenticationError, wrong.ping)


begun = time.monotonic()
for scenario in (
    lambda: redis_py(2),
    lambda: redis_py(3),
    redis_py_threads,
    redis_py_excludes,
    redis_py_keys,
    redlock_py,
    pottery_redlock,
    python_redis_lock,
    wrong_credential,
):
    scenario()
    print(f"{scenario.__name__} after {time.monotonic() - begun:.2f} s")
print("all passed")
