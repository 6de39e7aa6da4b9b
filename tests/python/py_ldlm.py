"""The published py-ldlm, unmodified, against a started server; its synchronous client and its asyncio one go through
the same scenarios.

    py_ldlm.py ADDRESS [--password P] [--ca FILE [--cert FILE --key FILE]]

Ends with "all passed", or with the name of the scenario that failed and why. PYTHONPATH says which py-ldlm it is.
"""

import argparse
import asyncio
import concurrent.futures
import contextlib
import functools
import inspect
import os
import subprocess
import sys
import time
import traceback

import grpc
from ldlm import AsyncClient, Client, TLSConfig, exceptions
from ldlm.protos import ldlm_pb2

RENEWS = hasattr(Client, "renew")
AUTO_RENEW = "auto_renew_locks" if RENEWS else "auto_refresh_locks"
# The shortest lock timeout that py-ldlm renews in time: it never renews more often than every 10 s.
RENEWED_TIMEOUT, RENEWAL_INTERVAL = 12, 10


async def call(function, *arguments, **named):
    """Calls a method of either client; one that blocks does so in a thread of its own."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments, **named)
    return await asyncio.to_thread(function, *arguments, **named)


@contextlib.asynccontextmanager
async def entered(manager):
    """Either client's context manager."""
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


async def error_of(wanted, function, *arguments, **named):
    """The exception that a call raises, which must be of exactly this class."""
    try:
        answer = await call(function, *arguments, **named)
    except Exception as error:
        assert type(error) is wanted, f"{wanted.__name__} was expected, not {error!r}"
        return error
    raise AssertionError(f"{wanted.__name__} was expected, not the answer {answer!r}")


async def refused(wanted, message, function, *arguments, **named):
    error = await error_of(wanted, function, *arguments, **named)
    assert error.message == message, error.message


def raw(client):
    """The client's own way to send any message of its protocol."""
    return client._rpc_with_retry if RENEWS else client.rpc_with_retry


def renewal(client):
    return client.renew if RENEWS else client.refresh_lock


async def is_free(client, name):
    lock = await call(client.try_lock, name)
    if lock.locked:
        await call(client.unlock, name, lock.key)
    return lock.locked


async def taken_and_given_back(client, other, name):
    lock = await call(client.lock, name, lock_timeout_seconds=60)
    assert lock.locked and lock.name == name and len(lock.key) == 36, lock
    assert not await is_free(other, name), "it is held"
    renewed = await call(renewal(client), name, lock.key, 90)
    assert renewed.locked and (renewed.name, renewed.key) == (name, lock.key), renewed
    if RENEWS:
        await call(lock.renew, 60)
        await call(lock.unlock)
    else:
        await call(client.unlock, name, lock.key)
    assert await is_free(other, name), "it was given back"


async def tried(client, other, name):
    lock = await call(client.try_lock, name, 60)
    assert lock.locked, lock
    contended = await call(other.try_lock, name)
    assert not contended.locked and contended.name == name, contended
    await call(client.unlock, name, lock.key)


async def in_a_context(client, other, name):
    async with entered(client.lock_context(name, lock_timeout_seconds=60)) as lock:
        assert lock.locked
        async with entered(other.try_lock_context(name)) as contended:
            assert not contended.locked
    async with entered(other.try_lock_context(name)) as lock:
        assert lock.locked, "the first context gave it back"
    assert await is_free(client, name), "the second too"


