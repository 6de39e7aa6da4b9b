/** What a client asks for: which locks, in which mode, and how much of them. */

import type { Names, TryOptions } from "./options.js";
import { quoted } from "./wire.js";
import type { Json } from "./wire.js";

/** A lock, and whether it is to be shared. */
export interface Place {
  readonly name: string;
  readonly isShared: boolean;
}

/** A request for one lock or for several, as it is sent except for its wait. */
export interface Wanted {
  readonly names: readonly [string, ...string[]];
  readonly places: readonly Place[];
  readonly leaseMs: number;
  readonly body: Json;
  readonly path: "/v1/lock" | "/v1/elections";
  readonly query: Readonly<Record<string, string>>;
}

const LEASE_MS = 30_000;

export function wantedOf(names: Names, options: TryOptions): Wanted {
  const { leaseMs = LEASE_MS, mode, size, weight, lockDelayMs } = options;
  requireLease(leaseMs);
  if (mode !== undefined && size !== undefined) {
    throw new TypeError("mode goes without size: a counted lock is neither shared nor exclusive");
  }
  if (weight !== undefined && size === undefined) {
    throw new TypeError("weight goes with size: only a counted lock has places");
  }
  const asked = (typeof names === "string" ? [names] : names).map((each) =>
    typeof each === "string" ? { name: each, mode } : each,
  );
  const [first, ...more] = asked;
  if (first === undefined) throw new TypeError("names is empty");
  if (more.length > 0 && size !== undefined) {
    throw new TypeError("size goes with one name: several are shared or exclusive");
  }
  // One without a mode is asked for as older services want it.
  const one = { name: first.name, ...(first.mode ? { mode: first.mode } : { size: size ?? 1 }) };
  const several = { names: asked.map((each) => (each.mode ? each : each.name)) };
  return {
    names: [first.name, ...more.map((each) => each.name)],
    places: asked.map((each) => ({ name: each.name, isShared: each.mode === "shared" })),
    leaseMs,
    body: {
      ...(more.length > 0 ? several : one),
      lock_timeout_seconds: leaseMs / 1000,
      ...(weight === undefined ? {} : { weight }),
      ...(lockDelayMs === undefined ? {} : { lock_delay_seconds: lockDelayMs / 1000 }),
    },
    path: "/v1/lock",
    query: {},
  };
}

/** What a candidate asks for. */
export function campaignOf(name: string, value: string, leaseMs: number): Wanted {
  requireLease(leaseMs);
  return {
    names: [name],
    places: [{ name, isShared: false }],
    leaseMs,
    body: { value, lease_seconds: leaseMs / 1000 },
    path: "/v1/elections",
    query: { name },
  };
}

export function requireLease(leaseMs: number): void {
  if (!(leaseMs > 0 && leaseMs < Infinity)) {
    throw new RangeError(`leaseMs must be a number of milliseconds above 0, not ${leaseMs}`);
  }
}

export function requireWait(waitMs: number): void {
  if (!(waitMs >= 0)) throw new RangeError(`waitMs must be a number of milliseconds from 0, not ${waitMs}`);
}

/** How a request names a hold. */
export function ofHold(names: readonly string[]): Json {
  return names.length === 1 ? { name: names[0] } : { names };
}

/** The names, for a message. */
export function shownNames(names: readonly string[]): string {
  return names.map(quoted).join(", ");
}
