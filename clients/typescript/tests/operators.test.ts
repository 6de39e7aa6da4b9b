/** What an operator does to the locks of a client, and what the service says when it will not do something. */

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as rest } from "node:timers/promises";

import { Client, Frozen, NotAcquired, Refused, Unreachable } from "@latchd/client";

import { Wait, acquire, isGranted } from "../dist/acquiring.js";
import { Service } from "../dist/service.js";
import { wantedOf } from "../dist/wanted.js";
import { Between, Server, problem, wire } from "./servers.js";
import { ask, behaviour, beside, duration, freeze, shared, thaw, until } from "./support.js";

const reason = "release 7, ticket 4411";

beside("operators", () => {
  behaviour("frozen", "frozen lock is refused with the target, the reason and the end", async () => {
    const server = await shared();
    await using client = new Client(server.url);
    await freeze(server, "frozen/", reason, "prefix");
    const isTold = (error: unknown) => {
      assert.ok(error instanceof Frozen && error instanceof NotAcquired && error.lockName === "frozen/a");
      const { target, match, remainingMs, until: end } = error.freeze;
      assert.deepEqual([target, match, error.freeze.reason], ["frozen/", "prefix", reason]);
      for (const left of [remainingMs, end.getTime() - Date.now()]) assert.ok(left > 3_500_000 && left < 3_602_000);
      const moment = end.toISOString().slice(0, 19).replace("T", " ");
      const said = `all names that start with 'frozen/' are frozen until ${moment} UTC: ${reason}`;
      return error.name === "Frozen" && error.message.includes(said);
    };
    for (const waitMs of [0, 3000]) await assert.rejects(client.lock("frozen/a", { waitMs }), isTold);
    assert.equal(await client.tryLock("frozen/a"), null);
    await assert.rejects(client.elect("frozen/b", "me", { waitMs: 0 }), Frozen);
  });

  behaviour("frozen", "holder goes on under a freeze, is told of, and is not upgraded", async () => {
    const server = await shared();
    await using client = new Client(server.url);
    await using hold = await client.readLock("frozen-c");
    await freeze(server, "frozen-c", reason);
    await assert.rejects(hold.upgrade({ waitMs: 0 }), Frozen);
    hold.check();
    await assert.rejects(client.lock(["frozen-d", "frozen-c"], { waitMs: 0 }), (error) => {
      assert.ok(error instanceof Frozen && error.message.includes(reason));
      return error.holders[0]?.fencingToken === hold.fencingToken;
    });
    assert.equal((await client.show("frozen-c"))?.frozen?.reason, reason);
  });

  behaviour("frozen-wait", "wait outlasts a freeze and says so", async () => {
    const server = await shared();
    const warnings: string[] = [];
    const service = new Service([server.url], { onWarning: (said) => warnings.push(said) });
    service.sliceMs = 200;
    await freeze(server, "frozen-wait", reason);
    let isOver = false;
    const waiting = acquire(service, wantedOf("frozen-wait", {}), new Wait(20_000, 10_000), undefined);
    void waiting.finally(() => (isOver = true));
    await until(() => warnings.length > 0);
    await rest(600); // More requests, of which no warning tells.
    assert.ok(!isOver && warnings.length === 1 && warnings[0]?.includes(reason), warnings.join());
    await thaw(server, "frozen-wait");
    assert.ok(isGranted(await waiting));
    await service.close();
  });

  behaviour("lock-delay", "delayed lock is told from a held one", async () => {
    const server = await shared();
    const { session_id } = await ask(server, "POST", "/session");
    const wanted = { name: "delayed", lock_timeout_seconds: 0.05, lock_delay_seconds: 60 };
    await ask(server, "POST", "/v1/lock", {}, wanted, { Cookie: `ldlm-session=${String(session_id)}` });
    await using client = new Client(server.url);
    await until(async () => !!(await client.show("delayed"))?.delayedForMs);
    const said = /'delayed' is not granted for (59|60) s, because of how its last hold ended/;
    await assert.rejects(client.lock("delayed", { waitMs: 0 }), { name: "NotAcquired", message: said });
  });

  behaviour("rate", "request beyond a rate is sent again when the service says", async () => {
    const rates = '[{ prefix = "slow/", requests_per_second = 1 }]';
    await using server = await Server.start({ environment: { LATCHD_QUOTAS_RATES: rates } });
    await using client = new Client(server.url);
    await (await client.lock("slow/a")).release();
    const took = await duration(async () => (await client.lock("slow/a", { waitMs: 30_000 })).release());
    assert.ok(took > 500, `${took} ms`);
  });

  behaviour("rate", "retry that the service wants too late is not made", async () => {
    const said = problem(429, "rate-exceeded", "at most 7 requests a second: the rate of 'ci'", 60);
    await using between = await Between.start(await shared(), (path) => (path === "/v1/lock" ? [said] : null));
    await using client = new Client(between.url);
    const isTold = (error: unknown) =>
      error instanceof Unreachable && error.retryAfterMs === 60_000 && error.code === "rate-exceeded" &&
      error.message.includes("at most 7 requests a second");
    const took = await duration(() => assert.rejects(client.lock("slow", { waitMs: 20_000 }), isTold));
    assert.ok(took < 15_000 && between.keys("/v1/lock").length === 1, `${took} ms`);
  });

  behaviour("trace", "headers of the context of a call go with its requests", async () => {
    const span = new AsyncLocalStorage<string>();
    await using between = await Between.start(await shared(), () => null);
    const headers = () => ({ cookie: "ldlm-session=of-somebody-else", traceparent: span.getStore() ?? "none" });
    await using client = new Client(between.url, { headers });
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const hold = await span.run(traceparent, () => client.lock("traced"));
    await hold.release();
    const told = between.requests.map(({ path, headers: sent }) => [path, sent["traceparent"]]);
    assert.deepEqual(told, [["/session", traceparent], ["/v1/lock", traceparent], ["/v1/unlock", "none"]]);
  });

  behaviour("refusal", "words of the service reach the caller with their code, also an unknown one", async () => {
    const cases = [
      [503, "audit-unwritten", Unreachable],
      [429, "share-full", Unreachable],
      [401, "credential-expired", Refused],
      [409, "of-a-newer-service", Refused],
      [451, "of-a-newer-service", Refused],
    ] as const;
    for (const [status, code, kind] of cases) {
      const said = problem(status, code, "these are the words \x1b[2J");
      await using between = await Between.start(await shared(), (path) => (path === "/v1/lock" ? [said] : null));
      await using client = new Client(between.url, { patienceMs: 200 });
      const isTold = (error: unknown) =>
        error instanceof kind && error.code === code && error.message.includes("these are the words \\u{1b}[2J");
      await assert.rejects(client.lock("a"), isTold, `${status}`);
    }
    const odd = '{"locked": false, "name": "odd", "key": "", "frozen": {"until": 7, "remaining_seconds": 1e300}}';
    await using between = await Between.start(await shared(), (path) => (path === "/v1/lock" ? [wire(200, odd)] : null));
    await using client = new Client(between.url);
    // It does not wait, and is not asked as fast as it answers.
    await assert.rejects(client.lock("odd", { waitMs: 4000 }), Frozen);
    const { length: asked } = between.keys("/v1/lock");
    assert.ok(asked > 1 && asked < 30, `${asked}`);
  });
});
