/** What a lock may be called, and arguments that make no request. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "@latchd/client";

import { beside, shared } from "./support.js";

beside("arguments", () => {
  for (const name of [".", "a/../b", "a%2Fb", "a?b#c", "a&name=b", "a+b", " ", "ä\u2028", `'"\\`]) {
    test(`lock named ${JSON.stringify(name)} is acquired and released`, async () => {
      const { url } = await shared();
      await using client = new Client(url);
      await client.withLock(name, { waitMs: 10_000 }, async (hold) => {
        assert.equal((await client.show(name))?.holders[0]?.fencingToken, hold.fencingToken);
      });
      assert.equal(await client.show(name), null);
    });
  }

  test("wrong arguments are refused before anything is sent", async () => {
    const client = new Client("http://127.0.0.1:1");
    await assert.rejects(client.lock("a", { mode: "shared", size: 2 }), /mode goes without size/);
    await assert.rejects(client.lock("a", { weight: 2 }), /weight goes with size/);
    await assert.rejects(client.lock(["a", "b"], { size: 2 }), /size goes with one name/);
    await assert.rejects(client.lock([]), /names is empty/);
    await assert.rejects(client.lock("a", { leaseMs: Infinity }), /leaseMs must be/);
    await assert.rejects(client.lock("a", { waitMs: -1 }), /waitMs must be/);
    await assert.rejects(client.lock("a", { waitMs: Number.NaN }), /waitMs must be/);
    assert.throws(() => new Client("localhost:8443"), /must begin with http/);
    assert.throws(() => new Client([]), /no URL/);
    assert.throws(() => new Client("https://a", { cert: "no PEM", key: "no PEM" }), /ca, cert or key is no PEM/);
    assert.throws(() => new Client("https://a", { ca: "certs/dev-cert.pem" }), /ca is no PEM text/);
    assert.throws(() => new Client("http://a", { apiKey: "a", password: "b" }), /not both/);
    assert.throws(() => new Client("http://a", { timeoutMs: 0 }), /timeoutMs must be/);
  });
});
