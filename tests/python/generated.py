"""Clients that grpcio-tools generates from our own .proto files, against started servers: kufuli's service, lockd's,
RaftLock's, and the health check as Kubernetes asks it.

    generated.py PROTO_FOLDER ADDRESS PROTECTED_ADDRESS PASSWORD PROTECTED_PID

At ADDRESS kufuli's requests wait 6 s and hold for 10 s. The protected server is stopped at the end. Ends with
"all passed", or with the name of the part that failed and why.
"""

import concurrent.futures
import importlib
import os
import pathlib
import signal
import sys
import tempfile
import time

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_tools import protoc

FOLDER, ADDRESS, PROTECTED, PASSWORD, PID = sys.argv[1:]
POOL = concurrent.futures.ThreadPoolExecutor(16)


def generate():
    """The modules by the name of their file, as a user would make them."""
    out = tempfile.mkdtemp()
    files = sorted(str(file) for file in pathlib.Path(FOLDER).glob("*.proto"))
    well_known = str(pathlib.Path(protoc.__file__).parent / "_proto")
    arguments = [f"-I{FOLDER}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}", *files]
    assert protoc.main(["protoc", *arguments]) == 0, "the .proto files could not be compiled"
    sys.path.insert(0, out)
    names = [pathlib.Path(file).stem for file in files]
    return {name: (importlib.import_module(f"{name}_pb2"), importlib.import_module(f"{name}_pb2_grpc")) for name in names}


MADE = generate()
kufuli_pb, kufuli_grpc = MADE["kufuli"]
lockd_pb, lockd_grpc = MADE["lockd"]
raftlock, raftlock_grpc = MADE["raftlock"]
health_pb, health_grpc = MADE["health"]


def refusal(call, *arguments, **named):
    """The code and the words of a call that must fail."""
    try:
        answer = call(*arguments, **named)
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError(f"it was answered: {answer}")


def within(seconds, condition):
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.01)


def kufuli(channel):
    stub = kufuli_grpc.ApiStub(channel)
    disk = lambda service: kufuli_pb.Request(resource="disk0", serviceID=service)
    begun = time.monotonic()
    taken = stub.RequestLock(disk("logger"))
    assert taken.success and taken.error == "" and taken.fencing_token > 0, taken
    assert not stub.ReleaseLock(disk("sync")).success, "it belongs to another service"
    late = stub.RequestLock(disk("sync"))
    assert (late.success, late.error) == (False, "Error: timeout while trying to acquire lock"), late
    assert time.monotonic() - begun > 5.9, "it waits its time"
    # It holds for its whole span and no longer, and a request that waits then gets it.
    later = stub.RequestLock(disk("sync"))
    assert later.success and later.fencing_token > taken.fencing_token, later
    assert time.monotonic() - begun > 9.9
    gone = stub.ReleaseLock(disk("logger"))
    assert (gone.success, gone.error) == (False, "Error: Could not release resource disk0"), gone
    waiting = stub.RequestLock.future(disk("logger"))
    assert stub.ReleaseLock(disk("sync")).success
    assert waiting.result(timeout=60).success, "the release hands it on"
    # Whoever hangs up gets nothing.
    leaves = stub.RequestLock.future(disk("leaves"))
    time.sleep(0.2)
    leaves.cancel()
    assert stub.ReleaseLock(disk("logger")).success
    assert stub.RequestLock(disk("stays")).success and stub.ReleaseLock(disk("stays")).success
    assert stub.RequestLock(kufuli_pb.Request()).success, "empty names are names"


def lockd(channel):
    stub = lockd_grpc.LockingStub(channel)
    foo, bar = (lockd_pb.LockName(name=name) for name in ("foo", "bar"))
    state = stub.IsLocked(foo)
    assert (state.name, state.is_locked) == ("foo", False), state
    first = stub.Lock(foo)
    assert first.success and first.fencing_token > 0, first
    assert stub.IsLocked(foo).is_locked and not stub.IsLocked(bar).is_locked
    assert not stub.Lock(foo).success, "there is no owner who could have it twice"
    assert stub.Lock(bar).fencing_token > first.fencing_token
    with grpc.insecure_channel(ADDRESS, options=[("grpc.use_local_subchannel_pool", 1)]) as another:
        assert lockd_grpc.LockingStub(another).Unlock(foo).success, "anybody may unlock"
    assert not stub.Unlock(foo).success and stub.Unlock(bar).success
    names = [lockd_pb.LockName(name=f"n{n}") for n in range(50)]
    assert all(answer.success for answer in POOL.map(stub.Lock, names))
    assert sum(answer.success for answer in POOL.map(stub.Unlock, names * 2)) == 50, "each once"


