// The published lock libraries of Node.js against the Redis protocol of a started server, as their users call them.

import assert from "node:assert/strict";
import { Redlock as SesameRedlock } from "@sesamecare-oss/redlock";
import Redis from "ioredis";
import { Mutex } from "redis-semaphore";
import Redlock4 from "redlock";
import redlock5 from "redlock-5";

const Redlock5 = redlock5.default ?? redlock5;
const client = new Redis(process.argv[2]);
const other = new Redis(process.argv[2]);

const ioredisCommands = async () => {
  assert.equal(await client.set("ioredis", "1", "PX", 30_000, "NX"), "OK");
  assert.equal(await other.set("ioredis", "1", "PX", 30_000, "NX"), null, "an equal value excludes");
  assert.ok((await client.pttl("ioredis")) > 29_000);
  assert.ok((await client.call("LATCHD.TOKEN", "ioredis")) > 0);
  const answers = await client.pipeline().get("ioredis").del("ioredis").get("ioredis").exec();
  assert.deepEqual(answers, [[null, "1"], [null, 1], [null, null]]);
  await assert.rejects(client.hset("hash", "field", "1"), /lock commands/);
};

/// One and several names, all or none.
const redlock5Names = async () => {
  const options = { retryCount: 0 };
  const one = new Redlock5([client], options), two = new Redlock5([other], options);
  const single = await one.acquire(["redlock5"], 30_000);
  await assert.rejects(two.acquire(["redlock5"], 30_000));
  await single.extend(60_000);
  assert.ok((await client.pttl("redlock5")) > 58_000);
  await single.release();
  const both = await one.acquire(["r5-a", "r5-b"], 30_000);
  await assert.rejects(two.acquire(["r5-b", "r5-c"], 30_000));
  assert.equal(await client.exists("r5-c"), 0, "all or none");
  const extended = await both.extend(60_000);
  assert.ok((await client.pttl("r5-b")) > 58_000);
  await extended.release();
  assert.equal(await client.exists("r5-a", "r5-b"), 0);
  const done = await two.using(["r5-a", "r5-b", "r5-c"], 5_000, async (signal) => !signal.aborted);
  assert.ok(done);
};

const redlock4Names = async () => {
  const one = new Redlock4([client], { retryCount: 0 }), two = new Redlock4([other], { retryCount: 3, retryDelay: 10 });
  const lock = await one.lock(["r4-a", "r4-b"], 30_000);
  await assert.rejects(two.lock("r4-b", 30_000));
  await (await lock.extend(40_000)).unlock();
  await (await two.lock("r4-b", 30_000)).unlock();
  await assert.rejects(lock.unlock());
};

const sesameNames = async () => {
  const one = new SesameRedlock([client], { retryCount: 0 }), two = new SesameRedlock([other], { retryCount: 0 });
  const lock = await one.acquire(["sesame-a", "sesame-b"], 30_000);
  await assert.rejects(two.acquire(["sesame-b"], 30_000));
  await (await lock.extend(60_000)).release();
  await (await two.acquire(["sesame-b"], 30_000)).release();
};

const semaphoreMutex = async () => {
  const options = { lockTimeout: 1500, refreshInterval: 100, acquireTimeout: 500, retryInterval: 10 };
  const one = new Mutex(client, "mutex", options), two = new Mutex(other, "mutex", options);
  await one.acquire();
  // The lease would have ended meanwhile without a refresh.
  for (let round = 0; round < 4; round++) assert.equal(await two.tryAcquire(), false);
  await one.release();
  await two.acquire();
  assert.equal(one.isAcquired, false);
  await two.release();
};

const scenarios = [ioredisCommands, redlock5Names, redlock4Names, sesameNames, semaphoreMutex];
await Promise.all(scenarios.map((scenario) => scenario()));
client.disconnect();
other.disconnect();
console.log("all passed");
