/** A client of one service: its session, its credential, and how it takes locks. */

import { setMaxListeners } from "node:events";

import { Wait, acquire, isGranted } from "./acquiring.js";
import type { Outcome } from "./acquiring.js";
import * as changing from "./changing.js";
import type { Transferred } from "./changing.js";
import { Leadership, lookUp } from "./election.js";
import type { Leader } from "./election.js";
import { enclosingNames, isInTheWay } from "./enclosing.js";
import { CutShort, Frozen, NotAcquired } from "./errors.js";
import { Hold, during } from "./hold.js";
import { described } from "./identity.js";
import type { AdoptOptions, ClientOptions, ElectOptions, LockOptions, Names, TryOptions } from "./options.js";
import { Service } from "./service.js";
import { campaignOf, requireLease, requireWait, wantedOf } from "./wanted.js";
import type { Wanted } from "./wanted.js";
import { quoted } from "./wire.js";
import type { Freeze, Granted, LockInfo } from "./wire.js";

const LEAD_MS = 10_000;

/** What runs under a lock. The signal aborts when the lock is lost. */
export type Work<T> = (hold: Hold, signal: AbortSignal) => Promise<T> | T;

/** What an acquire is asked to do besides what it sends. */
type Acquiring = Pick<LockOptions, "metadata" | "signal"> & { readonly waitMs: number };

/**
 * A client of the service at one URL, or at those of several nodes, as an array or with commas between them.
 *
 * Everything that a program does at once may share a client. In the search for deadlocks the program counts as one owner,
 * and each scope of {@link Client.withLock} or {@link Client.asOwner} as another. Each worker thread, cluster worker and
 * child process makes a client of its own.
 */
export class Client implements AsyncDisposable {
  readonly #service: Service;
  readonly #metadata: Readonly<Record<string, string>> | undefined;

