/** Taking, waiting, releasing. */

import assert from "node:assert/strict";
import * as os from "node:os";
import { test } from "node:test";

import { Client, LockLost, NotAcquired, Refused } from "@latchd/client";
import type { Hold } from "@latchd/client";

import { behaviour, beside, duration, shared, until, untilWaiting } from "./support.js";

beside("locks", () => {
  behaviour("scope", "lock is held in its scope and free after it", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    let first = 0;
    const result = await client.withLock("scope", { metadata: { host: "web-1" } }, async (hold, signal) => {
      first = hold.fencingToken;
      assert.ok(!hold.lost && !signal.aborted && hold.remainingMs > 28_000 && hold.remainingMs <= 30_000);
      hold.check();
      assert.equal(await other.tryLock("scope"), null);
      const [holder] = (await other.show("scope"))?.holders ?? [];
      assert.equal(holder?.fencingToken, hold.fencingToken);
      const user = os.userInfo().username;
      assert.deepEqual(holder?.metadata, { host: "web-1", pid: String(process.pid), user });
      return "done";
    });
    assert.equal(result, "done");
    assert.equal(await other.show("scope"), null);
    let left: Hold;
    {
      await using hold = await client.lock("scope");
      left = hold;
      assert.ok(hold.fencingToken > first);
    }
    assert.ok(!left.lost && left.remainingMs === 0 && !left.signal.aborted);
    assert.equal(await other.show("scope"), null);
  });

  behaviour("scope-error", "error of the work reaches the caller, and its lock is free", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    const failed = new Error("broken");
    await assert.rejects(
      client.withLock("broken", () => {
        throw failed;
      }),
      (error) => error === failed,
    );
    await (await other.lock("broken", { waitMs: 10_000 })).release();
    await assert.rejects(async () => {
      await using _hold = await client.lock("broken", { waitMs: 10_000 });
      throw failed;
    }, failed);
    await (await other.lock("broken", { waitMs: 10_000 })).release();
  });

  behaviour("try", "held lock is not taken, and an error is no held lock", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    await using hold = await client.tryLock("try");
    assert.ok(hold !== null);
    assert.ok((await duration(async () => assert.equal(await other.tryLock("try"), null))) < 5000);
    await assert.rejects(other.tryLock("a".repeat(600)), Refused);
  });

  behaviour("wait", "wait ends with the release", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    const hold = await client.lock("wait");
    const waiting = other.lock("wait");
    await untilWaiting(client, "wait", 1);
    await hold.release();
    await hold.release();
    const took = await duration(async () => await (await waiting).release());
    assert.ok(took < 6000, `${took} ms`);
  });

  behaviour("order", "waiters get the lock in the order in which they came", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    const hold = await client.lock("order");
    const order: number[] = [];
    const waiting: Promise<void>[] = [];
    for (const each of [1, 2, 3, 4]) {
      waiting.push(client.asOwner(() => client.withLock("order", () => void order.push(each))));
      await untilWaiting(client, "order", each);
    }
    await hold.release();
    await Promise.all(waiting);
    assert.deepEqual(order, [1, 2, 3, 4]);
  });

  behaviour("holder", "wait in vain names the holder, since when, and how many wait", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url, { metadata: { job: "7" } });
    const hold = await client.lock("holder", { metadata: { task: "x" } });
    const waiting = other.lock("holder", { waitMs: 20_000 });
    await untilWaiting(client, "holder", 1);
    const took = await duration(async () => {
      await assert.rejects(other.lock("holder", { waitMs: 2000 }), (error: unknown) => {
        assert.ok(error instanceof NotAcquired && error.lockName === "holder" && error.queueLength === 1);
        assert.deepEqual(
          error.holders.map((holder) => holder.fencingToken),
          [hold.fencingToken],
        );
        assert.match(error.message, new RegExp(`@${os.hostname()} pid ${process.pid} since 20.*task=x.*; 1 waits for it`));
        return true;
      });
    });
    assert.ok(took > 1900 && took < 10_000, `${took} ms`);
    await assert.rejects(client.lock("holder", { waitMs: 1000 }), /held by this client itself/);
    await hold.release();
    await using following = await waiting;
    const [shown] = (await client.show("holder"))?.holders ?? [];
    assert.deepEqual([shown?.fencingToken, shown?.metadata], [following.fencingToken, { job: "7" }]);
  });

  behaviour("cancel", "cancelled wait leaves the queue at once", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    await using third = new Client(url);
    const hold = await client.lock("cancel");
    const cancelling = new AbortController();
    const cancelled = other.lock("cancel", { signal: cancelling.signal });
    await untilWaiting(client, "cancel", 1);
    const reason = new Error("not needed any more");
    cancelling.abort(reason);
    await assert.rejects(cancelled, (error) => error === reason);
    // Its place is kept for a retry, and passed over meanwhile.
    const waiting = third.lock("cancel");
    await untilWaiting(client, "cancel", 2);
    await hold.release();
    const took = await duration(async () => await (await waiting).release());
    assert.ok(took < 6000, `${took} ms`);
    await assert.rejects(other.lock("cancel", { signal: cancelling.signal }), (error) => error === reason);
  });

  behaviour("token", "each hold has a higher token than the one before", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    let last = 0;
    for (const each of [client, other, client]) {
      await using hold = await each.lock("token");
      assert.ok(Number.isSafeInteger(hold.fencingToken) && hold.fencingToken > last);
      last = hold.fencingToken;
    }
  });

  behaviour("shared", "readers share a lock, and a writer waits for all of them", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    await using writer = new Client(url);
    const one = await client.readLock("shared", { waitMs: 10_000 });
    const two = await other.lock("shared", { waitMs: 10_000, mode: "shared" });
    const shown = await client.show("shared");
    assert.deepEqual([shown?.mode, shown?.holders.length], ["shared", 2]);
    await assert.rejects(
      client.lock("shared", { waitMs: 0 }),
      (error) => error instanceof NotAcquired && error.holders.length === 2,
    );
    const waiting = writer.lock("shared", { waitMs: 20_000 });
    await untilWaiting(client, "shared", 1);
    assert.equal(await client.tryLock("shared", { mode: "shared" }), null, "the writer was here before");
    await one.release();
    assert.equal((await client.show("shared"))?.queueLength, 1);
    await two.release();
    await (await waiting).release();
  });

  behaviour("names", "several names are one hold, all or none, in whatever order", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    {
      await using hold = await client.lock(["b", { name: "a", mode: "shared" }], { waitMs: 10_000 });
      assert.deepEqual([hold.name, hold.names], ["b", ["b", "a"]]);
      assert.equal(await other.tryLock(["c", "a"]), null);
      await (await other.readLock("a", { waitMs: 10_000 })).release();
      await assert.rejects(
        other.lock(["c", "b"], { waitMs: 0 }),
        (error) => error instanceof NotAcquired && error.lockName === "b",
      );
      assert.equal(await other.show("c"), null);
    }
    const crossing = [["x", "y"], ["y", "x"], ["y", "z"], ["z", "x"]].map(async (names) => {
      for (let round = 0; round < 5; round++) await client.withLock(names, { waitMs: 30_000 }, () => undefined);
    });
    await Promise.all(crossing);
    await (await other.lock(["a", "b", "c"], { waitMs: 10_000 })).release();
  });

  behaviour("weight", "weight takes that many places", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    await using _hold = await client.lock("weight", { waitMs: 10_000, size: 4, weight: 3 });
    assert.equal(await other.tryLock("weight", { size: 4, weight: 2 }), null);
    await (await other.lock("weight", { waitMs: 10_000, size: 4 })).release();
    await assert.rejects(other.lock("weight", { waitMs: 0, size: 4, weight: 5 }), /weight must be a whole number from 1/);
    await assert.rejects(
      other.lock("weight", { size: 3 }),
      (error) => error instanceof Refused && error.code === "LockSizeMismatch",
    );
  });

  behaviour("close", "closed client has released everything, and its holds are lost", async () => {
    const { url } = await shared();
    const client = new Client(url, { onWarning: () => undefined });
    await using other = new Client(url);
    const told: Hold[] = [];
    const hold = await client.lock("close", { onLost: (lost) => told.push(lost) });
    await client.asOwner(() => client.lock("close too"));
    const theirs = await other.lock("close waits");
    const waiting = assert.rejects(client.lock("close waits"), /the client is closed/);
    await untilWaiting(other, "close waits", 1);
    await client.close();
    await waiting;
    await theirs.release();
    assert.ok(hold.lost && hold.signal.aborted);
    await until(() => told.length === 1);
    await assert.rejects(hold.release(), (error) => error instanceof LockLost && error.why.includes("closed"));
    await (await other.lock(["close", "close too"], { waitMs: 10_000 })).release();
    await assert.rejects(client.lock("close"), /the client is closed/);
  });

  behaviour("concurrent", "eight tasks that share a client lose no increment", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    const tokens: number[] = [];
    let counter = 0;
    const count = async () => {
      for (let round = 0; round < 10; round++) {
        await client.withLock("counter", async (hold) => {
          const seen = counter;
          await new Promise(setImmediate);
          counter = seen + 1;
          tokens.push(hold.fencingToken);
        });
      }
    };
    await Promise.all(Array.from({ length: 8 }, count));
    assert.equal(counter, 80);
    assert.deepEqual(tokens, [...new Set(tokens)].sort((a, b) => a - b), "tokens rise");
  });

  test("many waits of one owner share its session and a signal that ends them", async () => {
    const { url } = await shared();
    const told: string[] = [];
    const listen = (warning: Error) => told.push(warning.name);
    process.on("warning", listen);
    await using client = new Client(url);
    const cancelling = new AbortController();
    const { signal } = cancelling;
    const holder = await client.lock("crowd");
    const waiting = Array.from({ length: 40 }, () => client.lock("crowd", { signal }));
    await untilWaiting(client, "crowd", 40);
    cancelling.abort();
    const ends = await Promise.allSettled(waiting);
    assert.ok(ends.every((end) => end.status === "rejected"));
    await holder.release();
    process.off("warning", listen);
    assert.ok(!told.includes("MaxListenersExceededWarning"));
  });
});
