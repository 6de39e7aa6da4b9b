/** Who is believed, who is let in, and what is never told. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inspect, promisify } from "node:util";

import { Client, LatchdError, LockLost, Refused, Unreachable } from "@latchd/client";

import { Between, Server, wire } from "./servers.js";
import { behaviour, beside, duration, isLostWithin, shared } from "./support.js";

const quiet = { onWarning: () => undefined };

/** A client behind a proxy that gives this answer to everything, or to one path. */
async function behind(answer: Buffer, path?: string): Promise<[Between, Client]> {
  const between = await Between.start(await shared(), (asked) => (path === undefined || asked === path ? [answer] : null));
  return [between, new Client(between.url, { ...quiet, patienceMs: 2000 })];
}

beside("trust", () => {
  behaviour("credential", "credential is sent with every request, and a wrong one is refused at once", async () => {
    await using server = await Server.start({ arguments: ["--password", "sesame: open", "--api-key", "key-of-a-machine"] });
    const unknown = (error: unknown) =>
      error instanceof Refused && error.status === 401 && /this password or API key is not known/.test(error.message);
    const took = await duration(async () => {
      await assert.rejects(new Client(server.url, { password: "not it" }).lock("a"), unknown);
      await assert.rejects(new Client(server.url, { apiKey: "not-it" }).lock("a"), unknown);
      await assert.rejects(new Client(server.url).lock("a"), /a password or an API key is needed/);
    });
    assert.ok(took < 8000, `${took} ms`);
    for (const options of [{ password: "sesame: open" }, { apiKey: "key-of-a-machine" }]) {
      await using client = new Client(server.url, options);
      await client.withLock("a", async (hold) => {
        assert.ok(!hold.lost && (await client.show("a")) !== null);
      });
    }
  });

  behaviour("certificate", "certificate that is not trusted is refused at once", async () => {
    await using server = await Server.start({ listen: "https://127.0.0.1:0" });
    const advised = (error: unknown) =>
      error instanceof Unreachable && !error.mayPass && /give the PEM of its authority/.test(error.message);
    const took = await duration(async () => {
      await assert.rejects(new Client(server.url).lock("a"), advised);
      await assert.rejects(new Client(server.url).lock("a", { waitMs: 5000 }), advised);
    });
    assert.ok(took < 8000, `${took} ms`);
    const ca = readFileSync(join(server.home, "certs/dev-cert.pem"));
    await using client = new Client(server.url, { ca });
    await using other = new Client(server.url, { ca });
    await using hold = await client.lock("a");
    const cancelling = new AbortController();
    const cancelled = other.lock("a", { signal: cancelling.signal });
    await assert.rejects(async () => {
      while (((await client.show("a"))?.queueLength ?? 0) < 1);
      cancelling.abort();
      await cancelled;
    }, { name: "AbortError" });
    // The service has seen the end of the wait, although its connection was closed only by half.
    await using third = new Client(server.url, { ca });
    const waiting = third.lock("a");
    while (((await client.show("a"))?.queueLength ?? 0) < 2);
    await hold.release();
    await (await waiting).release();
    assert.ok(!hold.lost);
  });

  behaviour("certificate", "certificate of the client is shown to a service that asks for one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "latchd-ts-pki-"));
    const openssl = async (...words: string[]) => {
      await promisify(execFile)("openssl", words, { cwd: folder });
    };
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    await openssl("req", "-x509", ...curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "2");
    await openssl("req", ...curve, "-keyout", "client.key", "-out", "client.csr", "-subj", "/CN=client", "-addext", "extendedKeyUsage=clientAuth");
    await openssl("x509", "-req", "-in", "client.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy", "-out", "client.pem", "-days", "2");
    await using server = await Server.start({
      listen: "https://127.0.0.1:0",
      arguments: ["--client-ca", join(folder, "ca.pem")],
    });
    const ca = readFileSync(join(server.home, "certs/dev-cert.pem"));
    const [cert, key] = ["client.pem", "client.key"].map((file) => readFileSync(join(folder, file), "utf8"));
    assert.ok(cert && key);
    await using client = new Client(server.url, { ca, cert, key });
    await (await client.lock("a")).release();
    await assert.rejects(new Client(server.url, { ca, patienceMs: 100 }).lock("a"), Unreachable);
    assert.ok(!inspect(client, { depth: 20, showHidden: true }).includes("PRIVATE KEY"));
    rmSync(folder, { recursive: true });
  });

  const page = "<html>nothing here</html>";
  const foreign: [number, string, string][] = [
    [404, page, "text/html"],
    [404, '{"error": "no such route"}', "application/json"],
    [404, '{"type": "about:blank", "code": "no-such-lock"}', "application/problem+json"],
    [410, page, "text/html"],
    [200, page, "text/html"],
    [200, "[]", "application/json"],
  ];
  for (const [status, content, kind] of foreign) {
    behaviour("foreign-answer", `page with ${status} and ${kind} is no free lock: ${content}`, async () => {
      const [between, client] = await behind(wire(status, content, kind));
      await using _between = between;
      const answered = (error: unknown) => error instanceof Refused && error.message.includes(`answered ${status}`);
      await assert.rejects(client.show("held"), answered);
      await assert.rejects(client.lock("held", { waitMs: 0 }), answered);
      await assert.rejects(client.leader("held"), answered);
    });
  }

  behaviour("foreign-answer", "answer about another lock is never taken for this one", async () => {
    const theirs = wire(200, '{"session_id": "0a", "locked": true, "name": "theirs", "key": "k", "fencing_token": 1}');
    const [between, client] = await behind(theirs);
    await using _between = between;
    const isSomethingElse = (error: unknown) => error instanceof Unreachable && /something else/.test(error.message);
    await assert.rejects(client.lock("mine"), isSomethingElse);
    await assert.rejects(client.show("mine"), isSomethingElse);
    for (const said of ['{"locked": false, "name": "theirs", "key": ""}', '{"locked": true, "name": "mine", "key": "no"}']) {
      const [mixing, mixed] = await behind(wire(200, said), "/v1/renew");
      await using _mixing = mixing;
      const hold = await mixed.lock("mine", { leaseMs: 8000 });
      assert.ok(!(await isLostWithin(hold, 3500)), "it is ours until its lease ends");
      assert.ok(await isLostWithin(hold, 60_000));
      await assert.rejects(hold.release(), LockLost);
    }
  });

  behaviour("foreign-answer", "session id that would end a header is no session", async () => {
    const [between, client] = await behind(wire(200, '{"session_id": "a\\r\\nX: y"}'), "/session");
    await using _between = between;
    await assert.rejects(client.lock("mine"), /names no session/);
  });

  behaviour("older-service", "service that does not know a field is named as older", async () => {
    for (const field of ["names", "mode", "weight"]) {
      const message = `the field "${field}" is not known (known here: name)`;
      const [between, client] = await behind(wire(400, JSON.stringify({ code: 3, message, details: [] })), "/v1/lock");
      await using _between = between;
      await assert.rejects(client.lock([`${field} a`, `${field} b`]), /the service is older than what is asked of it/);
    }
    const said = { code: 5, message: "there is nothing at /v1/upgrade", details: [] };
    const [between, client] = await behind(wire(404, JSON.stringify(said)), "/v1/upgrade");
    await using _between = between;
    await using hold = await client.readLock("older");
    await assert.rejects(hold.upgrade(), /older/);
    assert.ok(!hold.lost);
  });

  behaviour("older-service", "service that ignores the names gives no hold", async () => {
    const said = '{"locked": true, "name": "a", "key": "k", "fencing_token": 7}';
    const [between, client] = await behind(wire(200, said), "/v1/lock");
    await using _between = between;
    await assert.rejects(client.lock(["a", "b"], { waitMs: 2000 }), /does not name all the locks/);
  });

  behaviour("no-secrets", "keys, session ids and credentials are in no message and no printed object", async () => {
    const told: string[] = [];
    const secrets = ["key-of-a-machine"];
    await using server = await Server.start({ arguments: ["--api-key", "key-of-a-machine"] });
    await using between = await Between.start(server, (_path, _status, content) => {
      const body = JSON.parse(content.toString()) as { session_id?: string; key?: string };
      secrets.push(...[body.session_id, body.key].filter((each) => !!each).map(String));
      return null;
    });
    const client = new Client(between.url, { apiKey: "key-of-a-machine", onWarning: (said) => told.push(said) });
    const tell = (object: unknown) => {
      told.push(inspect(object, { depth: 20, showHidden: true }), JSON.stringify(object), String(object));
      if (object instanceof Error) told.push(object.stack ?? "", inspect(object.cause, { depth: 20 }));
    };
    const hold = await client.lock("secret", { leaseMs: 2000 });
    const lead = await client.elect("secret lead", "value", { leaseMs: 2000 });
    [client, hold, lead, await client.show("secret"), await client.leader("secret lead")].forEach(tell);
    await client.lock("secret", { waitMs: 0 }).catch(tell);
    await hold.transfer("00".repeat(16)).catch(tell);
    await server.kill();
    await isLostWithin(hold, 60_000);
    await hold.release().catch(tell);
    tell(hold);
    await new Client(server.url, { apiKey: "key-of-a-machine", patienceMs: 100 }).lock("a").catch(tell);
    for (const url of ["http://ada:sesame@localhost", "ftp://x/?key=sesame"]) {
      assert.throws(() => new Client(url), (error: unknown) => !String(error).includes("sesame"));
    }
    assert.throws(() => new Client("http://a", { apiKey: "se\nsame" }), (error) => !String(error).includes("same\n"));
    assert.ok(secrets.length >= 4 && told.length > 10);
    for (const secret of secrets) {
      assert.ok(!told.some((each) => each.includes(secret)), `${secret} is in ${told.find((each) => each.includes(secret))}`);
    }
  });

  test("wrong prefix of the URL is reported", async () => {
    const { url } = await shared();
    await assert.rejects(new Client(`${url}/somewhere`).tryLock("a"), /answered 404/);
    await assert.rejects(new Client(`${url}/somewhere`).show("a"), (error) => error instanceof LatchdError);
  });
});
