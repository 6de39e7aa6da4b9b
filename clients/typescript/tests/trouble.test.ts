/** Lost answers, silent nodes, lost servers, and waits that end in time whatever the other end does. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as rest } from "node:timers/promises";

import { Client, NotAcquired, Refused, Unreachable } from "@latchd/client";

import { Between, Server, losing, wire } from "./servers.js";
import type { Piece } from "./servers.js";
import { behaviour, beside, duration, isLostWithin, shared } from "./support.js";

const quiet = { onWarning: () => undefined };

const faults: Record<string, (status: number, content: Buffer) => Iterable<Piece>> = {
  stalls: () => [30_000],
  trickles: function* (status, content) {
    for (const each of wire(status, content)) {
      yield Buffer.from([each]);
      yield 150;
    }
  },
  "stops in the body": (status, content) => [wire(status, content).subarray(0, -5), 30_000],
};

beside("trouble", () => {
  for (const [how, fault] of Object.entries(faults)) {
    for (const where of ["/session", "/v1/lock"]) {
      behaviour("wait-timeout", `wait ends in time where ${where} ${how}`, async () => {
        await using between = await Between.start(await shared(), (path, status, content) =>
          path === where ? fault(status, content) : null,
        );
        const client = new Client(between.url, quiet);
        const ends = async (waitMs: number, kind: typeof NotAcquired | typeof Unreachable) => {
          const lock = client.lock("between", { waitMs });
          // On a slow machine, opening the session may have taken all of it.
          const says = (error: unknown) => error instanceof kind && /in time|no time was left/.test(error.message);
          const took = await duration(() => assert.rejects(lock, says));
          assert.ok(took > Math.max(waitMs, 1000) - 100 && took < waitMs + 6000, `${took} ms`);
        };
        await Promise.all([ends(0, Unreachable), ends(1500, NotAcquired)]);
      });
    }
  }

  behaviour("wait-timeout", "wait ends in time at a server that stands still", async () => {
    await using server = await Server.start();
    const client = new Client(server.url, quiet);
    await client.lock("held", { leaseMs: 60_000 });
    await server.pause();
    const took = await duration(() => assert.rejects(client.lock("held", { waitMs: 1200 }), NotAcquired));
    assert.ok(took > 1100 && took < 8000, `${took} ms`);
  });

  behaviour("retry", "request that is sent again after a lost answer gives the same hold", async () => {
    const { url } = await shared();
    const paths = ["/session", "/v1/lock", "/v1/unlock"];
    for (const waitMs of [0, 5000]) {
      await using between = await Between.start(await shared(), losing(paths));
      await using client = new Client(between.url);
      await using other = new Client(url);
      await client.withLock("retry", { waitMs, size: 2 }, async (hold) => {
        const holders = (await other.show("retry"))?.holders ?? [];
        assert.deepEqual(
          holders.map((holder) => holder.fencingToken),
          [hold.fencingToken],
        );
      });
      for (const path of paths.slice(0, 2)) {
        const [first, second] = between.keys(path);
        assert.ok(first !== undefined && first === second, path);
      }
      assert.equal(between.keys("/v1/unlock").length, 2);
      assert.equal(await other.show("retry"), null);
    }
  });

  behaviour("nodes", "node that does not answer is skipped, and holds stay alive through the others", async () => {
    const { url } = await shared();
    await using killed = await Server.start();
    await using silent = await Server.start();
    await killed.kill();
    await silent.pause();
    await using client = new Client([killed.url, url]);
    const took = await duration(async () => await (await client.lock("elsewhere")).release());
    assert.ok(took < 8000, `${took} ms`);
    await using hasty = new Client([killed.url, url], { patienceMs: 0.001 });
    await (await hasty.lock("each once")).release();
    await using patient = new Client(`${silent.url}, ${url}`);
    await (await patient.lock("not silent", { waitMs: 30_000 })).release();
    await using between = await Between.start(await shared(), () => null);
    const moving = new Client([between.url, url], quiet);
    const hold = await moving.lock("moving", { leaseMs: 8000 });
    await between[Symbol.asyncDispose]();
    assert.ok(!(await isLostWithin(hold, 10_000)));
    await moving.close();
  });

  behaviour("restart", "service that restarts is found again, and the hold survives it", async () => {
    const data = mkdtempSync(join(tmpdir(), "latchd-ts-data-"));
    const first = await Server.start({ arguments: ["--data-dir", data] });
    const client = new Client(first.url, { ...quiet, patienceMs: 30_000 });
    const hold = await client.lock("restart", { leaseMs: 60_000 });
    await first.kill();
    const waiting = client.lock("after the restart");
    await rest(400);
    const second = await Server.start({ arguments: ["--data-dir", data], listen: first.url });
    const later = await waiting;
    assert.ok(later.fencingToken > hold.fencingToken && !hold.lost);
    await hold.release();
    await client.close();
    await Promise.all([first, second].map((server) => server[Symbol.asyncDispose]()));
    rmSync(data, { recursive: true });
  });

  behaviour("unreachable", "service without TLS is named as such", async () => {
    await using server = await Server.start();
    await using client = new Client(server.url.replace("http:", "https:"));
    await assert.rejects(client.lock("a", { waitMs: 0 }), /does it listen with https\?/);
  });

  behaviour("unreachable", "service that is not there is reported within the patience", async () => {
    await using server = await Server.start();
    await server.kill();
    const refused = (error: unknown) => error instanceof Unreachable && /ECONNREFUSED/.test(error.message);
    const took = await duration(() => assert.rejects(new Client(server.url, { patienceMs: 500 }).lock("a"), refused));
    assert.ok(took < 8000, `${took} ms`);
    await assert.rejects(new Client(server.url).lock("a", { waitMs: 0 }), refused);
    await assert.rejects(new Client(server.url).lock("a", { waitMs: 1200 }), refused);
  });

  test("last error is told after the wait", async () => {
    const problem = JSON.stringify({ detail: "the cluster knows node 1 with another data directory" });
    await using between = await Between.start(await shared(), () => [wire(503, problem, "application/problem+json")]);
    await assert.rejects(new Client(between.url).lock("a", { waitMs: 1000 }), /data directory/);
    await assert.rejects(new Client(between.url).tryLock("a"), Unreachable);
  });

  test("broken TLS handshake is tried again", async () => {
    let accepted = 0;
    const listener = createServer((socket) => {
      accepted++;
      socket.on("error", () => undefined).destroy();
    }).listen(0, "127.0.0.1");
    await once(listener, "listening");
    const { port } = listener.address() as AddressInfo;
    await assert.rejects(new Client(`https://127.0.0.1:${port}`, { patienceMs: 500 }).lock("a"), Unreachable);
    assert.ok(accepted > 1);
    listener.close();
  });

  test("answer without an end is cut off", async () => {
    const endless = function* () {
      yield Buffer.from("HTTP/1.1 200 So\r\nConnection: close\r\n\r\n");
      for (let each = 0; each < 20; each++) yield Buffer.alloc(1024 * 1024, " ");
      yield 30_000;
    };
    await using between = await Between.start(await shared(), endless);
    await assert.rejects(new Client(between.url, { patienceMs: 100 }).lock("a"), /its answer has more than \d+ bytes/);
  });

  test("redirect is not followed", async () => {
    const { url } = await shared();
    const away = Buffer.from(`HTTP/1.1 302 So\r\nLocation: ${url}/session\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    await using between = await Between.start(await shared(), () => [away]);
    await assert.rejects(
      new Client(between.url).lock("a"),
      (error) => error instanceof Refused && error.status === 302,
    );
  });

  test("grant that was under way at the cancel is released", async () => {
    const { url } = await shared();
    const cancelling = new AbortController();
    const answer = async function* (status: number, content: Buffer, ended: Promise<unknown>) {
      cancelling.abort();
      await ended;
      yield wire(status, content);
    };
    await using between = await Between.start(await shared(), (path, status, content, ended) =>
      path === "/v1/lock" ? answer(status, content, ended) : null,
    );
    await using client = new Client(between.url);
    await using other = new Client(url);
    const cancelled = client.lock("under way", { waitMs: 5000, signal: cancelling.signal });
    await assert.rejects(cancelled, { name: "AbortError" });
    await (await other.lock("under way", { waitMs: 30_000 })).release();
    assert.equal(between.keys("/v1/unlock").length, 1);
  });
});
