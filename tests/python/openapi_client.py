"""A Python client that openapi-python-client generates from our document sends the README's own requests.

    openapi_client.py DOCUMENT CONFIG URL CA FOLDER

The server holds nothing. Ends with "all passed", or with what failed.
"""

import concurrent.futures
import json
import os
import pathlib
import ssl
import subprocess
import sys

DOCUMENT, CONFIG, URL, CA, FOLDER = sys.argv[1:]
HERE = pathlib.Path(sys.executable).parent
NAME = "deploy/production"

# `--fail-on-warning`: nothing of the document may be left out of the client.
generator = [HERE / "openapi-python-client", "generate", "--path", DOCUMENT, "--config", CONFIG]
environment = os.environ | {"PATH": f"{HERE}:{os.environ['PATH']}"}
generator += ["--output-path", FOLDER, "--fail-on-warning"]
done = subprocess.run(generator, env=environment, capture_output=True, text=True)
assert done.returncode == 0, done.stdout + done.stderr
subprocess.run([sys.executable, "-m", "compileall", "-q", FOLDER], check=True)
sys.path.insert(0, FOLDER)

from latchd_client import Client  # noqa: E402
from latchd_client.api.lock_by_name import lock_by_name, unlock_by_name  # noqa: E402
from latchd_client.api.operating_the_cluster import show_cluster  # noqa: E402
from latchd_client.api.reading_and_repairing import force_release_by_name, list_locks, show_lock  # noqa: E402
from latchd_client.api.sessions_v_1 import close_session, lock, open_session, renew, unlock  # noqa: E402
from latchd_client.api.the_service import metrics, openapi, ready  # noqa: E402
from latchd_client.models import (  # noqa: E402
    LockAnswer,
    LockRequest,
    LockRequestMetadata,
    Problem,
    RenewRequest,
    UnlockRequest,
)

operations = [operation for path in json.load(open(DOCUMENT))["paths"].values() for operation in path.values()]
modules = [file for file in pathlib.Path(FOLDER).glob("*/api/*/*.py") if file.name != "__init__.py"]
assert len(modules) == len(operations), f"{len(operations)} operations, {len(modules)} functions"


def client():
    """Its cookie jar is the session."""
    return Client(base_url=URL, verify_ssl=ssl.create_default_context(cafile=CA), raise_on_unexpected_status=True)


def ask(who, **fields):
    answer = lock.sync(client=who, body=LockRequest(name=NAME, lock_timeout_seconds=30, **fields))
    assert isinstance(answer, LockAnswer) and answer.name == NAME, answer
    return answer


alice, bob, anybody = client(), client(), client()
for who in (alice, bob):
    assert len(open_session.sync(client=who).session_id) == 32
metadata = LockRequestMetadata.from_dict({"host": "web-1"})
taken = ask(alice, metadata=metadata, request_id="once")
assert taken.locked and taken.key and taken.fencing_token
assert ask(alice, metadata=metadata, request_id="once").key == taken.key
assert not ask(bob).locked, "once, and told at once"
with concurrent.futures.ThreadPoolExecutor() as pool:
    waiting = pool.submit(ask, bob, wait_timeout_seconds=20)
    renewed = renew.sync(client=alice, body=RenewRequest(name=NAME, key=taken.key, lock_timeout_seconds=60))
    assert renewed.locked and renewed.expires_in_seconds > 30
    assert unlock.sync(client=alice, body=UnlockRequest(name=NAME, key=taken.key)).unlocked
    granted = waiting.result(timeout=30)
assert granted.locked and granted.fencing_token > taken.fencing_token

# A path may have changed the name on the way; the query cannot.
for shown in (show_lock.sync(NAME, client=anybody), list_locks.sync(client=anybody, name=NAME).locks[0]):
    [holder] = shown.holders
    assert (shown.name, shown.queue_length, holder.fencing_token) == (NAME, 0, granted.fencing_token)
forced = force_release_by_name.sync(client=anybody, name=NAME, key=granted.key, reason="why")
assert forced.fencing_token == granted.fencing_token, forced
assert list_locks.sync(client=anybody, name=NAME).locks == []
missing = show_lock.sync(NAME, client=anybody)
assert isinstance(missing, Problem) and missing.code == "no-such-lock"

assert lock_by_name.sync_detailed("kept", client=anybody).status_code == 200
assert lock_by_name.sync_detailed("kept", client=anybody).status_code == 409
assert unlock_by_name.sync_detailed("kept", client=anybody).status_code == 200
assert ready.sync_detailed(client=anybody).status_code == 200
assert "latchd_" in metrics.sync(client=anybody)
assert openapi.sync(client=anybody).to_dict() == json.load(open(DOCUMENT))
assert show_cluster.sync(client=anybody)
for who in (alice, bob):
    assert close_session.sync(client=who).session_id == ""
print("all passed")