  constructor(urls: string | readonly string[], options: ClientOptions = {}) {
    const list = typeof urls === "string" ? urls.split(",") : urls;
    this.#service = new Service(
      list.map((url) => url.trim()),
      options,
    );
    this.#metadata = options.metadata && { ...options.metadata };
  }

  /**
   * Takes a lock, waiting for it for `waitMs`: as long as it takes without that, not at all with 0. Several, in an array,
   * are taken all at once or none, under one token; each is a name, or a name and its mode.
   *
   * Whatever the service does, the wait has ended a second after `waitMs`; without a wait it takes two seconds at most.
   *
   * @throws {@link NotAcquired} if it was not to be had in that time, which tells who holds it or that no answer came;
   * of these, {@link Frozen} if an operator has frozen it for longer, and {@link WouldDeadlock} if the wait could not end;
   * {@link Unreachable} if no node is there or can work now; {@link Refused} if the service will not do it; the reason of `signal` if that aborts.
   */
  async lock(names: Names, options: LockOptions = {}): Promise<Hold> {
    const { waitMs = Infinity, size = 1 } = options;
    const wanted = wantedOf(names, options);
    if (waitMs !== 0 && size === 1) await this.#refuseOwnDeadlock(wanted);
    const granted = await this.#must(wanted, { ...options, waitMs });
    return new Hold(this.#service, granted, options.onLost);
  }

  /** As {@link Client.lock}, shared with all who take it so. */
  readLock(names: Names, options: Omit<LockOptions, "mode" | "size" | "weight"> = {}): Promise<Hold> {
    return this.lock(names, { ...options, mode: "shared" });
  }

  /** Takes a lock, or several, if all are free now; else `null`. A frozen one is not free, whoever holds it. */
  async tryLock(names: Names, options: TryOptions = {}): Promise<Hold | null> {
    const outcome = await this.#acquire(wantedOf(names, options), { ...options, waitMs: 0 });
    return isGranted(outcome) ? new Hold(this.#service, outcome, options.onLost) : null;
  }

  /**
   * Runs work under a lock, and gives what it returns. The lock is released however the work ends, and its errors reach
   * the caller. Locks that the work takes count as taken by the same owner.
   *
   * @throws What {@link Client.lock} and the work throw; {@link LockLost} if the lock was lost although the work succeeded.
   */
  withLock<T>(names: Names, work: Work<T>): Promise<T>;
  withLock<T>(names: Names, options: LockOptions, work: Work<T>): Promise<T>;
  withLock<T>(names: Names, optionsOrWork: LockOptions | Work<T>, last?: Work<T>): Promise<T> {
    const [options, work] = typeof optionsOrWork === "function" ? [{}, optionsOrWork] : [optionsOrWork, last];
    if (typeof work !== "function") throw new TypeError("withLock needs a function to run");
    const run = async () => during(await this.lock(names, options), work, this.#service.warn);
    return this.#service.sessions.isInScope() ? run() : this.#service.asOwner(run);
  }

  /**
   * Runs work as an owner of its own: deadlocks are found between it and everything outside. A program that does several
   * things at once, each of which takes more than one lock, runs each of them so.
   */
  asOwner<T>(work: () => Promise<T>): Promise<T> {
    return this.#service.asOwner(work);
  }

  /**
   * Campaigns in an election, and leads it from then on, until it resigns or the lead is lost. `value` is what
   * {@link Client.leader} says about this process, to everybody. The rest is as of {@link Client.lock}: an election is one.
   */
  async elect(name: string, value: string, options: ElectOptions = {}): Promise<Leadership> {
    const { waitMs = Infinity, leaseMs = LEAD_MS } = options;
    const wanted = campaignOf(name, value, leaseMs);
    if (waitMs !== 0) await this.#refuseOwnDeadlock(wanted);
    const granted = await this.#must(wanted, { ...options, waitMs });
    return new Leadership(this.#service, granted, options.onLost, value);
  }

  /** Who leads an election, and for how long nobody else can; `null` if nobody leads. */
  leader(name: string): Promise<Leader | null> {
    return lookUp(this.#service, name);
  }

  /** The id of the session of this owner, opened now if there is none; for {@link Hold.transfer}. It is a secret. */
  async sessionId(): Promise<string> {
    const session = await this.#service.open();
    this.#service.sessions.show(session);
    return session.id;
  }

  /**
   * Goes on with a hold that {@link Hold.transfer} has given to the session of this client. A text is what
   * {@link Transferred.toSecret} gave, in another process perhaps.
   *
   * @throws {@link LockLost} if it has ended since.
   */
  async adopt(given: Transferred | string, options: AdoptOptions = {}): Promise<Hold> {
    const { leaseMs = 30_000, onLost } = options;
    requireLease(leaseMs);
    return new Hold(this.#service, await changing.adopt(this.#service, given, leaseMs), onLost);
  }

  /** The holders of a lock and its number of waiters; `null` if it has neither. */
  show(name: string): Promise<LockInfo | null> {
    return this.#service.show(name, this.#service.usual());
  }

  /** Ends its sessions; whatever is still held is free, and lost to its holders. */
  close(): Promise<void> {
    return this.#service.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #must(wanted: Wanted, how: Acquiring): Promise<Granted> {
    let outcome: Outcome;
    try {
      outcome = await this.#acquire(wanted, how);
    } catch (error) {
      if (!(error instanceof CutShort) || how.waitMs === 0) throw error;
      throw new NotAcquired(wanted.names[0], [], 0, error.message, { cause: error });
    }
    if (!isGranted(outcome)) throw await this.#notAcquired(wanted, outcome);
    return outcome;
  }

  async #acquire(wanted: Wanted, how: Acquiring): Promise<Outcome> {
    requireWait(how.waitMs);
    const metadata = described(this.#metadata, how.metadata);
    const body = Object.keys(metadata).length > 0 ? { ...wanted.body, metadata } : wanted.body;
    const owner = this.#service.sessions.current();
    const wait = new Wait(how.waitMs, this.#service.patienceMs);
    // Many waits may share a signal that ends them all.
    if (how.signal) setMaxListeners(0, how.signal);
    owner.acquiring++;
    try {
      return await acquire(this.#service, { ...wanted, body }, wait, how.signal);
    } finally {
      owner.acquiring--;
    }
  }

  /** It would wait for itself. */
  async #refuseOwnDeadlock({ places }: Wanted): Promise<void> {
    const enclosing = enclosingNames();
    for (const { name, isShared } of places.filter((place) => enclosing.has(place.name))) {
      const found = await this.#service.look(name);
      if (found !== null && isInTheWay(found, isShared)) throw this.#held(found, isShared);
    }
  }

  async #notAcquired({ names, places }: Wanted, freeze: Freeze | null): Promise<NotAcquired> {
    let note = "";
    for (const { name, isShared } of places) {
      const found = await this.#service.look(name);
      if (found !== null && found.holders.length > 0) {
        return freeze ? new Frozen(name, freeze, found.holders, found.queueLength) : this.#held(found, isShared);
      }
      if (found?.delayedForMs && !note) {
        const left = Math.round(found.delayedForMs / 1000);
        note = `${quoted(name)} is not granted for ${left} s, because of how its last hold ended`;
      }
    }
    return freeze ? new Frozen(names[0], freeze) : new NotAcquired(names[0], [], 0, note);
  }

  #held(found: LockInfo, isShared: boolean): NotAcquired {
    const own = this.#service.tokens();
    let note = "";
    if (isInTheWay(found, isShared)) {
      note = "held by the `latchd lock` that this program runs under: a deadlock with oneself";
    } else if (found.holders.some((holder) => own.has(holder.fencingToken))) {
      note = "held by this client itself";
    }
    return new NotAcquired(found.name, found.holders, found.queueLength, note);
  }
}
