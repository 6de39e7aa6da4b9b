"""Python `requests` through every dialect: dialects.py BASE_URL API_KEY. Ends with "all passed" or a traceback."""

import concurrent.futures
import sys
import time

import requests

BASE, API_KEY = sys.argv[1:3]


def client():
    """A session of `requests`: it keeps cookies and the connection."""
    made = requests.Session()
    made.headers["X-API-Key"] = API_KEY
    return made


def answer(response, status=200):
    assert response.status_code == status, (response.request.url, response.status_code, response.text)
    return response.json()


def sessions_v1():
    one, other = client(), client()
    for each in (one, other):
        answer(each.post(f"{BASE}/session"), 201)
        assert each.cookies.get("ldlm-session"), each.cookies
    held = answer(one.post(f"{BASE}/v1/lock", json={"name": "python", "lock_timeout_seconds": 30}))
    assert held["locked"] and 29 < held["expires_in_seconds"] <= 30, held
    refused = answer(other.post(f"{BASE}/v1/lock", json={"name": "python"}))
    assert not refused["locked"] and "error" not in refused, refused

    waiting = {"name": "python", "wait_timeout_seconds": 10, "lock_timeout_seconds": 30}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiter = pool.submit(other.post, f"{BASE}/v1/lock", json=waiting)
        while answer(one.get(f"{BASE}/v1/locks/python"))["queue_length"] == 0:
            time.sleep(0.01)
        released = answer(one.post(f"{BASE}/v1/unlock", json={"name": "python", "key": held["key"]}))
        assert released["unlocked"], released
        granted = answer(waiter.result(timeout=60))
    assert granted["locked"] and granted["fencing_token"] > held["fencing_token"], (held, granted)

    late = answer(one.post(f"{BASE}/v1/unlock", json={"name": "python", "key": held["key"]}))
    assert not late["unlocked"] and late["error"]["code"] == "InvalidLockKey", late
    answer(other.delete(f"{BASE}/session"))
    answer(other.post(f"{BASE}/v1/lock", json={"name": "python"}), 401)
    again = answer(one.post(f"{BASE}/v1/lock", json={"name": "python", "lock_timeout_seconds": 0.2}))
    assert again["locked"], again
    time.sleep(0.4)
    gone = answer(one.post(f"{BASE}/v1/renew", json={"name": "python", "key": again["key"], "lock_timeout_seconds": 5}))
    assert not gone["locked"], gone


def get_lock():
    plain = requests.Session()
    taken = answer(plain.get(f"{BASE}/getlock", params={"lockname": "p", "auth": API_KEY, "lifetime": 60}))
    assert taken["lockacquired"] and len(taken["sessiontoken"]) == 32, taken
    refused = answer(plain.get(f"{BASE}/getlock", params={"lockname": "p", "auth": API_KEY, "timeout": 0.1}))
    assert not refused["lockacquired"] and refused["sessiontoken"] == "", refused
    status = answer(plain.get(f"{BASE}/status", params={"auth": API_KEY}))
    assert [lock["lockname"] for lock in status["locks"]] == ["p"], status
    # The older generation of clients sends no credential with a release.
    release = {"lockname": "p", "token": taken["sessiontoken"]}
    assert answer(plain.delete(f"{BASE}/releaselock", params=release))["lockreleased"]
    assert not answer(plain.delete(f"{BASE}/releaselock", params=release | {"auth": API_KEY}), 400)["lockreleased"]
    answer(plain.get(f"{BASE}/getlock", params={"lockname": "p"}), 401)


def lock_by_name():
    one = client()
    url = f"{BASE}/lock/A-b_c.$1"
    answer(one.get(url), 404)
    assert answer(one.post(url)) == {}
    answer(one.post(url), 409)
    answer(one.get(url))
    answer(one.delete(url))
    answer(one.delete(url), 404)


def lock_and_unlock():
    one = client()
    taken = answer(one.post(f"{BASE}/lock", json={"resource": "payment:7", "ttl": 30}))
    held = answer(one.post(f"{BASE}/lock", json={"resource": "payment:7", "ttl": 30}), 409)
    assert held, held
    answer(one.post(f"{BASE}/unlock", json={"lock_id": taken["lock_id"]}))
    answer(one.post(f"{BASE}/unlock", json={"lock_id": taken["lock_id"]}), 404)


for part in (sessions_v1, get_lock, lock_by_name, lock_and_unlock):
    part()
    print(part.__name__)
print("all passed")
