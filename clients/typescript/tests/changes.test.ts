/** Holds that change, and waits that could not end. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { Client, LockLost, NotAcquired, Refused, WouldDeadlock } from "@latchd/client";

import { Between, Server, wire } from "./servers.js";
import { behaviour, beside, force, isLostWithin, shared, untilWaiting } from "./support.js";

const quiet = { onWarning: () => undefined };

beside("changes", () => {
  behaviour("downgrade", "downgrade lets readers in, keeps the hold, and gives a new token", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    await using hold = await client.lock("downgrade", { waitMs: 10_000, leaseMs: 8000 });
    const first = hold.fencingToken;
    assert.equal(await other.tryLock("downgrade", { mode: "shared" }), null);
    await hold.downgrade();
    assert.ok(hold.fencingToken > first);
    await using _reader = await other.readLock("downgrade", { waitMs: 10_000 });
    assert.ok(!(await isLostWithin(hold, 10_000)));
    const holders = (await other.show("downgrade"))?.holders ?? [];
    assert.ok(holders.some((holder) => holder.fencingToken === hold.fencingToken));
  });

  behaviour("upgrade", "upgrade waits until the holder is alone, and of two the second is refused", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    const hold = await client.readLock("upgrade", { waitMs: 10_000, leaseMs: 8000 });
    const reader = await other.readLock("upgrade", { waitMs: 10_000 });
    const first = hold.fencingToken;
    await assert.rejects(hold.upgrade({ waitMs: 0 }), /others share it/);
    await assert.rejects(hold.upgrade({ waitMs: 1000 }), NotAcquired);
    assert.ok(hold.fencingToken === first && !hold.lost);
    const waiting = hold.upgrade({ waitMs: 20_000 });
    await untilWaiting(other, "upgrade", 1);
    await assert.rejects(reader.upgrade({ waitMs: 20_000 }), (error) => error instanceof Refused || error instanceof WouldDeadlock);
    await reader.release();
    await waiting;
    assert.ok(hold.fencingToken > first);
    assert.ok(!(await isLostWithin(hold, 10_000)));
    assert.equal(await other.tryLock("upgrade", { mode: "shared" }), null);
    await hold.release();
    await assert.rejects(hold.upgrade({ waitMs: 0 }), /is released/);
    await using counted = await client.lock("upgrade counted", { waitMs: 10_000, size: 2 });
    await assert.rejects(counted.upgrade({ waitMs: 0 }), Refused);
  });

  behaviour("transfer", "transferred hold goes on with the other client, and is over here", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url, quiet);
    let told = 0;
    const hold = await client.lock(["job", "disk"], { waitMs: 10_000, leaseMs: 8000, onLost: () => told++ });
    const given = await hold.transfer(await other.sessionId());
    assert.ok(given.fencingToken > hold.fencingToken);
    await hold.release();
    await client.close();
    const mine = await other.adopt(given.toSecret(), { leaseMs: 8000 });
    assert.deepEqual([mine.names, mine.fencingToken], [["job", "disk"], given.fencingToken]);
    assert.ok(!(await isLostWithin(mine, 10_000)));
    assert.equal((await other.show("disk"))?.holders[0]?.fencingToken, given.fencingToken);
    await mine.release();
    assert.ok(told === 0 && !hold.lost);
    await assert.rejects(other.adopt(given), /before it was taken up/);
    const { key, session } = JSON.parse(given.toSecret()) as { key: string; session: string };
    const printed = inspect(given, { showHidden: true }) + JSON.stringify(given);
    assert.ok(!printed.includes(key) && !printed.includes(session), printed);
    await assert.rejects(other.adopt("nonsense"), TypeError);
  });

  behaviour("deadlock", "wait that would close a cycle is refused with the cycle", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    const left = await client.lock("left", { waitMs: 10_000 });
    await using _right = await other.lock("right", { waitMs: 10_000 });
    const waiting = other.lock("left", { waitMs: 20_000 });
    await untilWaiting(client, "left", 1);
    await assert.rejects(client.lock("right", { waitMs: 20_000 }), (error: unknown) => {
      assert.ok(error instanceof WouldDeadlock && error instanceof NotAcquired);
      assert.match(error.message, /waits for 'right'/);
      const [one, two] = error.cycle;
      assert.deepEqual([one?.name, two?.name], ["right", "left"]);
      assert.deepEqual([one?.heldBy, two?.heldBy], [two?.waitedForBy, one?.waitedForBy]);
      return true;
    });
    assert.ok(!left.lost);
    await left.release();
    await (await waiting).release();
  });

  behaviour("deadlock", "scopes of one client are owners of their own", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    let both!: () => void;
    const bothHold = new Promise<void>((resolve) => (both = resolve));
    let held = 0;
    const take = (first: string, second: string) =>
      client.withLock(first, { waitMs: 20_000 }, async () => {
        if (++held === 2) both();
        await bothHold;
        return await client.withLock(second, { waitMs: 20_000 }, () => "both");
      });
    const ends = await Promise.allSettled([take("scope-one", "scope-two"), take("scope-two", "scope-one")]);
    const refused = ends.filter((end) => end.status === "rejected");
    assert.equal(refused.length, 1);
    assert.ok(refused[0]?.reason instanceof WouldDeadlock);
  });

  test("waits of two scopes that hold nothing are no deadlock", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    const one = await client.lock("plain one", { waitMs: 10_000 });
    await using two = await other.lock("plain two", { waitMs: 10_000 });
    const waiting = client.asOwner(() => client.withLock("plain two", () => undefined));
    await untilWaiting(client, "plain two", 1);
    const crossing = other.lock("plain one");
    await untilWaiting(client, "plain one", 1);
    await one.release();
    await (await crossing).release();
    await two.release();
    await waiting;
  });

  test("session of an ended scope goes to the next", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    const program = await client.sessionId();
    const ids = new Set<string>();
    for (let each = 0; each < 5; each++) {
      await client.asOwner(async () => void ids.add(await client.sessionId()));
    }
    const outlives: { work?: Promise<string> } = {};
    await client.asOwner(async () => {
      outlives.work = new Promise((resolve) => setImmediate(resolve)).then(() => client.sessionId());
    });
    assert.ok(ids.size === 1 && !ids.has(program));
    assert.equal(await outlives.work, program, "work that outlives its scope belongs to the program");
  });

  test("transfer to nobody leaves the hold", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using hold = await client.lock("kept", { waitMs: 10_000 });
    await assert.rejects(hold.transfer("nonsense"), Refused);
    await assert.rejects(hold.transfer("00".repeat(16)), Refused);
    assert.ok(!hold.lost);
  });

  test("renewal during a transfer reports no loss", async () => {
    const renewals: string[] = [];
    await using between = await Between.start(await shared(), (path, status, content) => {
      if (path === "/v1/renew") renewals.push(content.toString());
      return path === "/v1/transfer" ? [2500, wire(status, content)] : null;
    });
    await using client = new Client(between.url);
    await using other = new Client((await shared()).url);
    let told = 0;
    const hold = await client.lock("passed", { waitMs: 10_000, leaseMs: 6000, onLost: () => told++ });
    await hold.transfer(await other.sessionId());
    assert.ok(renewals.some((each) => each.includes('"locked":false')), "it was renewed meanwhile");
    await hold.release();
    assert.ok(told === 0 && !hold.lost);
  });

  for (const change of ["upgrade", "downgrade"] as const) {
    test(`${change} of a hold that was ended loses it`, async () => {
      const server = await shared();
      await using client = new Client(server.url, quiet);
      const hold = await client.readLock(`ended ${change}`);
      await force(server, `ended ${change}`);
      await assert.rejects(hold[change](), LockLost);
      assert.ok(hold.lost);
    });
  }

  test("waits outlast the longest wait of the service", async () => {
    await using server = await Server.start({ environment: { LATCHD_LOCKS_WAIT_MAX: "300ms" } });
    await using client = new Client(server.url);
    await using other = new Client(server.url);
    const hold = await client.readLock("long");
    const reader = await other.readLock("long");
    const begun = performance.now();
    await assert.rejects(other.lock("long", { waitMs: 800 }), NotAcquired);
    assert.ok(performance.now() - begun > 750);
    setTimeout(() => void reader.release(), 700);
    await hold.upgrade();
    assert.equal(await other.tryLock("long", { mode: "shared" }), null);
    setTimeout(() => void hold.release(), 700);
    await (await other.lock("long")).release();
  });
});
