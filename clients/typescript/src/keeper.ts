/** Renews one hold, and decides by this machine's clock whether it is lost. */

import { leftMs, nowMs, sleepUntil } from "./clock.js";
import { LockLost, SessionEnded, messageOf } from "./errors.js";
import type { Service } from "./service.js";
import { leaseEnd, longestMs, quoted } from "./wire.js";
import type { Granted } from "./wire.js";

const TOO_LATE = "its lease could not be renewed in time";
/** The longest that one attempt of a renewal may take. */
const ATTEMPT_MS_MAX = 5000;
/** The longest pause between two attempts. */
const PAUSE_MS_MAX = 2000;

const isAborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, "aborted");

export class Keeper {
  granted: Granted;
  readonly service: Service;
  whyLost: string | null = null;
  hasEnded = false;
  /** There while another session is given the hold: until that is known, an end of it is no loss. */
  handover: Promise<unknown> | null = null;
  /** Aborts when the hold is lost. */
  readonly signal: AbortSignal;
  readonly #lost = new AbortController();
  readonly #stop = new AbortController();
  readonly #report: () => void;
  /** What the end of the lease would be said to come from. */
  #trouble = TOO_LATE;
  #untilMs: number;
  /** The lease as it was last granted: a session may end sooner. */
  #termMs: number;

  constructor(service: Service, granted: Granted, report: () => void) {
    this.service = service;
    this.granted = granted;
    this.#report = report;
    this.#untilMs = granted.untilMs;
    this.#termMs = granted.untilMs - granted.sentMs;
    this.signal = this.#lost.signal;
    // Who asks it just after the event loop stood still asks the clock, which no timer could do meanwhile.
    Object.defineProperty(this.signal, "aborted", { get: () => this.isLost && isAborted?.get?.call(this.signal) });
    service.keepers.add(this);
    void this.#watch();
    void this.#keep();
  }

  /** When it ends if it is not renewed. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** When it counts as lost: before the lease ends, because a clock may run a little slow. */
  get deadlineMs(): number {
    return this.#untilMs - Math.min(Math.max(this.#termMs / 20, 50), 2000);
  }

  /** Whether it is lost; true from its deadline on, whether or not a timer has noticed. */
  get isLost(): boolean {
    if (!this.hasEnded && leftMs(this.deadlineMs) === 0) this.lose(this.#trouble);
    return this.whyLost !== null;
  }

  /** Ends the renewing; whether it was lost before. */
  end(): boolean {
    const wasLost = this.isLost;
    this.hasEnded = true;
    this.service.keepers.delete(this);
    this.#stop.abort();
    return wasLost;
  }

  lose(why: string): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.whyLost = why;
    this.service.keepers.delete(this);
    this.#stop.abort();
    const { names, fencingToken } = this.granted;
    this.#lost.abort(new LockLost(names[0], why));
    this.service.warn(`the lock ${quoted(names[0])} (token ${fencingToken}) is lost: ${why}`);
    // Not within whatever asked.
    queueMicrotask(this.#report);
  }

  /** Notices the deadline, also while a renewal is under way. */
  async #watch(): Promise<void> {
    while (!this.hasEnded && !this.isLost) await sleepUntil(this.deadlineMs, this.#stop.signal, true);
  }

  /** Renews at a third of the lease until it is released or lost. */
  async #keep(): Promise<void> {
    try {
      for (let renewedMs = this.granted.sentMs; !this.hasEnded; ) {
        await sleepUntil(renewedMs + this.#termMs / 3, this.#stop.signal, true);
        if (!this.hasEnded) renewedMs = await this.#renew();
      }
    } catch (error) {
      this.lose(error instanceof Lost ? error.message : `renewing it failed: ${messageOf(error)}`);
    }
  }

  /** Retries until the lease has nearly ended; returns when the answered attempt was sent. */
  async #renew(): Promise<number> {
    while (!this.hasEnded) {
      const untilMs = this.deadlineMs;
      const left = leftMs(untilMs);
      if (left === 0) throw new Lost(this.#trouble);
      // Half of what is left at most: there is time for another attempt.
      const attemptMs = Math.max(10, Math.min(this.#termMs / 6, ATTEMPT_MS_MAX, left / 2));
      const pauseMs = Math.min(this.#termMs / 10, PAUSE_MS_MAX);
      const patience = { untilMs, attemptMs, pauseMs, waits: false, endsMs: this.#untilMs, isBackground: true };
      try {
        const { body, sentMs } = await this.service.renew(this.granted, patience);
        if (!body["locked"]) {
          // If it was handed over meanwhile, nothing is lost any more.
          await this.handover;
          throw new Lost("the service says that it has ended");
        }
        this.#extend(sentMs, leaseEnd(body, longestMs(this.granted), sentMs));
        return sentMs;
      } catch (error) {
        if (error instanceof Lost) throw error;
        if (error instanceof SessionEnded) throw new Lost("its session has ended");
        // A refusal may be taken back while the lease still runs, such as that of a credential.
        this.#trouble = `its lease could not be renewed: ${messageOf(error)}`;
        await sleepUntil(Math.min(nowMs() + pauseMs, untilMs), this.#stop.signal, true);
      }
    }
    return nowMs();
  }

  #extend(sentMs: number, untilMs: number): void {
    // A caller may have seen that it is lost, and that stays so.
    if (this.isLost || this.hasEnded) return;
    this.#trouble = TOO_LATE;
    this.#termMs = untilMs - sentMs;
    this.#untilMs = Math.max(this.#untilMs, untilMs);
  }
}

/** Why there is nothing to renew any more. */
class Lost extends Error {}
