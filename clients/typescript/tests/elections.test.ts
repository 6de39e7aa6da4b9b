/** Campaigning, leading, resigning, and who leads. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, LockLost, NotAcquired, Refused } from "@latchd/client";

import { behaviour, beside, force, isLostWithin, shared, until, untilWaiting } from "./support.js";

beside("elections", () => {
  behaviour("election", "leader is known until it resigns, then the next candidate leads", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    assert.equal(await other.leader("primary"), null);
    const lead = await client.elect("primary", "web-1:80", { waitMs: 10_000, leaseMs: 8000 });
    const found = await other.leader("primary");
    assert.deepEqual([found?.value, found?.fencingToken], ["web-1:80", lead.fencingToken]);
    assert.ok(found && found.reliableForMs > 0 && found.reliableForMs <= 1000);
    await assert.rejects(
      other.elect("primary", "web-2", { waitMs: 0 }),
      (error) => error instanceof NotAcquired && error.holders[0]?.fencingToken === lead.fencingToken,
    );
    const waiting = other.elect("primary", "web-2:80", { waitMs: 20_000 });
    await untilWaiting(client, "primary", 1);
    assert.ok(!(await isLostWithin(lead, 10_000)), "it is renewed");
    await lead.release();
    const following = await waiting;
    assert.equal(found.reliableForMs, 0, "nobody else is elected while an answer is reliable");
    assert.equal((await client.leader("primary"))?.value, "web-2:80");
    assert.ok(following.fencingToken > lead.fencingToken);
    await following.release();
    assert.equal(await client.leader("primary"), null);
  });

  behaviour("election-value", "leader changes its value, and everybody reads the new one", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    const lead = await client.elect("a?b#c&name=d", "one", { waitMs: 10_000 });
    await lead.setValue("two");
    const found = await other.leader("a?b#c&name=d");
    assert.deepEqual([found?.value, found?.fencingToken, lead.value], ["two", lead.fencingToken, "two"]);
    await lead.release();
    await assert.rejects(lead.setValue("late"), /released/);
  });

  behaviour("election-lost", "leader that is ended by force learns that it is", async () => {
    const server = await shared();
    await using client = new Client(server.url, { onWarning: () => undefined });
    let told = 0;
    const lead = await client.elect("ended", "one", { leaseMs: 3000, onLost: () => told++ });
    await force(server, "ended");
    assert.ok(await isLostWithin(lead, 60_000));
    await until(() => told === 1);
    const asked = await client.elect("ended", "two", { leaseMs: 60_000 });
    await force(server, "ended");
    await assert.rejects(asked.setValue("three"), LockLost);
    assert.ok(asked.lost);
  });

  test("wrong values are refused", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await assert.rejects(client.elect("wrong", ""), /value must have 1 to/);
    await assert.rejects(client.elect("wrong", "one", { leaseMs: 0 }), RangeError);
    await assert.rejects(client.elect("a".repeat(600), "one"), Refused);
  });
});
