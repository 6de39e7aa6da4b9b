import { readFileSync } from "node:fs";

import { Client, NotAcquired } from "@latchd/client";

const url = "https://127.0.0.1:8443";
const ca = readFileSync("certs/dev-cert.pem");
await using client = new Client(url, { ca });
await using other = new Client(url, { ca });

// Two accounts at once: whoever takes them in the other order does not block this.
await client.withLock(["accounts/7", "accounts/9"], { waitMs: 10_000 }, (hold) => {
  console.log("both under token", hold.fencingToken);
});

// Many read, one writes; a reader that finds work to do becomes the writer.
{
  await using hold = await client.readLock("index", { waitMs: 10_000 });
  const reader = await other.readLock("index", { waitMs: 0 });
  await hold.upgrade({ waitMs: 200 }).catch((error: unknown) => {
    if (!(error instanceof NotAcquired)) throw error;
    console.log("another one still reads:", error.message);
  });
  await reader.release();
  await hold.upgrade({ waitMs: 10_000 });
  console.log("alone under token", hold.fencingToken);
  await hold.downgrade();
}

// 24 of the 64 places. After a loss, nobody gets any of them for a minute.
await client.withLock("memory-gb", { size: 64, weight: 24, lockDelayMs: 60_000 }, () => undefined);

// The other client, which may be another process, goes on with a hold. The old key is worth nothing from then on.
const given = await (await client.lock("job", { waitMs: 10_000 })).transfer(await other.sessionId());
await using job = await other.adopt(given.toSecret());
console.log("taken over under token", job.fencingToken);
