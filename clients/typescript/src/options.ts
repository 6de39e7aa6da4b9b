/** What a program may set, with its meaning and its units. */

import type { Hold } from "./hold.js";

/** PEM text, or several. A file is read by the caller: `readFileSync("ca.pem")`. */
export type Pem = string | Buffer | readonly (string | Buffer)[];

/** How a client reaches the service, and how long it tries. */
export interface ClientOptions {
  /** A credential of the service. Not together with `password`. */
  readonly apiKey?: string;
  /** The password of the service. */
  readonly password?: string;
  /** The authorities to trust, or the very certificate of the service. Absent: those of Node.js. */
  readonly ca?: Pem;
  /** A client certificate with its chain, where the service asks for one; `key` goes with it. */
  readonly cert?: Pem;
  /** The private key of `cert`. */
  readonly key?: Pem;
  /** The longest that one attempt of a request may take: 10 000 unless given. */
  readonly timeoutMs?: number;
  /** How long a request is sent again while no node can answer it: 10 000 unless given. */
  readonly patienceMs?: number;
  /** What holders show of themselves to whoever asks: `host`, `pid` and `user` unless given; `{}` shows nothing. */
  readonly metadata?: Readonly<Record<string, string>>;
  /**
   * Headers for each request, asked for in the asynchronous context of the call that sends it: such as the `traceparent` of
   * its trace. What the client itself sends stays.
   */
  readonly headers?: () => Readonly<Record<string, string>>;
  /** Gets a sentence about what went wrong and stops nobody. Absent: `process.emitWarning`. */
  readonly onWarning?: (message: string) => void;
}

/** How a lock is held: alone, or with all who share it. */
export type Mode = "exclusive" | "shared";
/** A lock, or several: each by its name, or with a mode of its own. */
export type Names = string | readonly (string | NameWithMode)[];

/** A lock with a mode of its own, among several. */
export interface NameWithMode {
  readonly name: string;
  readonly mode: Mode;
}

/** What a request that takes a lock may say besides the name. */
export interface TryOptions {
  /** How long the lock stays taken after it could last be renewed: 30 000 unless given. */
  readonly leaseMs?: number;
  /** `shared` with all who take it so; `exclusive` unless given. Not together with `size`. */
  readonly mode?: Mode;
  /** How many may hold the lock at once, 1 unless given. All who use it have to say the same number. */
  readonly size?: number;
  /** How many of those places this hold takes, 1 unless given. */
  readonly weight?: number;
  /** For how long nobody is granted the lock after this hold is lost: not at all unless given. */
  readonly lockDelayMs?: number;
  /** What is shown to whoever asks who holds it, beside that of the client. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Cancels the request: it rejects with the reason of the signal, and leaves the queue at once. */
  readonly signal?: AbortSignal;
  /** Called once when the hold is lost. */
  readonly onLost?: (hold: Hold) => void;
}

/** The same for a lock that is waited for. */
export interface LockOptions extends TryOptions {
  /** How long to wait: as long as it takes unless given, not at all with 0. */
  readonly waitMs?: number;
}

/** What a candidate may say besides the name and its value. */
export interface ElectOptions {
  /** How long to wait for the lead: as long as it takes unless given, not at all with 0. */
  readonly waitMs?: number;
  /** How long it leads after its last renewal: 10 000 unless given. */
  readonly leaseMs?: number;
  /** As of {@link TryOptions}. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** As of {@link TryOptions}. */
  readonly signal?: AbortSignal;
  /** Called once when the lead is lost. */
  readonly onLost?: (hold: Hold) => void;
}

/** What the taker of a transferred hold may say. */
export interface AdoptOptions {
  /** The new lease: 30 000 unless given. */
  readonly leaseMs?: number;
  /** Called once when the hold is lost. */
  readonly onLost?: (hold: Hold) => void;
}

/** What a wait to be the only holder may say. */
export interface UpgradeOptions {
  /** How long to wait for the others to leave: as long as it takes unless given, not at all with 0. */
  readonly waitMs?: number;
  /** Ends the wait; the hold stays shared. */
  readonly signal?: AbortSignal;
}
