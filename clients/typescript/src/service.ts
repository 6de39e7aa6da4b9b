/** The sessions of one client, its holds, and the calls about a hold. */

import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";

import * as asked from "./asked.js";
import { leftMs, nowMs, sleepUntil } from "./clock.js";
import type { Cancel } from "./connections.js";
import { LatchdError, Refused, messageOf } from "./errors.js";
import type { ClientOptions } from "./options.js";
import { Owner, Sessions } from "./sessions.js";
import { Transport } from "./transport.js";
import type { Answer, Patience } from "./transport.js";
import { ofHold } from "./wanted.js";
import { lockInfoOf, object, sessionOf } from "./wire.js";
import type { Granted, LockInfo, Session } from "./wire.js";

/** The longest that a caller lets another one open the session of both, before it does so itself within its own time. */
const JOIN_MS = 1000;
/** The time limit for asking what is known of a lock, for a message. */
const LOOK_MS = 1000;
const CLOSED = "the client is closed";

/** Whatever renews a hold. */
export interface Renewing {
  readonly granted: Granted;
  lose(why: string): void;
}

/** Sessions are opened with the first locks. */
export class Service {
  readonly transport: Transport;
  readonly sessions = new Sessions();
  readonly keepers = new Set<Renewing>();
  readonly timeoutMs: number;
  readonly patienceMs: number;
  readonly warn: (message: string) => void;
  /** The longest wait that the service allows, as far as it is known; at first the default of `locks.wait_max`. */
  longestWaitMs = 86_400_000;
  /**
   * The longest that one request of a wait stays open: less than the idle timeout of balancers (60 s is common). The next
   * request has the same idempotency key, and so keeps the place in the queue.
   */
  sliceMs = 50_000;
  isClosed = false;
  readonly #opening = new Map<Owner, AbortController>();

  constructor(urls: readonly string[], options: ClientOptions) {
    this.transport = new Transport(urls, options);
    this.timeoutMs = requirePositive("timeoutMs", options.timeoutMs ?? 10_000);
    this.patienceMs = requirePositive("patienceMs", options.patienceMs ?? 10_000);
    this.warn = options.onWarning ?? ((message) => process.emitWarning(message, "LatchdWarning"));
  }

  /** Ends the sessions; their holds are lost. */
  async close(): Promise<void> {
    this.isClosed = true;
    const sessions = this.sessions.takeAll();
    for (const session of sessions) this.end(session, "its client was closed");
    await Promise.all(sessions.map((session) => this.#delete(session)));
    this.transport.close();
  }

  async #delete(session: Session): Promise<void> {
    try {
      await this.transport.send({ method: "DELETE", path: "/session", session: session.id }, this.usual());
    } catch (error) {
      // A refusal: it has ended by itself, or an answer was lost.
      if (error instanceof Refused) return;
      this.warn(`a session could not be ended and ends by itself: ${messageOf(error)}`);
    }
  }

  /** The session of the owner, opened now if there is none. */
  async open(patience: Patience = this.usual(), cancel?: Cancel, owner = this.sessions.current()): Promise<Session> {
    const opening = this.#opening.get(owner);
    const joinMs = Math.min(JOIN_MS, leftMs(patience.endsMs) / 4);
    if (opening !== undefined) await sleepUntil(nowMs() + joinMs, opening.signal);
    if (this.isClosed) throw new LatchdError(CLOSED);
    const found = this.sessions.mine(owner, this.#held());
    if (found !== undefined) return found;
    const done = new AbortController();
    setMaxListeners(0, done.signal);
    if (!this.#opening.has(owner)) this.#opening.set(owner, done);
    try {
      return await this.#openAnother(owner, patience, cancel);
    } finally {
      if (this.#opening.get(owner) === done) this.#opening.delete(owner);
      done.abort();
    }
  }

  async #openAnother(owner: Owner, patience: Patience, cancel?: Cancel): Promise<Session> {
    const call = { method: "POST", path: "/session", key: randomUUID(), check: asked.session } as const;
    const answer = await this.transport.send(call, patience, cancel && { signal: cancel.signal });
    const session = sessionOf(answer.body, answer.headers);
    if (this.isClosed) {
      await this.#delete(session);
      throw new LatchdError(CLOSED);
    }
    // Another caller may have been faster, and both sessions are of use.
    const mine = this.sessions.mine(owner, this.#held());
    this.sessions.add(session, mine === undefined ? owner : NOBODY);
    this.#endSpare();
    return mine ?? session;
  }

  #held(): Set<Session> {
    return new Set([...this.keepers].map((keeper) => keeper.granted.session));
  }

  /** A session is no more: its holds are lost before another one is opened. */
  end(session: Session, why: string): void {
    this.sessions.remove(session);
    for (const keeper of [...this.keepers]) if (keeper.granted.session === session) keeper.lose(why);
  }

  /** Runs work as an owner of its own; its session is free for others afterwards. */
  async asOwner<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.sessions.asOwner(work);
    } finally {
      this.#endSpare();
    }
  }

  #endSpare(): void {
    for (const session of this.sessions.takeSpare(this.#held())) void this.#delete(session);
  }

  /** The fencing tokens of its holds. */
  tokens(): Set<number> {
    return new Set([...this.keepers].map((keeper) => keeper.granted.fencingToken));
  }

  renew(hold: Granted, patience: Patience): Promise<Answer> {
    const body = { ...ofHold(hold.names), key: hold.key, lock_timeout_seconds: hold.leaseMs / 1000 };
    const check = asked.renewal(hold.names[0], hold.key);
    return this.transport.send({ method: "POST", path: "/v1/renew", body, session: hold.session.id, check }, patience);
  }

  /** No attempt begins after that moment: by then it has ended by itself. */
  unlock(hold: Granted, untilMs: number, attemptMs = this.timeoutMs): Promise<Answer> {
    const body = { ...ofHold(hold.names), key: hold.key };
    const call = { method: "POST", path: "/v1/unlock", body, session: hold.session.id } as const;
    const usual = this.usual();
    const patience = { ...usual, untilMs: Math.min(untilMs, usual.untilMs), attemptMs };
    return this.transport.send({ ...call, check: asked.release(hold.names[0]) }, patience);
  }

  async show(name: string, patience: Patience): Promise<LockInfo | null> {
    // By `?name=`, because a path cannot carry every name: `.`, `..`, and on some proxies a slash.
    const call = { method: "GET", path: "/v1/locks", check: asked.listing(name), query: { name } } as const;
    const { body } = await this.transport.send(call, patience);
    const [found] = body["locks"] as unknown[];
    return found === undefined ? null : lockInfoOf(object(found));
  }

  /** What there is to know of a lock for a message; `null` if that takes long. */
  async look(name: string): Promise<LockInfo | null> {
    const endsMs = nowMs() + LOOK_MS;
    try {
      return await this.show(name, { ...this.usual(), untilMs: nowMs(), attemptMs: LOOK_MS, endsMs });
    } catch (error) {
      if (error instanceof LatchdError) return null;
      throw error;
    }
  }

  usual(): Patience {
    const untilMs = nowMs() + this.patienceMs;
    return { untilMs, attemptMs: this.timeoutMs, waits: false, endsMs: Infinity };
  }
}

/** Whose sessions are free. */
const NOBODY = new Owner();
NOBODY.isOver = true;

function requirePositive(name: string, ms: number): number {
  if (!(ms > 0 && ms < Infinity)) throw new RangeError(`${name} must be a number of milliseconds above 0, not ${ms}`);
  return ms;
}
