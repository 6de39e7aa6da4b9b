/** What answers mean, without a server. */

import assert from "node:assert/strict";
import { test } from "node:test";

import * as asked from "../dist/asked.js";
import { makeClock } from "../dist/clock.js";
import { enclosingNames, isInTheWay } from "../dist/enclosing.js";
import { described } from "../dist/identity.js";
import { longestWaitMs, sentence } from "../dist/refusals.js";
import { describeHolder, leaseEnd, sessionOf } from "../dist/wire.js";
import type { Json } from "../dist/wire.js";

test("clock goes on while the machine is suspended", () => {
  let [precise, uptime] = [1000, 5000];
  const now = makeClock(
    () => precise,
    () => uptime,
  );
  assert.equal(now(), 1000);
  [precise, uptime] = [1500, 5490];
  assert.equal(now(), 1500, "steps of the uptime are no suspension");
  [precise, uptime] = [1600, 65_600];
  assert.equal(now(), 61_600);
  [precise, uptime] = [1700, 0];
  assert.equal(now(), 61_700, "it never goes back");
});

test("session lives as long as its answer or its cookie says", () => {
  const date = "Sat, 21 Nov 2026 01:41:39 GMT";
  const idle = (cookie: string, body: Json = {}) =>
    sessionOf({ session_id: "0a", ...body }, { date, "set-cookie": [cookie] }).idleMs;
  assert.equal(idle("ldlm-session=0a; Path=/; Max-Age=9", { idle_timeout_seconds: 7.5 }), 7500);
  assert.equal(idle("ldlm-session=0a; Max-Age=9; Expires=Sat, 21 Nov 2026 01:48:39 GMT"), 9000);
  assert.equal(idle("ldlm-session=0a; HttpOnly; Expires=Sat, 21 Nov 2026 01:48:39 GMT"), 420_000);
  assert.equal(idle("ldlm-session=0a; Path=/"), 600_000);
  assert.equal(idle("ldlm-session=0a; Expires=Sat, 21 Nov 2026 01:00:00 GMT"), 600_000);
  assert.equal(idle(""), 600_000);
});

test("lease counts from its request up to the limit of the service", () => {
  assert.equal(leaseEnd({ expires_in_seconds: 30 }, 30_000, 100), 30_100);
  assert.equal(leaseEnd({ expires_in_seconds: 12.5 }, 30_000, 100), 12_600);
  assert.equal(leaseEnd({ expires_in_seconds: 31 }, 30_000, 100), 30_100);
  assert.equal(leaseEnd({}, 30_000, 100), 30_100);
});

test("sentence is found in every shape of error body", () => {
  assert.equal(sentence({ title: "t", detail: "no quorum" }, ""), "no quorum");
  assert.equal(sentence({ code: 14, message: "no quorum" }, ""), "no quorum");
  assert.equal(sentence({ error: "session not found" }, ""), "session not found");
  assert.equal(sentence(null, "<html>\n"), "<html>");
  assert.equal(sentence(null, ""), "no reason given");
});

test("refused wait gives the longest wait", () => {
  const refusal = "https://a answered 400: wait_timeout_seconds must be a number of seconds from 0 to ";
  assert.equal(longestWaitMs(`${refusal}1`), 1000);
  assert.equal(longestWaitMs(`${refusal}2.5; locks.wait_max sets it`), 2500);
  assert.equal(longestWaitMs("lock_timeout_seconds must be a number of seconds from 0 to 1"), null);
});