class RaftLock:
    """RaftLock's ten calls, with what every request of these tests has in common."""

    def __init__(self, channel):
        self.stub = raftlock_grpc.RaftLockStub(channel)

    def acquire(self, lock, client, ttl=60, **more):
        return self.stub.Acquire(self.asks(lock, client, ttl, **more))

    @staticmethod
    def asks(lock, client, ttl=60, wait_timeout=None, **more):
        if wait_timeout is not None:
            more["wait_timeout"] = Duration(seconds=wait_timeout)
        return raftlock.AcquireRequest(lock_id=lock, client_id=client, ttl=Duration(seconds=ttl), **more)

    def release(self, lock, client, version):
        return self.stub.Release(raftlock.ReleaseRequest(lock_id=lock, client_id=client, version=version))

    def renew(self, lock, client, version, ttl):
        request = raftlock.RenewRequest(lock_id=lock, client_id=client, version=version, new_ttl=Duration(seconds=ttl))
        return self.stub.Renew(request)

    def info(self, lock):
        return self.stub.GetLockInfo(raftlock.GetLockInfoRequest(lock_id=lock, include_waiters=True))

    def enqueue(self, lock, client, priority=0, timeout=60):
        timeout = Duration(seconds=timeout)
        return self.stub.EnqueueWaiter(
            raftlock.EnqueueWaiterRequest(lock_id=lock, client_id=client, timeout=timeout, priority=priority)
        )

    def cancel(self, lock, client):
        return self.stub.CancelWait(raftlock.CancelWaitRequest(lock_id=lock, client_id=client))

    def names(self, limit=0, offset=0, **filter):
        request = raftlock.GetLocksRequest(filter=raftlock.LockFilter(**filter), limit=limit, offset=offset)
        answer = self.stub.GetLocks(request)
        return [lock.lock_id for lock in answer.locks], answer.total_matching_filter, answer.has_more


def told(answer, name):
    """An error in the answer, where RaftLock's clients look for it."""
    assert answer.HasField("error") and raftlock.ErrorCode.Name(answer.error.code) == name, answer
    return True


def raftlock_holds(channel):
    client = RaftLock(channel)
    first = client.acquire("a", "me", metadata={"host": "web-1"})
    assert first.acquired and not first.HasField("error"), first
    assert (first.lock.lock_id, first.lock.owner_id, first.lock.metadata["host"]) == ("a", "me", "web-1"), first
    lived = first.lock.expires_at.ToSeconds() - first.lock.acquired_at.ToSeconds()
    assert 59 <= lived <= 61, first
    again = client.acquire("a", "me").lock
    assert again.version > first.lock.version, "asking again gives a higher version"
    held = client.acquire("a", "you")
    assert not held.acquired and not held.HasField("lock") and told(held, "LOCK_HELD"), held
    assert held.backoff_advice.HasField("initial_backoff"), held
    assert told(client.release("a", "you", again.version), "NOT_LOCK_OWNER")
    assert told(client.release("a", "me", first.lock.version), "VERSION_MISMATCH")
    assert told(client.release("free", "me", 1), "LOCK_NOT_HELD")
    renewed = client.renew("a", "me", again.version, 3600)
    assert renewed.renewed and renewed.lock.version == again.version, renewed
    assert renewed.lock.expires_at.ToSeconds() - again.expires_at.ToSeconds() > 3000, renewed
    assert told(client.renew("a", "me", again.version + 1, 60), "VERSION_MISMATCH")
    assert told(client.renew("a", "you", again.version, 60), "NOT_LOCK_OWNER")
    assert told(client.info("free"), "LOCK_NOT_FOUND") and not client.info("free").HasField("lock_info")
    released = client.release("a", "me", again.version)
    assert released.released and not released.waiter_promoted, released
    once = client.acquire("once", "me", request_id="1").lock
    assert client.acquire("once", "me", request_id="1").lock.version == once.version, "the same request"
    short = client.acquire("short", "me", ttl=1)
    assert short.acquired
    # Nobody gets it sooner, and whoever waits gets it when it ends.
    begun = time.monotonic()
    assert client.acquire("short", "you", wait=True, wait_timeout=10).acquired
    assert 0.9 < time.monotonic() - begun < 20


