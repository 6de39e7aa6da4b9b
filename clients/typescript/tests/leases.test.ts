/** Renewals, deadlines and losses. */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as rest } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Client, LockLost } from "@latchd/client";
import type { Hold } from "@latchd/client";

import { Between, Server, environment, losing, wire } from "./servers.js";
import { behaviour, beside, force, isLostWithin, shared, until, untilWaiting } from "./support.js";

const quiet = { onWarning: () => undefined };

/** Keeps the event loop busy, as a long computation does. */
function stall(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

beside("leases", () => {
  behaviour("renewal", "renewal keeps a lock far beyond its lease", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    await using hold = await client.lock("renewal", { leaseMs: 8000 });
    assert.ok(!(await isLostWithin(hold, 12_000)));
    assert.equal(await other.tryLock("renewal"), null);
  });

  for (const how of ["killed", "paused"] as const) {
    behaviour("deadline", `hold of a ${how} service is lost before its lease ends`, async () => {
      await using server = await Server.start();
      const client = new Client(server.url, quiet);
      const roomy = await client.lock("roomy", { leaseMs: 30_000 });
      assert.ok(roomy.remainingMs <= 28_500, "clocks may differ a little");
      const told: Hold[] = [];
      const begun = performance.now();
      const hold = await client.lock("deadline", { leaseMs: 8000, onLost: (lost) => told.push(lost) });
      await (how === "killed" ? server.kill() : server.pause());
      assert.ok(!hold.lost && hold.remainingMs > 500);
      assert.ok(await isLostWithin(hold, 60_000));
      const took = performance.now() - begun;
      // A busy machine may wake this late, but not change when the answer to `lost` turns.
      assert.ok(took > 4000 && took < 25_000, `${took} ms`);
      assert.ok(hold.signal.reason instanceof LockLost && hold.remainingMs === 0);
      assert.throws(() => hold.check(), /could not be renewed/);
      await until(() => told.length === 1);
      if (how === "paused") server.resume();
      await assert.rejects(hold.release(), LockLost);
      assert.ok(hold.lost && told[0] === hold, "it stays so");
    });
  }

  behaviour("late-answer", "lease counts from before the request, not from its late answer", async () => {
    await using between = await Between.start(await shared(), losing(["/v1/lock"], 1000));
    await using client = new Client(between.url);
    await using hold = await client.lock("told late", { leaseMs: 30_000 });
    assert.equal(between.keys("/v1/lock").length, 2);
    const left = hold.remainingMs + hold.leaseMs / 20;
    assert.ok(left > 15_000 && left < 29_100, `${left} ms: the first answer left the server a second ago`);
  });

  behaviour("late-answer", "time that the answer was under way counts as lease", async () => {
    const late = (path: string, status: number, content: Buffer) => (path === "/v1/lock" ? [700, wire(status, content)] : null);
    await using between = await Between.start(await shared(), late);
    await using client = new Client(between.url);
    await using hold = await client.lock("under way", { leaseMs: 30_000 });
    assert.ok(hold.remainingMs <= 30_000 - 700 - 1500, `${hold.remainingMs} ms`);
  });

  behaviour("forced", "forced release is noticed at the next renewal, and told at once", async () => {
    const server = await shared();
    await using client = new Client(server.url, quiet);
    let told = 0;
    const hold = await client.lock("forced", { leaseMs: 9000, onLost: () => told++ });
    await force(server, "forced");
    assert.ok(await isLostWithin(hold, 7000), "sooner than its lease would have ended");
    await until(() => told === 1);
    await assert.rejects(hold.release(), /the service says that it has ended/);
  });

  behaviour("loss", "work is told of the loss while it runs, and its scope ends with an error", async () => {
    const server = await shared();
    await using client = new Client(server.url, quiet);
    const lost = (error: unknown) => error instanceof LockLost && error.lockName === "loss";
    const aborted = client.withLock("loss", { leaseMs: 3000 }, async (_hold, signal) => {
      await force(server, "loss");
      await rest(20_000, undefined, { signal });
    });
    await assert.rejects(aborted, lost);
    const unaware = client.withLock("loss", { leaseMs: 3000 }, async (hold) => {
      await force(server, "loss");
      await isLostWithin(hold, 20_000);
      return "done";
    });
    await assert.rejects(unaware, lost);
    const failed = client.withLock("loss", { leaseMs: 3000 }, async (hold) => {
      await force(server, "loss");
      await isLostWithin(hold, 20_000);
      throw new RangeError("of the work");
    });
    await assert.rejects(failed, RangeError);
    await assert.rejects(async () => {
      await using hold = await client.lock("loss", { leaseMs: 3000 });
      await force(server, "loss");
      await isLostWithin(hold, 20_000);
    }, lost);
  });

  behaviour("session-end", "ended session loses its holds first, then the next lock opens another one", async () => {
    const { url } = await shared();
    await using client = new Client(url, quiet);
    const kept = await client.lock("of the ended", { leaseMs: 600_000 });
    const id = await client.sessionId();
    // Ended by somebody else, as idle ones are by the service.
    await fetch(`${url}/session`, { method: "DELETE", headers: { Cookie: `ldlm-session=${id}` } });
    const hold = await client.lock("of the next", { waitMs: 10_000 });
    assert.ok(kept.lost && !hold.lost, "its session is no more");
    assert.notEqual(await client.sessionId(), id);
    await assert.rejects(kept.release(), /session has ended/);
    const headers = { Cookie: `ldlm-session=${await client.sessionId()}` };
    await fetch(`${url}/session`, { method: "DELETE", headers });
    await using lead = await client.elect("of the next", "one", { waitMs: 5000 });
    assert.ok(hold.lost && !lead.lost);
    await assert.rejects(hold.release(), LockLost);
  });

  test("hold is lost before its session would end", async () => {
    await using server = await Server.start({ environment: { LATCHD_SESSIONS_IDLE_TIMEOUT: "9s" } });
    const client = new Client(server.url, quiet);
    const hold = await client.lock("long", { leaseMs: 3_600_000 });
    assert.ok(!(await isLostWithin(hold, 11_000)), "renewed in time for the session");
    assert.ok(hold.remainingMs < 9000, "ends when the session does if it hears nothing more");
    await server.kill();
    assert.ok(await isLostWithin(hold, 60_000));
  });

  test("grant after a long wait has its whole lease", async () => {
    const { url } = await shared();
    await using client = new Client(url);
    await using other = new Client(url);
    const kept = await client.lock("late grant");
    const waiting = other.lock("late grant", { leaseMs: 9000 });
    await untilWaiting(client, "late grant", 1);
    await rest(5000);
    await kept.release();
    await using hold = await waiting;
    assert.ok(hold.remainingMs > 4500, `${hold.remainingMs} ms: counted from the renewal, not from before the wait`);
  });

  test("process that holds a lock and has nothing to do ends", async () => {
    const { url } = await shared();
    await using other = new Client(url);
    const script = `
      import { Client } from ${JSON.stringify(fileURLToPath(new URL("../dist/index.js", import.meta.url)))};
      const hold = await new Client(${JSON.stringify(url)}).lock("left behind", { leaseMs: 600_000 });
      console.log(hold.fencingToken);`;
    const node = [process.execPath, ["--input-type=module", "--eval", script], { env: environment(), timeout: 100_000 }] as const;
    const { stdout } = await promisify(execFile)(...node);
    assert.equal((await other.show("left behind"))?.holders[0]?.fencingToken, Number(stdout));
  });

  test("process ends also while its renewals get no answer", async () => {
    await using server = await Server.start();
    const script = `
      import { once } from "node:events";
      import { Client } from ${JSON.stringify(fileURLToPath(new URL("../dist/index.js", import.meta.url)))};
      const client = new Client(${JSON.stringify(server.url)}, { onWarning: () => undefined });
      const hold = await client.lock("left behind", { leaseMs: 12_000 });
      process.on("exit", () => console.log(hold.lost));
      console.log("held");
      await once(process.stdin, "data");
      process.stdin.destroy();
      await new Promise((resolve) => setTimeout(resolve, hold.remainingMs - 12_000 * 0.95 + 4500));`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { env: environment() });
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (line !== "held") continue;
      await server.pause();
      child.stdin.write("go on\n");
    }
    assert.deepEqual(lines, ["held", "false"], "it did not wait for the end of the lease");
  });

  test("grant that is over when its answer arrives is taken again", async () => {
    await using between = await Between.start(await shared(), losing(["/v1/lock"], 5000));
    await using client = new Client(between.url);
    await using hold = await client.lock("untold", { waitMs: 60_000, leaseMs: 4000 });
    const [first, second, third] = between.keys("/v1/lock");
    assert.ok(first === second && second !== third && !hold.lost);
  });

  test("renewals of a hold that the service refuses for a while lose nothing", async () => {
    const refused: string[] = [];
    const page = Buffer.from("HTTP/1.1 401 So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    await using between = await Between.start(await shared(), (path) => {
      if (path !== "/v1/renew" || refused.length >= 2) return null;
      refused.push(path);
      return [page];
    });
    await using client = new Client(between.url);
    await using hold = await client.lock("refused", { leaseMs: 9000 });
    assert.ok(!(await isLostWithin(hold, 10_000)) && refused.length === 2);
  });
});

test("hold whose deadline passed while the event loop stood still is lost before anything else runs", async () => {
  const { url } = await shared();
  const client = new Client(url, quiet);
  const asked = await client.lock("stalled", { leaseMs: 2500 });
  const seen = await client.lock("stalled signal", { leaseMs: 2500 });
  const waited = await client.lock("stalled timer", { leaseMs: 2500 });
  const { signal } = seen;
  const timer = rest(1).then(() => waited.lost);
  stall(3000);
  assert.ok(asked.lost && asked.remainingMs === 0);
  assert.ok(signal.aborted);
  assert.throws(() => signal.throwIfAborted(), LockLost);
  assert.ok(await timer);
  await client.close();
});

test("lock with a stall shorter than its lease goes on", async () => {
  const { url } = await shared();
  await using client = new Client(url);
  await using hold = await client.lock("short stall", { leaseMs: 9000 });
  stall(3500);
  assert.ok(!hold.lost);
  assert.ok(!(await isLostWithin(hold, 6000)));
});