async def waits(client, other, name):
    lock = await call(client.lock, name)
    begun = time.monotonic()
    late = await call(other.lock, name, wait_timeout_seconds=1)
    waited = time.monotonic() - begun
    assert not late.locked and 0.9 < waited < 4, (late, waited)
    waiting = asyncio.create_task(call(other.lock, name, wait_timeout_seconds=30))
    endless = asyncio.create_task(call(other.lock, name))
    await asyncio.sleep(0.3)
    assert not waiting.done() and not endless.done(), "the lock is held"
    await call(client.unlock, name, lock.key)
    # Which of the two came first is not known: they are calls of one connection.
    for _ in range(2):
        done, _ = await asyncio.wait([waiting, endless], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert done, "the lock was handed on to nobody"
        granted = done.pop()
        assert granted.result().locked, granted.result()
        await call(other.unlock, name, granted.result().key)
        waiting, endless = endless if granted is waiting else waiting, asyncio.get_running_loop().create_future()
    assert await is_free(client, name)


async def sizes(client, other, name):
    first = await call(client.lock, name, size=2)
    second = await call(other.lock, name, size=2)
    assert first.locked and second.locked and first.key != second.key
    third = await call(client.try_lock, name, size=2)
    assert not third.locked, "two places, two holders"
    mismatch = exceptions.LockSizeMismatchError
    await refused(mismatch, "lock size mismatch", client.lock, name)
    await refused(mismatch, "lock size mismatch", client.try_lock, name, size=3)
    for lock in (first, second):
        await call(client.unlock, name, lock.key)


async def runs_out(client, other, name):
    lock = await call(client.lock, name, lock_timeout_seconds=1)
    begun = time.monotonic()
    next_one = await call(other.lock, name, wait_timeout_seconds=10)
    assert next_one.locked and time.monotonic() - begun < 5, "the lock's time was up"
    await refused(exceptions.InvalidLockKeyError, "invalid lock key", client.unlock, name, lock.key)
    await call(other.unlock, name, next_one.key)


async def errors(client, other, name):
    """Every class that a server's answer can raise; LockWaitTimeoutError ends inside of `lock`."""
    nowhere, key = name + "/nowhere", "0b5b9d2e-5a9c-4f2e-9b58-1d1f1e1c1a11"
    missing = "a lock by that name does not exist"
    await refused(exceptions.LockDoesNotExistError, missing, client.unlock, nowhere, key)
    lock = await call(client.lock, name)
    await refused(exceptions.InvalidLockKeyError, "invalid lock key", other.unlock, name, key)
    no_hold = "lock does not exist or invalid key"
    await refused(exceptions.LDLMError, no_hold, renewal(client), nowhere, key, 30)
    await refused(exceptions.LDLMError, no_hold, renewal(client), name, key, 30)
    await refused(exceptions.LDLMError, no_hold, renewal(client), name, lock.key, 30)
    await refused(exceptions.LDLMError, "lock name cannot be empty", client.lock, "")
    await refused(exceptions.LDLMError, "lock timeout must be greater than 0", client.lock, name, lock_timeout_seconds=-1)
    await refused(exceptions.LDLMError, "wait timeout must be greater than 0", client.lock, name, wait_timeout_seconds=-1)
    # Its methods never send such a size; the first version has no class for the answer.
    invalid_size = getattr(exceptions, "InvalidLockSizeError", exceptions.LDLMError)
    wrong = ldlm_pb2.TryLockRequest(name=name, size=-1)
    await refused(invalid_size, "lock size must be greater than 0", raw(client), "TryLock", wrong)
    waits_in_vain = ldlm_pb2.LockRequest(name=name, wait_timeout_seconds=1)
    timeout = "timeout waiting to acquire lock"
    await refused(exceptions.LockWaitTimeoutError, timeout, raw(other), "Lock", waits_in_vain)
    await call(client.unlock, name, lock.key)
    await refused(exceptions.InvalidLockKeyError, "invalid lock key", client.unlock, name, lock.key)


async def renews_by_itself(client, other, name):
    lock = await call(client.lock, name, lock_timeout_seconds=RENEWED_TIMEOUT)
    begun = time.monotonic()
    while (held := time.monotonic() - begun) < RENEWED_TIMEOUT + 1:
        assert not await is_free(other, name), f"lost after {held} s of a timeout of {RENEWED_TIMEOUT} s"
        await asyncio.sleep(0.5)
    await call(client.unlock, name, lock.key)
    assert await is_free(other, name)


async def dies(client, other, name):
    """A process that is killed takes its locks with it, within a second or so."""
    kind = "sync" if isinstance(client, Client) else "aio"
    child = subprocess.Popen([sys.executable, *sys.argv, "--hold", kind, name], stdout=subprocess.PIPE, text=True)
    try:
        assert await asyncio.to_thread(child.stdout.readline) == "held\n"
        assert not await is_free(client, name), "the child has it"
    finally:
        child.kill()
    begun = time.monotonic()
    lock = await call(client.lock, name, wait_timeout_seconds=20)
    assert lock.locked and time.monotonic() - begun < 3, f"free after {time.monotonic() - begun} s"
    await call(client.unlock, name, lock.key)
    child.wait()


async def credentials(options, make):
    """A password that is missing or wrong is refused before anything else."""
    for password, words in ((None, "missing credentials"), ("not it", "invalid credentials")):
        stranger = make(options, password=password)
        error = grpc.aio.AioRpcError if isinstance(stranger, AsyncClient) else grpc._channel._InactiveRpcError
        refusal = await error_of(error, stranger.try_lock, "anything")
        assert (refusal.code(), refusal.details()) == (grpc.StatusCode.UNAUTHENTICATED, words), refusal
        await call(stranger.close)


async def certificates(options, make):
    """A client without a certificate does not get in where one is asked for."""
    stranger = make(options, tls=TLSConfig(ca_file=options.ca))
    error = grpc.aio.AioRpcError if isinstance(stranger, AsyncClient) else grpc._channel._InactiveRpcError
    refusal = await error_of(error, stranger.try_lock, "anything")
    assert refusal.code() == grpc.StatusCode.UNAVAILABLE, refusal
    await call(stranger.close)


def client_of(kind, options, **settings):
    tls = None
    if options.ca:
        tls = TLSConfig(cert_file=options.cert, key_file=options.key, ca_file=options.ca)
    settings = {"password": options.password, "tls": tls, "retries": 0, AUTO_RENEW: True} | settings
    return {"sync": Client, "aio": AsyncClient}[kind](options.address, **settings)


SCENARIOS = [taken_and_given_back, tried, in_a_context, waits, sizes, runs_out, errors, renews_by_itself, dies]


async def told(name, scenario):
    """Runs a scenario; its failure says which one it was, and ends the process: calls that wait cannot be taken back."""
    try:
        await asyncio.wait_for(scenario, 60)
    except BaseException:
        traceback.print_exc()
        print(f"{name} failed", file=sys.stderr, flush=True)
        os._exit(1)
    print(name, flush=True)


async def every_scenario(kind, options):
    make = functools.partial(client_of, kind)
    client, other = make(options), make(options)
    running = []
    for each in SCENARIOS:
        # Several processes may do the same at the same server.
        name = f"{kind}/{os.getpid()}/{each.__name__}"
        running.append(told(f"{kind} {each.__name__}", each(client, other, name)))
    if options.password:
        running.append(told(f"{kind} credentials", credentials(options, make)))
    if options.cert:
        running.append(told(f"{kind} certificates", certificates(options, make)))
    # At once: most of their time they wait.
    await asyncio.gather(*running)
    for each in (client, other):
        await call(each.close)


async def hold(options):
    kind, name = options.hold
    client = client_of(kind, options)
    lock = await call(client.lock, name, lock_timeout_seconds=600)
    assert lock.locked
    print("held", flush=True)
    await asyncio.sleep(600)


async def main(options):
    if options.hold:
        return await hold(options)
    asyncio.get_running_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(64))
    await asyncio.gather(every_scenario("sync", options), every_scenario("aio", options))
    print("all passed")


arguments = argparse.ArgumentParser()
arguments.add_argument("address")
for option in ("--password", "--ca", "--cert", "--key"):
    arguments.add_argument(option)
arguments.add_argument("--hold", nargs=2, metavar=("KIND", "NAME"))
asyncio.run(main(arguments.parse_args()))
