/** The clock of leases; no other file reads a clock. */

import * as os from "node:os";
import { performance } from "node:perf_hooks";

/** The last moment that a `Date` has. */
const LAST_DATE_MS = 8.64e15;
/** The longest timer, because timers stop during a suspension. */
const SLICE_MS = 1000;
/** A difference that the steps of the two clocks explain: `/proc/uptime` has hundredths of a second. */
const STEPS_MS = 50;

/**
 * Makes a clock that goes on while the machine is suspended. The precise clock of Node.js stops then on Linux, and its
 * uptime does not: what the uptime gained in addition was a suspension.
 */
export function makeClock(preciseMs: () => number, uptimeMs: () => number): () => number {
  const startedMs = uptimeMs() - preciseMs();
  let suspendedMs = 0;
  return () => {
    const now = preciseMs();
    const gainedMs = uptimeMs() - now - startedMs;
    if (gainedMs > suspendedMs + STEPS_MS) suspendedMs = gainedMs;
    return now + suspendedMs;
  };
}

/** Where the uptime cannot be read, and on systems whose precise clock goes on by itself, nothing is added. */
function uptimeMs(): number {
  if (process.platform !== "linux") return precise();
  try {
    return os.uptime() * 1000;
  } catch {
    return 0;
  }
}

const precise = performance.now.bind(performance);

/** Milliseconds since some moment in the past. They mean nothing to another machine or after a reboot. */
export const nowMs = makeClock(precise, uptimeMs);

/** Milliseconds until then; 0 if it has passed. */
export function leftMs(moment: number): number {
  return Math.max(0, moment - nowMs());
}

/** The wall clock so long ago, for messages only. */
export function wallTimeBefore(ms: number): string {
  return new Date(Date.now() - ms).toISOString().replace(/[.]\d+Z$/, "Z");
}

/** The wall clock so long from now, as far as dates go. */
export function wallTimeAfter(ms: number): Date {
  return new Date(Math.min(Date.now() + ms, LAST_DATE_MS));
}

/** Waits until that moment or until `wake` aborts. With `unref` the process may end meanwhile. */
export async function sleepUntil(moment: number, wake?: AbortSignal, unref = false): Promise<void> {
  for (let left = leftMs(moment); left > 0 && !wake?.aborted; left = leftMs(moment)) {
    await slice(Math.min(left, SLICE_MS), wake, unref);
  }
}

function slice(ms: number, wake: AbortSignal | undefined, unref: boolean): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      wake?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (unref) timer.unref();
    wake?.addEventListener("abort", done);
  });
}
