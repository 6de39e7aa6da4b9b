/** How tests are named and grouped, and what several of them look at. */

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as rest } from "node:timers/promises";

import type { Client, Hold } from "@latchd/client";

import { Server } from "./servers.js";

/** The test of a row of the table in `clients/README.md`. */
export function behaviour(row: string, title: string, run: () => Promise<void>): void {
  test(`${row}: ${title}`, { timeout: 60_000 }, run);
}

/** Tests that run beside each other, because mostly they wait. Each uses locks of its own. */
export function beside(title: string, tests: () => void): void {
  describe(title, { concurrency: 6 }, tests);
}

let started: Promise<Server> | undefined;

after(async () => (await started)?.[Symbol.asyncDispose]());

/** A server for all tests of a file; a test that ends or stops its server starts another one. */
export function shared(): Promise<Server> {
  started ??= Server.start();
  return started;
}

/** Until it is true. What is asked may be at another process, which tells nobody when it changes. */
export async function until(isTrue: () => Promise<boolean> | boolean, withinMs = 60_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await isTrue())) {
    assert.ok(performance.now() < end, "it did not become true in time");
    await rest(10);
  }
}

export async function untilWaiting(client: Client, name: string, count: number): Promise<void> {
  await until(async () => ((await client.show(name))?.queueLength ?? 0) >= count);
}

/** The loss of a hold, or the end of the time. */
export async function isLostWithin(hold: Hold, ms: number): Promise<boolean> {
  await rest(ms, undefined, { signal: hold.signal }).catch(() => undefined);
  return hold.lost;
}

/** Ends somebody else's hold, as an operator does. */
export async function force(server: Server, name: string): Promise<void> {
  const listed = await fetch(`${server.url}/v1/locks?${new URLSearchParams({ name })}`);
  const { locks } = (await listed.json()) as { locks: { holders: { key: string }[] }[] };
  const key = locks[0]?.holders[0]?.key ?? "";
  const query = new URLSearchParams({ name, key, reason: "a test" });
  const ended = await fetch(`${server.url}/v1/holds?${query}`, { method: "DELETE" });
  assert.equal(ended.status, 200, await ended.text());
}

/** Asks as an operator does, or as another client. */
export async function ask(
  { url }: Server,
  method: string,
  path: string,
  query: Record<string, string> = {},
  body?: object,
  headers: Record<string, string> = {},
): Promise<Record<string, unknown>> {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(`${url}${path}?${new URLSearchParams(query)}`, { method, headers, ...sent });
  const told = await answer.text();
  assert.ok(answer.ok, told);
  return JSON.parse(told) as Record<string, unknown>;
}

/** Freezes for an hour. */
export async function freeze(server: Server, target: string, reason: string, match = "name"): Promise<void> {
  await ask(server, "PUT", "/v1/freezes", { target }, { reason, for_seconds: 3600, match });
}

export async function thaw(server: Server, target: string): Promise<void> {
  await ask(server, "DELETE", "/v1/freezes", { target, reason: "done" });
}

/** How long it took, in milliseconds. */
export async function duration(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}