def raftlock_waits(channel):
    client = RaftLock(channel)
    version = client.acquire("w", "me").lock.version
    begun = time.monotonic()
    late = client.acquire("w", "late", wait=True, wait_timeout=1)
    assert not late.acquired and told(late, "TIMEOUT") and 0.9 < time.monotonic() - begun < 20, late
    assert late.HasField("estimated_wait_duration"), late
    # By priority, then in the order of their coming, with a request and without one.
    waiting = {}
    for name, priority in (("low", -5), ("first", 0), ("second", 0), ("high", 7)):
        request = client.asks("w", name, wait=True, wait_timeout=60, priority=priority)
        waiting[name] = client.stub.Acquire.future(request)
        within(60, lambda: client.info("w").lock_info.waiter_count == len(waiting))
    detached = client.enqueue("w", "detached", priority=3)
    assert detached.enqueued and detached.position == 1 and detached.HasField("estimated_wait_duration"), detached
    info = client.info("w").lock_info
    seen = [(waiter.client_id, waiter.priority, waiter.position) for waiter in info.waiters_info]
    expected = [("high", 7, 0), ("detached", 3, 1), ("first", 0, 2), ("second", 0, 3), ("low", -5, 4)]
    assert seen == expected and info.waiter_count == 5, seen
    assert client.acquire("w", "detached").queue_position == 1
    for name in ("high", "detached", "first", "second"):
        released = client.release("w", client.info("w").lock_info.owner_id, version)
        assert released.released and released.waiter_promoted, (name, released)
        got = client.acquire("w", name) if name == "detached" else waiting.pop(name).result(timeout=60)
        assert got.acquired and got.lock.version > version, (name, got)
        assert not any(call.done() for call in waiting.values()), f"only {name} was next"
        version = got.lock.version
    # One that hangs up is not granted.
    waiting["low"].cancel()
    within(60, lambda: client.info("w").lock_info.waiter_count == 0)
    assert client.enqueue("w", "gives-up").enqueued
    assert client.cancel("w", "gives-up").cancelled and told(client.cancel("w", "gives-up"), "NOT_WAITING")
    assert not client.release("w", "second", version).waiter_promoted


def raftlock_lists(channel):
    client = RaftLock(channel)
    for name in ("list/1", "list/2", "list/10", "other"):
        assert client.acquire(name, f"owner-of-{name}", metadata={"name": name}).acquired
    client.acquire("list/long", "owner-of-long", ttl=300)
    assert client.enqueue("other", "waits").enqueued
    assert client.names(lock_id_pattern="list/?") == (["list/1", "list/2"], 2, False)
    assert client.names(lock_id_pattern="list/*", limit=3) == (["list/1", "list/10", "list/2"], 4, True)
    assert client.names(lock_id_pattern="list/*", limit=3, offset=3) == (["list/long"], 4, False)
    assert client.names(lock_id_pattern="the")[0] == ["other"], "without a wildcard any part matches"
    assert client.names(owner_id_pattern="owner-of-list/*")[1] == 3
    assert client.names(metadata_filter={"name": "list/2"})[0] == ["list/2"]
    assert client.names(only_contested=True)[0] == ["other"]
    soon = Timestamp(seconds=int(time.time()) + 120)
    assert client.names(lock_id_pattern="list/*", expires_after=soon)[0] == ["list/long"]
    assert client.names(lock_id_pattern="list/*", expires_before=soon, only_held=True)[1] == 3
    assert refusal(client.names, limit=1001) == (grpc.StatusCode.INVALID_ARGUMENT, "limit cannot exceed 1000")


