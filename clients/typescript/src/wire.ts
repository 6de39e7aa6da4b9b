/** Sessions v1 and the listing of locks as JSON; nothing here sends anything. */

import { wallTimeAfter, wallTimeBefore } from "./clock.js";

export type Json = { readonly [field: string]: unknown };

/** The name of the session cookie. */
export const COOKIE = "ldlm-session";
/** The error code of a wait that ended without the lock. */
export const WAIT_TIMEOUT = "LockWaitTimeout";
/** That of a wait that could not end. */
const WOULD_DEADLOCK = "WouldDeadlock";
/** How long a session lives without a request where the service does not say so: its default. */
const IDLE_MS = 600_000;

/** A hold, as others may see it. */
export interface Holder {
  /** Below 2^53, so a `number` has every token exactly. */
  readonly fencingToken: number;
  /** The dialect through which it was taken. */
  readonly dialect: string;
  readonly heldForMs: number;
  /** `null` without a lease. */
  readonly remainingMs: number | null;
  /** The owner's label, in dialects that have them. */
  readonly owner: string | null;
  /** What the holder says about itself. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** An operator has frozen names: nothing new is granted under them until the end. */
export interface Freeze {
  /** The name that is frozen, or what all frozen names start with; empty where everything is. */
  readonly target: string;
  /** `name`, `prefix` or `everything`. */
  readonly match: string;
  /** The operator's. */
  readonly reason: string;
  /** For how long it went on when the service answered, unless an operator ends it sooner. */
  readonly remainingMs: number;
  /** The same by the clock of the service. */
  readonly until: Date;
}

/** A lock and those who hold it. */
export interface LockInfo {
  readonly name: string;
  /** How many may hold it at once. */
  readonly size: number;
  /** `exclusive`, `shared` or `counted`; empty from services that do not know it. */
  readonly mode: string;
  /** How many wait for it. */
  readonly queueLength: number;
  /** Oldest first. */
  readonly holders: readonly Holder[];
  /** What keeps it from being granted; `null`: nothing does. */
  readonly frozen: Freeze | null;
  /** For how long nobody is granted it because of how its last hold ended; `null` without such a delay. */
  readonly delayedForMs: number | null;
}

/**
 * One step of a deadlock: who waits for whom. Whoever is waited for waits in the next step, and in the last one for the
 * first.
 */
export interface BlockedBy {
  /** The lock; `null` where this credential may not see it. */
  readonly name: string | null;
  /** Who holds it or is ahead in its queue: the handle of a session, or an owner label. */
  readonly heldBy: string;
  readonly waitedForBy: string;
}

/** A session that was opened. */
export interface Session {
  /** A secret of its owner. */
  readonly id: string;
  /** How long it lives without a request. */
  readonly idleMs: number;
}

/** A hold as the service gave it. */
export interface Granted {
  /** The only one, or all of them. */
  readonly names: readonly [string, ...string[]];
  readonly key: string;
  readonly fencingToken: number;
  /** As it was asked for. */
  readonly leaseMs: number;
  /** When the answered request had not been sent yet. */
  readonly sentMs: number;
  /** Until when it is certain. */
  readonly untilMs: number;
  readonly session: Session;
}

/** For how long a hold is certain after a request: the end of its session would end it too. */
export function longestMs(hold: Granted): number {
  return Math.min(hold.leaseMs, hold.session.idleMs);
}

/**
 * Until when a hold is certain, by the clock of whoever sent the answered request at that moment. It is less than the
 * lease where the service tells of a hold that it has given before.
 */
export function leaseEnd(answer: Json, leaseMs: number, sentMs: number): number {
  const left = milliseconds(answer["expires_in_seconds"]);
  return sentMs + (left === null ? leaseMs : Math.min(leaseMs, left));
}

export function sessionOf(body: Json, headers: Headers): Session {
  const told = milliseconds(body["idle_timeout_seconds"]);
  return { id: String(body["session_id"]), idleMs: told === null || told <= 0 ? cookieMs(headers) : told };
}

/** Headers as Node.js has them. */
export type Headers = { readonly [name: string]: string | readonly string[] | undefined };

/** How long a session lives without a request, from its cookie: older services do not say it in the body. */
function cookieMs(headers: Headers): number {
  const cookie = headers["set-cookie"];
  const first = (typeof cookie === "string" ? cookie : cookie?.[0]) ?? "";
  const attributes = new Map(first.split(";").map((part) => split(part)));
  const age = attributes.get("max-age");
  if (age !== undefined && /^\d{1,9}$/.test(age)) return Number(age) * 1000 || IDLE_MS;
  const ms = Date.parse(attributes.get("expires") ?? "") - Date.parse(String(headers["date"]));
  return ms > 0 ? ms : IDLE_MS;
}

function split(part: string): [string, string] {
  const [name, ...value] = part.split("=");
  return [(name ?? "").trim().toLowerCase(), value.join("=").trim()];
}

export function lockInfoOf(found: Json): LockInfo {
  return {
    name: String(found["name"]),
    size: Number(found["size"]),
    mode: String(found["mode"] ?? ""),
    queueLength: Number(found["queue_length"]),
    holders: list(found["holders"]).map(holderOf),
    frozen: freezeOf(found),
    delayedForMs: milliseconds(found["delayed_for_seconds"]),
  };
}

/** The freeze that an answer tells of; `null` where nothing is frozen. */
export function freezeOf(told: Json): Freeze | null {
  const found = told["frozen"];
  if (typeof found !== "object" || found === null) return null;
  const { target, match, reason, remaining_seconds, until } = found as Json;
  const remainingMs = milliseconds(remaining_seconds) ?? 0;
  const moment = new Date(String(until));
  return {
    target: String(target ?? ""),
    match: String(match ?? ""),
    reason: String(reason ?? ""),
    remainingMs,
    until: Number.isNaN(moment.getTime()) ? wallTimeAfter(remainingMs) : moment,
  };
}

function holderOf(found: Json): Holder {
  return {
    fencingToken: Number(found["fencing_token"]),
    dialect: String(found["dialect"]),
    heldForMs: milliseconds(found["held_for_seconds"]) ?? 0,
    remainingMs: milliseconds(found["remaining_seconds"]),
    owner: typeof found["owner"] === "string" ? found["owner"] : null,
    metadata: Object.fromEntries(Object.entries(object(found["metadata"])).map(([key, value]) => [key, String(value)])),
  };
}

/** The deadlock that an answer refuses. */
export function deadlockOf(body: Json): BlockedBy[] | null {
  if (errorOf(body)?.code !== WOULD_DEADLOCK) return null;
  return list(body["cycle"]).map((step) => ({
    name: typeof step["name"] === "string" ? step["name"] : null,
    heldBy: String(step["held_by"]),
    waitedForBy: String(step["waited_for_by"]),
  }));
}

/** The error in a successful answer. */
export function errorOf(body: Json): { code: string; message: string } | null {
  const error = body["error"];
  if (typeof error !== "object" || error === null) return null;
  const { code, message } = error as Json;
  return { code: String(code), message: printable(String(message)) };
}

export function milliseconds(seconds: unknown): number | null {
  return typeof seconds === "number" ? seconds * 1000 : null;
}

export function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function list(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(object) : [];
}

/** Who holds a lock, for a message. */
export function describeHolder(holder: Holder): string {
  const { user = "", host = "", pid = "", ...rest } = holder.metadata;
  const at = [user, host].filter(Boolean).join("@");
  const who = [at, pid && `pid ${pid}`, holder.owner ?? ""].filter(Boolean).join(" ");
  const more = Object.entries(rest).map(([key, value]) => `, ${key}=${value}`);
  const since = wallTimeBefore(holder.heldForMs);
  return printable(`${who || "somebody"} since ${since} (token ${holder.fencingToken}${more.join("")})`);
}

/** What is frozen, until when and why. */
export function describeFreeze({ target, match, reason, until }: Freeze): string {
  let what = `${quoted(target)} is`;
  if (match === "prefix") what = `all names that start with ${quoted(target)} are`;
  if (match === "everything") what = "everything is";
  return `${what} frozen until ${until.toISOString().slice(0, 19).replace("T", " ")} UTC: ${printable(reason)}`;
}

export function describeStep(step: BlockedBy): string {
  const name = step.name === null ? "another lock" : quoted(step.name);
  return printable(`${step.waitedForBy} waits for ${name}, which ${step.heldBy} has`);
}

export function quoted(name: string): string {
  return `'${printable(name)}'`;
}

/** The same without what moves the cursor of a terminal or turns the direction of writing. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (each) => `\\u{${(each.codePointAt(0) ?? 0).toString(16)}}`);
}
