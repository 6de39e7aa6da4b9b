/**
 * Checks that an answer belongs to its request. A proxy may mix up answers or make its own, and another server may
 * answer.
 */

import { printable } from "./wire.js";
import type { Json } from "./wire.js";

/** The error in an answer; `null`: it is correct. */
export type Check = (body: Json) => string | null;

/** It goes into a header and must not end it. */
const SESSION_ID = /^[A-Za-z0-9_-]{1,256}$/;

export const session: Check = (body) =>
  typeof body["session_id"] === "string" && SESSION_ID.test(body["session_id"]) ? null : "it names no session";

/** Of a lock, an upgrade and a downgrade. */
export function lock(names: readonly [string, ...string[]]): Check {
  return (body) => {
    if (body["locked"] === true && !opens(body)) return "it has no key and fencing token";
    // A service may ignore what it does not know.
    if (body["locked"] === true && names.length > 1 && !isSame(body["names"], names)) {
      return "it does not name all the locks";
    }
    return flag(body, "locked") ?? name(body, names[0]);
  };
}

export function renewal(ofName: string, key: string): Check {
  return (body) => {
    if (body["locked"] === true && body["key"] !== key) return "it is about another hold";
    return flag(body, "locked") ?? name(body, ofName);
  };
}

/** Of a campaign or a leader's request. */
export function elected(ofName: string): Check {
  return (body) => {
    if (body["elected"] === true && !opens(body)) return "it has no key and fencing token";
    return flag(body, "elected") ?? name(body, ofName);
  };
}

export const leader: Check = (body) => {
  const isNamed = typeof body["value"] === "string" && isToken(body["fencing_token"]);
  return isNamed && typeof body["reliable_for_seconds"] === "number" ? null : "it names no leader";
};

export function transfer(ofName: string): Check {
  return (body) => (opens(body) ? name(body, ofName) : "it has no key and fencing token");
}

export function release(ofName: string): Check {
  return (body) => flag(body, "unlocked") ?? name(body, ofName);
}

/** The answer is about that lock, or about none. */
export function listing(ofName: string): Check {
  return (body) => {
    const locks: unknown = body["locks"];
    if (!Array.isArray(locks) || locks.length > 1) return "it is no list of that lock alone";
    const [only] = locks as unknown[];
    if (locks.length === 0) return null;
    if (typeof only !== "object" || only === null || !Array.isArray((only as Json)["holders"])) return "it is no lock";
    return name(only as Json, ofName);
  };
}

function opens(body: Json): boolean {
  return typeof body["key"] === "string" && body["key"] !== "" && isToken(body["fencing_token"]);
}

function isToken(value: unknown): boolean {
  return Number.isSafeInteger(value);
}

function isSame(found: unknown, names: readonly string[]): boolean {
  return Array.isArray(found) && found.length === names.length && names.every((each, index) => found[index] === each);
}

function name(body: Json, expected: string): string | null {
  return body["name"] === expected ? null : `it is about ${shown(body["name"])}, not ${shown(expected)}`;
}

function shown(value: unknown): string {
  return printable(JSON.stringify(value) ?? "nothing").slice(0, 300);
}

function flag(body: Json, field: string): string | null {
  return typeof body[field] === "boolean" ? null : `it does not say whether ${field}`;
}