def raftlock_tells(channel):
    client = RaftLock(channel)
    advise = lambda lock: client.stub.GetBackoffAdvice(raftlock.BackoffAdviceRequest(lock_id=lock)).advice
    free = advise("nobody's")
    assert (free.initial_backoff.ToMilliseconds(), free.max_backoff.ToMilliseconds()) == (50, 1000), free
    assert (free.multiplier, free.jitter_factor) == (1.5, 0.2), free
    assert client.acquire("advised", "me").acquired
    assert advise("advised").initial_backoff.ToMilliseconds() > 50
    status = client.stub.GetStatus(raftlock.GetStatusRequest(include_replication_details=True))
    raft = status.raft_status
    assert (raft.node_id, raft.role, raft.leader_id) == ("1", "Leader", "1") and raft.term > 0, status
    assert raft.commit_index >= raft.last_applied > 0 and status.lock_stats.active_locks_count > 0, status
    health = client.stub.Health(raftlock.HealthRequest())
    assert health.status == raftlock.HealthStatus.SERVING and health.health_info.is_raft_leader, health
    assert health.health_info.HasField("uptime"), health
    try:
        client.acquire("", "me")
        raise AssertionError("a lock without a name")
    except grpc.RpcError as error:
        assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "lock_id cannot be empty")
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        assert b"type.googleapis.com/raftlock.ErrorDetail" in details, details
    cases = [("ttl must be between 1s and 5m0s", {"ttl": 301}), ("ttl must be between 1s and 24h0m0s", {"ttl": 0})]
    cases += [("priority must be between -1000 and 1000", {"priority": 1001})]
    cases += [("timeout must be between 1s and 10m0s", {"wait_timeout": 601})]
    for words, more in cases:
        assert refusal(client.acquire, "a", "me", **more) == (grpc.StatusCode.INVALID_ARGUMENT, words), more


def credentials(channel):
    """kufuli, lockd and RaftLock knew none; where the server wants one it goes as metadata."""
    name = lockd_pb.LockName(name="guarded")
    lock = lockd_grpc.LockingStub(channel).Lock
    assert refusal(lock, name) == (grpc.StatusCode.UNAUTHENTICATED, "missing credentials")
    wrong = [("authorization", "not it")]
    assert refusal(lock, name, metadata=wrong) == (grpc.StatusCode.UNAUTHENTICATED, "invalid credentials")
    right = [("authorization", PASSWORD)]
    assert lock(name, metadata=right).success
    request = kufuli_pb.Request(resource="also guarded", serviceID="me")
    assert kufuli_grpc.ApiStub(channel).RequestLock(request, metadata=right).success
    assert RaftLock(channel).stub.Health(raftlock.HealthRequest(), metadata=right).status


def health(channel):
    """As a kubelet's probe asks: without credentials, in plaintext, with a deadline; then watched through a stop."""
    stub = health_grpc.HealthStub(channel)
    ask = lambda service: health_pb.HealthCheckRequest(service=service)
    serving = health_pb.HealthCheckResponse.SERVING
    for service in ("", "raftlock.RaftLock", "ldlm.LDLM", "api.Api", "lockapi.Locking"):
        answer = stub.Check(ask(service), timeout=20)
        assert answer.status == serving, (service, answer)
    assert refusal(stub.Check, ask("nobody"), timeout=20)[0] == grpc.StatusCode.NOT_FOUND
    unknown = stub.Watch(ask("nobody"))
    assert next(unknown).status == health_pb.HealthCheckResponse.SERVICE_UNKNOWN
    unknown.cancel()
    watched = stub.Watch(ask("raftlock.RaftLock"))
    assert next(watched).status == serving
    os.kill(int(PID), signal.SIGTERM)
    try:
        assert next(watched).status == health_pb.HealthCheckResponse.NOT_SERVING
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
    except StopIteration:
        pass  # The last word may be lost with the connection, but it is never that all is well.
    probe = grpc.insecure_channel(PROTECTED, options=[("grpc.use_local_subchannel_pool", 1)])
    within(60, lambda: is_down(health_grpc.HealthStub(probe), ask("")))


def is_down(stub, request):
    try:
        return stub.Check(request, timeout=20).status == health_pb.HealthCheckResponse.NOT_SERVING
    except grpc.RpcError:
        return True


def part(function, address):
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            function(channel)
        except BaseException:
            print(f"{function.__name__} failed", file=sys.stderr)
            raise
    print(function.__name__, flush=True)


with concurrent.futures.ThreadPoolExecutor(16) as parts:
    together = (kufuli, lockd, raftlock_holds, raftlock_waits, raftlock_tells)
    for running in [parts.submit(part, function, ADDRESS) for function in together]:
        running.result(timeout=120)
part(raftlock_lists, ADDRESS)
part(credentials, PROTECTED)
part(health, PROTECTED)
print("all passed")
