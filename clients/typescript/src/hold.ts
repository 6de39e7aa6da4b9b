/** A lock that is held, as its holder sees it. */

import { inspect } from "node:util";

import { Wait } from "./acquiring.js";
import * as changing from "./changing.js";
import type { Transferred } from "./changing.js";
import { leftMs, nowMs } from "./clock.js";
import { HoldGone, LatchdError, LockLost, SessionEnded, Unreachable, messageOf } from "./errors.js";
import { Keeper } from "./keeper.js";
import type { UpgradeOptions } from "./options.js";
import type { Service } from "./service.js";
import { requireWait } from "./wanted.js";
import { quoted } from "./wire.js";
import type { Granted } from "./wire.js";

/** The time limit for releasing a hold that is lost. */
const FAREWELL_MS = 500;

/**
 * A lock that is held until it is released, its client is closed, its process ends, or it is lost. It is renewed as long
 * as the process lives, whether or not anything refers to it; the renewal does not keep the process alive.
 *
 * With `await using` it is released at the end of the block, which throws {@link LockLost} if the lock was lost
 * meanwhile.
 */
export class Hold implements AsyncDisposable {
  readonly #keeper: Keeper;
  #releasing: Promise<void> | null = null;

  constructor(service: Service, granted: Granted, onLost: ((hold: Hold) => void) | undefined) {
    this.#keeper = new Keeper(service, granted, () => {
      try {
        onLost?.(this);
      } catch (error) {
        service.warn(`onLost of ${quoted(this.name)} failed: ${messageOf(error)}`);
      }
    });
  }

  /** The name of the lock; of several, the first. */
  get name(): string {
    return this.#keeper.granted.names[0];
  }

  /** The names of all locks of this hold, as they were asked for. */
  get names(): readonly string[] {
    return this.#keeper.granted.names;
  }

  /** How long it stays taken after it could last be renewed; less where its session ends sooner. */
  get leaseMs(): number {
    return this.#keeper.granted.leaseMs;
  }

  /**
   * Larger than that of every earlier hold of any lock, and below 2^53. Hand it to whatever the lock protects. An upgrade
   * and a downgrade give a new one.
   */
  get fencingToken(): number {
    return this.#keeper.granted.fencingToken;
  }

  /**
   * Whether it may be somebody else's. Never false again once it was true, and true before the lease ends: the clock is
   * asked, so this holds also just after the event loop stood still.
   */
  get lost(): boolean {
    return this.#keeper.isLost;
  }

  /** Aborts when the hold is lost, with a {@link LockLost} as its reason. A release does not abort it. */
  get signal(): AbortSignal {
    return this.#keeper.signal;
  }

  /** For how many milliseconds it is certain that nobody else holds it; 0 once it is lost or released. */
  get remainingMs(): number {
    return this.#keeper.hasEnded ? 0 : leftMs(this.#keeper.deadlineMs);
  }

  /**
   * For between the steps of a long work.
   *
   * @throws {@link LockLost} if it is lost.
   */
  check(): void {
    if (this.lost) throw this.#loss();
  }

  /**
   * Releases the lock. Doing so twice is no error. Where no node answers, the lock ends with its lease, and
   * `onWarning` is told.
   *
   * @throws {@link LockLost} if it was lost before.
   */
  release(): Promise<void> {
    this.#releasing ??= this.#release();
    return this.#releasing;
  }

  async #release(): Promise<void> {
    const keeper = this.#keeper;
    if (keeper.hasEnded && keeper.whyLost === null) return;
    if (keeper.end()) {
      // It may still be there; nothing depends on whether this works.
      await keeper.service.unlock(keeper.granted, nowMs(), FAREWELL_MS).catch(() => undefined);
      throw this.#loss();
    }
    await this.#unlock();
  }

  async #unlock(): Promise<void> {
    const keeper = this.#keeper;
    try {
      const { body, attempts } = await keeper.service.unlock(keeper.granted, keeper.untilMs);
      // A first attempt may have done it and its answer be lost.
      if (body["unlocked"] || attempts > 1) return;
      keeper.whyLost = "the service says that it had ended before it was released";
    } catch (error) {
      if (error instanceof Unreachable) {
        // What was done under it is done, and was protected.
        keeper.service.warn(`${quoted(this.name)} could not be released and ends with its lease: ${error.message}`);
        return;
      }
      if (!(error instanceof SessionEnded)) throw error;
      keeper.whyLost = "its session had ended before it was released";
    }
    throw this.#loss();
  }

  /**
   * Shares a lock that is held exclusively, and lets those in at once that wait to share it. The fencing token is a new
   * one afterwards.
   */
  async downgrade(): Promise<void> {
    await this.change(async (keeper) => {
      keeper.granted = await changing.downgrade(keeper.service, keeper.granted);
      this.check();
    });
  }

  /**
   * Makes the holder of a shared lock the only one, before all that wait already. The fencing token is a new one
   * afterwards. Unless the hold is lost, it stays as it was where this fails.
   *
   * @throws {@link NotAcquired} if others still share it at the end of the wait; {@link WouldDeadlock} or {@link Refused}
   * if one of them wants the same; {@link LockLost} if the hold has ended.
   */
  async upgrade(options: UpgradeOptions = {}): Promise<void> {
    const { waitMs = Infinity, signal } = options;
    requireWait(waitMs);
    await this.change(async (keeper) => {
      const wait = new Wait(waitMs, keeper.service.patienceMs);
      keeper.granted = await changing.upgrade(keeper.service, keeper.granted, wait, signal);
      this.check();
    });
  }

  /**
   * Gives the hold to another session, by the `sessionId` of its client, which goes on with `Client.adopt`. Here it counts
   * as released. Where no answer comes, the other side may have it: then it is found to be lost with its next renewal.
   */
  async transfer(sessionId: string): Promise<Transferred> {
    return await this.change(async (keeper) => {
      const given = changing.transfer(keeper.service, keeper.granted, sessionId);
      keeper.handover = given.then(
        () => keeper.end(),
        () => undefined,
      );
      const transferred = await given;
      await keeper.handover;
      return transferred;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** A change of a hold that is there. */
  protected async change<T>(work: (keeper: Keeper) => Promise<T>): Promise<T> {
    const keeper = this.#keeper;
    this.check();
    if (keeper.hasEnded) throw new LatchdError(`the hold of ${quoted(this.name)} is released`);
    try {
      return await work(keeper);
    } catch (error) {
      if (error instanceof SessionEnded) keeper.lose("its session has ended");
      if (error instanceof HoldGone) keeper.lose("the service says that it has ended");
      this.check();
      throw error;
    }
  }

  #loss(): LockLost {
    return new LockLost(this.name, this.#keeper.whyLost ?? "");
  }

  /** Without its key, which opens it. */
  toJSON(): object {
    return { name: this.name, names: this.names, fencingToken: this.fencingToken, lost: this.lost };
  }

  [inspect.custom](): string {
    const state = this.lost ? "lost" : this.#keeper.hasEnded ? "released" : "held";
    return `${this.constructor.name} { names: ${this.names.map(quoted).join(", ")}, fencingToken: ${this.fencingToken}, ${state} }`;
  }
}

/**
 * Runs work under a hold, and releases it however the work ends. Whatever the work throws reaches the caller, except that
 * work which was aborted by the loss of its lock ends with that loss.
 */
export async function during<T>(
  hold: Hold,
  work: (hold: Hold, signal: AbortSignal) => Promise<T> | T,
  warn: (message: string) => void,
): Promise<T> {
  let result: T;
  try {
    result = await work(hold, hold.signal);
  } catch (error) {
    try {
      await hold.release();
    } catch (failure) {
      if (failure instanceof LockLost && isAbort(error)) {
        throw new LockLost(failure.lockName, failure.why, { cause: error });
      }
      // What went wrong in the work matters more.
      warn(`after an error of the work: ${messageOf(failure)}`);
    }
    throw error;
  }
  await hold.release();
  return result;
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}
