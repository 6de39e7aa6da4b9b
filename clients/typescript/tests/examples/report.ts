import { readFileSync } from "node:fs";

import { Client, NotAcquired } from "@latchd/client";

const ca = readFileSync("certs/dev-cert.pem");
await using client = new Client("https://127.0.0.1:8443", { ca });
try {
  await client.withLock("report", { waitMs: 10_000, metadata: { task: "nightly" } }, async (hold, signal) => {
    for (const part of ["collect", "write", "send"]) {
      signal.throwIfAborted(); // throws LockLost if the lock is lost
      console.log(`${part} under fencing token ${hold.fencingToken}`);
    }
  });
} catch (error) {
  if (!(error instanceof NotAcquired)) throw error;
  console.log(`not now: ${error.message}`);
}
