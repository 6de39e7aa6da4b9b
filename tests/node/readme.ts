// A TypeScript client that openapi-typescript generates from our document sends the README's own requests.
//
//     readme.ts URL, with the authority in NODE_EXTRA_CA_CERTS
//
// The server holds nothing. Ends with "all passed", or with what failed.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./latchd.js";

const url = process.argv[2]!;
const name = "deploy/production";

// The session is a cookie, which `fetch` keeps in a browser and not in Node.js.
async function open() {
  const { data } = await createClient<paths>({ baseUrl: url }).POST("/session");
  assert.equal(data?.session_id.length, 32);
  return createClient<paths>({ baseUrl: url, headers: { Cookie: `ldlm-session=${data.session_id}` } });
}

const [alice, bob, anybody] = [await open(), await open(), createClient<paths>({ baseUrl: url })];
const wanted = { name, lock_timeout_seconds: 30 };

const body = { ...wanted, metadata: { host: "web-1" } };
const params = { header: { "Idempotency-Key": "once" } };
const { data: taken } = await alice.POST("/v1/lock", { body, params });
assert(taken?.locked && taken.fencing_token);
const { data: again } = await alice.POST("/v1/lock", { body, params });
assert.equal(again?.key, taken.key);
const { data: refused } = await bob.POST("/v1/lock", { body: wanted });
assert.equal(refused?.locked, false);
const waiting = bob.POST("/v1/lock", { body: { ...wanted, wait_timeout_seconds: 20 } });
const renewal = { name, key: taken.key, lock_timeout_seconds: 60 };
const { data: renewed } = await alice.POST("/v1/renew", { body: renewal });
assert(renewed?.locked && renewed.expires_in_seconds! > 30);
const { data: unlocked } = await alice.POST("/v1/unlock", { body: { name, key: taken.key } });
assert(unlocked?.unlocked);
const { data: granted } = await waiting;
assert(granted?.locked && granted.fencing_token! > taken.fencing_token);

const { data: shown } = await anybody.GET("/v1/locks/{name}", { params: { path: { name } } });
assert.equal(shown?.holders[0]?.fencing_token, granted.fencing_token);
const { data: listed } = await anybody.GET("/v1/locks", { params: { query: { name } } });
assert.deepEqual(listed?.locks.map((lock) => lock.name), [name]);
const ended = { name, key: granted.key, reason: "why" };
const { data: forced } = await anybody.DELETE("/v1/holds", { params: { query: ended } });
assert.equal(forced?.fencing_token, granted.fencing_token);
const missing = await anybody.GET("/v1/locks/{name}", { params: { path: { name } } });
assert.equal(missing.error?.code, "no-such-lock");

const kept = { params: { path: { name: "kept" } } };
assert.equal((await anybody.POST("/lock/{name}", kept)).response.status, 200);
assert.equal((await anybody.POST("/lock/{name}", kept)).response.status, 409);
assert.equal((await anybody.DELETE("/lock/{name}", kept)).response.status, 200);
assert.equal((await anybody.GET("/readyz", { parseAs: "text" })).response.status, 200);

const events = await anybody.GET("/v1/events", { params: { query: { name, state: true } }, parseAs: "stream" });
const reader = events.data!.getReader();
const first = new TextDecoder().decode((await reader.read()).value);
assert.match(first, /event: (started|state)/);
await reader.cancel();

for (const client of [alice, bob]) {
  assert.equal((await client.DELETE("/session")).data?.session_id, "");
}
console.log("all passed");
