/** The errors of this package. */

import { describeFreeze, describeHolder, describeStep, quoted } from "./wire.js";
import type { BlockedBy, Freeze, Holder } from "./wire.js";

/** How many holders a message names. */
const SHOWN_MAX = 3;

/** All errors of this package. Wrong arguments are a `TypeError` or a `RangeError`. */
export class LatchdError extends Error {
  static {
    this.prototype.name = "LatchdError";
  }
}

/** The wait is over without the lock: others held it, or no answer came, as the message says. */
export class NotAcquired extends LatchdError {
  static {
    this.prototype.name = "NotAcquired";
  }
  /** The lock; of several, the one that was held. */
  readonly lockName: string;
  /** Who held it just after; empty where nobody did any more, or where they may not be seen. */
  readonly holders: readonly Holder[];
  /** How many waited for it. */
  readonly queueLength: number;

  constructor(lockName: string, holders: readonly Holder[], queueLength: number, note = "", options?: ErrorOptions) {
    super(notAcquired(lockName, holders, queueLength, note), options);
    this.lockName = lockName;
    this.holders = holders;
    this.queueLength = queueLength;
  }
}

function notAcquired(lockName: string, holders: readonly Holder[], queueLength: number, note: string): string {
  let message = `${quoted(lockName)} was not to be had`;
  if (holders.length === 0) {
    return `${message} (${note || "others held it or waited for it; who, the service does not say any more"})`;
  }
  const more = holders.length > SHOWN_MAX ? ` and ${holders.length - SHOWN_MAX} more` : "";
  message += `: held by ${holders.slice(0, SHOWN_MAX).map(describeHolder).join("; ")}${more}`;
  message += `; ${queueLength} ${queueLength === 1 ? "waits" : "wait"} for it`;
  return note ? `${message} (${note})` : message;
}

/** An operator has frozen the lock, and the freeze outlasts the wait. */
export class Frozen extends NotAcquired {
  static {
    this.prototype.name = "Frozen";
  }
  /** Its target, reason and end. */
  readonly freeze: Freeze;

  constructor(lockName: string, freeze: Freeze, holders: readonly Holder[] = [], queueLength = 0) {
    super(lockName, holders, queueLength, describeFreeze(freeze));
    this.freeze = freeze;
  }
}

/**
 * The service will not wait, because the wait could not end: each of these waits for the next one, and the last for the
 * first. Release something, or take all of the locks at once.
 */
export class WouldDeadlock extends NotAcquired {
  static {
    this.prototype.name = "WouldDeadlock";
  }
  /** Who waits for what, and who has it; empty for a campaign in an election. */
  readonly cycle: readonly BlockedBy[];

  constructor(lockName: string, cycle: readonly BlockedBy[], options?: ErrorOptions) {
    const steps = cycle.length === 0 ? "" : `: ${cycle.map(describeStep).join("; ")}`;
    super(lockName, [], 0, `to wait would be a deadlock${steps}`, options);
    this.cycle = cycle;
  }
}

/** The lock was lost, so what was done under it may not have been protected to the end. */
export class LockLost extends LatchdError {
  static {
    this.prototype.name = "LockLost";
  }
  /** The lock; of several, the first. */
  readonly lockName: string;
  /** How it was lost, in words. */
  readonly why: string;

  constructor(lockName: string, why: string, options?: ErrorOptions) {
    super(`${quoted(lockName)} was lost: ${why}`, options);
    this.lockName = lockName;
    this.why = why;
  }
}

/** No node of the service gave an answer, or only that it cannot work now. */
export class Unreachable extends LatchdError {
  static {
    this.prototype.name = "Unreachable";
  }
  /** The delay before a retry that the service asks for, in milliseconds. A retry that would come too late is not made. */
  readonly retryAfterMs: number;
  /** Whether a retry may help. */
  readonly mayPass: boolean;
  /** The service's name for the reason, such as `rate-exceeded` or `share-full`, where it gave one. */
  readonly code: string | undefined;

  constructor(message: string, retryAfterMs = 0, mayPass = true, options?: ErrorOptions & { readonly code?: string }) {
    super(message, options);
    this.code = options?.code;
    this.retryAfterMs = retryAfterMs;
    this.mayPass = mayPass;
  }
}

/** The service understood and will not do it: a credential, a right, a limit, a wrong value. */
export class Refused extends LatchdError {
  static {
    this.prototype.name = "Refused";
  }
  /** The HTTP status; 200 where the refusal stood in an answer. */
  readonly status: number;
  /** The service's name for it, such as `LockSizeMismatch`, where it has one. */
  readonly code: string | undefined;

  constructor(message: string, status: number, code?: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** There is no such hold any more. Handled inside this package. */
export class HoldGone extends Refused {}

/** The session of the request has ended. Handled inside this package. */
export class SessionEnded extends Refused {}

/** The hold of an earlier attempt ended before its answer arrived. Handled inside this package. */
export class HoldEnded extends Refused {}

/** An attempt timed out. Handled inside this package. */
export class CutShort extends Unreachable {}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
