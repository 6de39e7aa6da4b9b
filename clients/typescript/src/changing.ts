/** Changes a hold that goes on: its mode, or its session. */

import { inspect } from "node:util";

import * as asked from "./asked.js";
import { learnLongestWait } from "./acquiring.js";
import type { Wait } from "./acquiring.js";
import { leftMs, nowMs } from "./clock.js";
import { CutShort, Frozen, LockLost, NotAcquired, Refused, SessionEnded, WouldDeadlock } from "./errors.js";
import type { Service } from "./service.js";
import type { Answer, Call } from "./transport.js";
import { quoted, WAIT_TIMEOUT, deadlockOf, errorOf, freezeOf, leaseEnd, longestMs, milliseconds, object } from "./wire.js";
import type { Freeze, Granted, Json } from "./wire.js";

/**
 * A hold that another session has now; `Client.adopt` takes it up there. What opens it is a secret, which is in no printed
 * form of this object; `toSecret` is how it reaches another process.
 */
export class Transferred {
  readonly names: readonly [string, ...string[]];
  readonly fencingToken: number;
  /** Until it ends if the other side does not renew it; `null` where the service does not say so. */
  readonly expiresInMs: number | null;
  readonly #session: string;
  readonly #key: string;

  constructor(
    names: readonly [string, ...string[]],
    session: string,
    key: string,
    fencingToken: number,
    expiresInMs: number | null,
  ) {
    this.names = names;
    this.fencingToken = fencingToken;
    this.expiresInMs = expiresInMs;
    this.#session = session;
    this.#key = key;
  }

  /** A text for `Client.adopt` in another process. It opens the hold, so it is a secret. */
  toSecret(): string {
    const { names, fencingToken, expiresInMs } = this;
    return JSON.stringify({ names, session: this.#session, key: this.#key, fencingToken, expiresInMs });
  }

  /** Reads what `toSecret` wrote. */
  static fromSecret(secret: string): Transferred {
    let found: Json;
    try {
      found = object(JSON.parse(secret));
    } catch {
      found = {};
    }
    const { names, session, key, fencingToken, expiresInMs } = found;
    const isWhole =
      Array.isArray(names) && names.length > 0 && names.every((each) => typeof each === "string") &&
      asked.session({ session_id: session }) === null && typeof key === "string" && Number.isSafeInteger(fencingToken);
    if (!isWhole) throw new TypeError("this is no hold that toSecret wrote");
    const left = typeof expiresInMs === "number" ? expiresInMs : null;
    return new Transferred(names as [string, ...string[]], session as string, key, fencingToken as number, left);
  }

  [inspect.custom](): string {
    return `Transferred { names: ${this.names.map(quoted).join(", ")}, fencingToken: ${this.fencingToken} }`;
  }
}

/** The hold, shared from now on. */
export async function downgrade(service: Service, hold: Granted): Promise<Granted> {
  return changed(hold, await service.transport.send(callOf(hold, "/v1/downgrade", {}), service.usual()));
}

/** The hold, exclusive from now on. Throws `NotAcquired` if others still shared it at the end of the wait. */
export async function upgrade(service: Service, hold: Granted, wait: Wait, signal?: AbortSignal): Promise<Granted> {
  for (;;) {
    const body = wait.asked(service);
    const waits = "wait_timeout_seconds" in body;
    try {
      const call = callOf(hold, "/v1/upgrade", body);
      const answer = await service.transport.send(call, wait.patience(service, waits), signal && { signal });
      if (answer.body["locked"]) return changed(hold, answer);
      refuse(hold, answer.body);
      if (wait.isOver) throw notUpgraded(hold, freezeOf(answer.body));
    } catch (error) {
      if (error instanceof CutShort) {
        // The next attempt takes the place of this one.
        if (!waits || wait.hasEnded) throw error;
      } else if (error instanceof Refused) {
        learnLongestWait(service, error, body);
      } else {
        throw error;
      }
    }
  }
}

function notUpgraded({ names: [name] }: Granted, freeze: Freeze | null): NotAcquired {
  return freeze ? new Frozen(name, freeze) : new NotAcquired(name, [], 0, "others share it");
}

function refuse(hold: Granted, told: Json): void {
  const cycle = deadlockOf(told);
  if (cycle !== null) throw new WouldDeadlock(hold.names[0], cycle);
  const error = errorOf(told);
  if (error !== null && error.code !== WAIT_TIMEOUT) {
    throw new Refused(`${quoted(hold.names[0])}: ${error.message}`, 200, error.code);
  }
}

export async function transfer(service: Service, hold: Granted, session: string): Promise<Transferred> {
  const check = asked.transfer(hold.names[0]);
  const call = { ...callOf(hold, "/v1/transfer", { to_session: session }), check };
  const { body } = await service.transport.send(call, service.usual());
  const left = milliseconds(body["expires_in_seconds"]);
  return new Transferred(hold.names, session, String(body["key"]), Number(body["fencing_token"]), left);
}

/** Takes up a hold that another session has given to one of this client. */
export async function adopt(service: Service, given: Transferred | string, leaseMs: number): Promise<Granted> {
  const secret = typeof given === "string" ? given : given.toSecret();
  const { names, fencingToken } = Transferred.fromSecret(secret);
  const { session: id, key } = JSON.parse(secret) as { session: string; key: string };
  const session = service.sessions.find(id);
  if (session === undefined) {
    throw new LockLost(names[0], "the session that it was given to is none of this client, or has ended");
  }
  const now = nowMs();
  const hold = { names, key, fencingToken, leaseMs, sentMs: now, untilMs: now, session };
  let renewed: Answer;
  try {
    renewed = await service.renew(hold, service.usual());
  } catch (error) {
    if (!(error instanceof SessionEnded)) throw error;
    service.end(session, "its session has ended");
    throw new LockLost(names[0], "the session that it was given to has ended", { cause: error });
  }
  const untilMs = leaseEnd(renewed.body, longestMs(hold), renewed.sentMs);
  if (!renewed.body["locked"] || leftMs(untilMs) === 0) {
    throw new LockLost(names[0], "the service says that it had ended before it was taken up");
  }
  return { ...hold, sentMs: renewed.sentMs, untilMs };
}

function callOf(hold: Granted, path: string, more: Json): Call {
  const body = { name: hold.names[0], key: hold.key, ...more };
  return { method: "POST", path, body, session: hold.session.id, check: asked.lock([hold.names[0]]) };
}

/** The key stays, the token is a new one. */
function changed(hold: Granted, answer: Answer): Granted {
  return { ...hold, fencingToken: Number(answer.body["fencing_token"]) };
}