test("holder is named without control characters", () => {
  const holder = { fencingToken: 7, dialect: "sessions-v1", heldForMs: 60_000, remainingMs: 30_000, owner: null };
  const shown = (metadata: Record<string, string>, owner: string | null = null) =>
    describeHolder({ ...holder, owner, metadata });
  assert.match(shown({ user: "ada", host: "web-1", pid: "12" }), /^ada@web-1 pid 12 since 20/);
  assert.match(shown({ job: "nightly" }, "scheduler"), /^scheduler since .*[(]token 7, job=nightly[)]/);
  assert.match(shown({}), /^somebody since /);
  assert.match(shown({ host: "\x1b[2J\u202e" }), /\\u\{1b\}\[2J\\u\{202e\}/);
});

test("holder shows the process that fits into the limits, unless it is told what to show", () => {
  const full = Object.fromEntries(Array.from({ length: 31 }, (_, each) => [`entry ${each}`, "x"]));
  assert.deepEqual(Object.keys(described(undefined, full)).slice(31), ["host"]);
  assert.deepEqual(described({ job: "7" }, { task: "x" }), { task: "x", job: "7" });
  assert.deepEqual(described({}, undefined), {});
});

test("wait for the lock that the program runs under is a deadlock with oneself", () => {
  const holder = { fencingToken: 7, dialect: "", heldForMs: 0, remainingMs: null, owner: null, metadata: {} };
  const none = { frozen: null, delayedForMs: null };
  const found = { name: "outer", size: 1, mode: "shared", queueLength: 0, holders: [holder], ...none };
  Object.assign(process.env, { LATCHD_LOCK_NAME: "outer", LATCHD_FENCING_TOKEN: "7" });
  assert.deepEqual([...enclosingNames()], ["outer"]);
  assert.ok(isInTheWay(found, false) && !isInTheWay(found, true));
  process.env["LATCHD_LOCK_NAMES"] = '["beside","outer"]';
  assert.deepEqual([...enclosingNames()], ["beside", "outer"]);
  process.env["LATCHD_FENCING_TOKEN"] = "8";
  assert.ok(!isInTheWay(found, false));
});

const answers: [string, asked.Check, Json, Json[]][] = [
  ["session", asked.session, { session_id: "0a" }, [{}, { session_id: "" }, { session_id: 5 }, { session_id: "a;b" }]],
  [
    "lock",
    asked.lock(["a"]),
    { locked: true, name: "a", key: "k", fencing_token: 7 },
    [
      { locked: true, name: "b", key: "k", fencing_token: 7 },
      { locked: true, name: "a", key: "", fencing_token: 7 },
      { locked: true, name: "a", key: "k" },
      { locked: true, name: "a", key: "k", fencing_token: "7" },
      { locked: true, name: "a", key: "k", fencing_token: 2 ** 53 },
      { locked: false, name: "b" },
      { locked: "no", name: "a" },
      { name: "a" },
      {},
    ],
  ],
  [
    "lock of two",
    asked.lock(["a", "b"]),
    { locked: true, name: "a", names: ["a", "b"], key: "k", fencing_token: 7 },
    [
      { locked: true, name: "a", key: "k", fencing_token: 7 },
      { locked: true, name: "a", names: ["a"], key: "k", fencing_token: 7 },
      { locked: false, name: "b" },
    ],
  ],
  [
    "transfer",
    asked.transfer("a"),
    { transferred: true, name: "a", key: "k", fencing_token: 7 },
    [{ name: "b", key: "k", fencing_token: 7 }, { name: "a", key: "k" }, { name: "a" }],
  ],
  [
    "renewal",
    asked.renewal("a", "k"),
    { locked: true, name: "a", key: "k" },
    [{ locked: true, name: "a", key: "l" }, { locked: false, name: "b" }, { name: "a", key: "k" }],
  ],
  ["release", asked.release("a"), { unlocked: true, name: "a" }, [{ unlocked: true, name: "b" }, { name: "a" }]],
  [
    "campaign",
    asked.elected("a"),
    { elected: true, name: "a", key: "k", fencing_token: 7 },
    [{ elected: true, name: "a", key: "k" }, { elected: false, name: "b" }, { name: "a" }],
  ],
  [
    "leader",
    asked.leader,
    { value: "v", fencing_token: 7, reliable_for_seconds: 1 },
    [{ value: 7, fencing_token: 7, reliable_for_seconds: 1 }, { value: "v", fencing_token: true, reliable_for_seconds: 1 }, { value: "v", fencing_token: 7 }],
  ],
  [
    "listing",
    asked.listing("a"),
    { locks: [{ name: "a", holders: [] }] },
    [{}, { locks: {} }, { locks: [{ name: "b", holders: [] }] }, { locks: [{ name: "a" }] }, { locks: [1] }, { locks: [{}, {}] }],
  ],
];
for (const [title, check, right, wrong] of answers) {
  test(`answer to another request is refused: ${title}`, () => {
    assert.equal(check(right), null);
    for (const body of wrong) assert.notEqual(check(body), null, JSON.stringify(body));
  });
}
