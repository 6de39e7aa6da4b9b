import { readFileSync } from "node:fs";

import { Client } from "@latchd/client";

const url = "https://127.0.0.1:8443";
const ca = readFileSync("certs/dev-cert.pem");
await using client = new Client(url, { ca });
await using other = new Client(url, { ca });
{
  await using lead = await client.elect("scheduler", "10.0.0.7:8080", { waitMs: 10_000 });
  lead.check(); // throws LockLost if the lead is lost
  const leader = await other.leader("scheduler");
  console.log(leader?.value, "leads under token", leader?.fencingToken);
  console.log("nobody else for", leader?.reliableForMs, "ms");
}
console.log("now", await other.leader("scheduler"));
