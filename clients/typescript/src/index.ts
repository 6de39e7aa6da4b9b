/**
 * Locks that say when they are lost: the client of the latchd lock service.
 *
 * ```ts
 * await using client = new Client("https://127.0.0.1:8443", { ca });
 * await client.withLock("report", { waitMs: 10_000 }, async (hold, signal) => {
 *   // under hold.fencingToken; the signal aborts when it is not ours any more
 * });
 * ```
 *
 * @packageDocumentation
 */

export type { Transferred } from "./changing.js";
export { Client } from "./client.js";
export type { Work } from "./client.js";
export type { Leader, Leadership } from "./election.js";
export { Frozen, LatchdError, LockLost, NotAcquired, Refused, Unreachable, WouldDeadlock } from "./errors.js";
export type { Hold } from "./hold.js";
export type {
  AdoptOptions,
  ClientOptions,
  ElectOptions,
  LockOptions,
  Mode,
  Names,
  NameWithMode,
  Pem,
  TryOptions,
  UpgradeOptions,
} from "./options.js";
export type { BlockedBy, Freeze, Holder, LockInfo } from "./wire.js";
