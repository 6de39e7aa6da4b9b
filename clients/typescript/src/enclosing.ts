/** The hold that this program runs under, where `latchd lock` has started it. */

import type { LockInfo } from "./wire.js";

/** Its locks; empty without one. */
export function enclosingNames(): ReadonlySet<string> {
  const { LATCHD_LOCK_NAMES: all, LATCHD_LOCK_NAME: first } = process.env;
  try {
    const names: unknown = JSON.parse(all ?? "");
    if (Array.isArray(names)) return new Set(names.map(String));
  } catch {
    // Older versions of `latchd lock` name only one.
  }
  return new Set(first === undefined ? [] : [first]);
}

/** Whether a request for this lock would wait for the end of this program. */
export function isInTheWay(found: LockInfo, isShared: boolean): boolean {
  const token = process.env["LATCHD_FENCING_TOKEN"];
  const isHeld =
    enclosingNames().has(found.name) && found.holders.some((holder) => String(holder.fencingToken) === token);
  return isHeld && !(isShared && found.mode === "shared");
}
