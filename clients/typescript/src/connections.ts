/** One exchange over HTTP: connections that are kept, time limits, bounded answers, and a cancel that loses no grant. */

import * as http from "node:http";
import * as https from "node:https";
import type { Socket } from "node:net";
import { TLSSocket, createSecureContext } from "node:tls";

import { messageOf } from "./errors.js";
import type { Pem } from "./options.js";
import type { Headers } from "./wire.js";

/** The longest answer that is read. A listing of one lock, with a thousand waiters, has a few hundred kilobytes. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;
/** The longest that a connection may take to be there. */
const CONNECT_MS = 5000;
/** A shorter time tells nothing about whether the other end is there. */
const CONNECT_MS_MIN = 1000;
/** What OpenSSL says of a handshake with a port that answers in plain text. */
const NO_TLS = /wrong version number|packet length too long/;
/** How long after a cancel an answer that was under way is still read. */
const LATE_MS = 1000;
/** How many idle connections are kept; more are closed after their answers. */
const IDLE_CONNECTIONS_MAX = 16;
/** The longest timer of Node.js. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface Asked {
  readonly url: URL;
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Ends its connection, because what else comes on it may be mixed up too. */
  readonly drop: () => void;
}

/** How long an exchange may take, and whether the process may end meanwhile. */
export interface Limit {
  readonly ms: number;
  readonly isBackground: boolean;
}

/** A wait that may be given up. `late` gets an answer that was under way then. */
export interface Cancel {
  readonly signal: AbortSignal;
  readonly late?: (reply: Reply) => void;
}

/** The answer did not come within the limit. */
export class TimedOut extends Error {}

/** The connection failed. */
export class Failed extends Error {
  /** Whether the certificate of the other end is not trusted. */
  readonly isUntrusted: boolean;

  constructor(cause: Error, isUntrusted = false) {
    super(innermost(cause), { cause });
    this.isUntrusted = isUntrusted;
  }
}

/**
 * Connections to the nodes of one service. As many are open as requests are under way: with a limit, requests that wait
 * would keep renewals from being sent.
 */
export class Connections {
  readonly #plain = new http.Agent({ keepAlive: true, maxFreeSockets: IDLE_CONNECTIONS_MAX });
  readonly #secure: https.Agent;

  constructor(trust: { ca?: Pem | undefined; cert?: Pem | undefined; key?: Pem | undefined }) {
    const given = Object.fromEntries(Object.entries(trust).filter(([, pem]) => pem !== undefined));
    // Node.js takes any text for an authority, and then trusts none.
    if (trust.ca !== undefined && ![trust.ca].flat().every((pem) => pem.includes("-----BEGIN "))) {
      throw new TypeError("ca is no PEM text: give the content of the file, not its path");
    }
    try {
      createSecureContext(given);
    } catch (error) {
      throw new TypeError(`ca, cert or key is no PEM that can be used: ${messageOf(error)}`);
    }
    this.#secure = new https.Agent({
      keepAlive: true,
      maxFreeSockets: IDLE_CONNECTIONS_MAX,
      ...given,
      // Said here, so that no environment variable turns it off.
      rejectUnauthorized: true,
    });
  }

  /** Sends one request. Rejects with `TimedOut`, `Failed` or the reason of the cancel. Redirects are not followed. */
  exchange(asked: Asked, limit: Limit, cancel?: Cancel): Promise<Reply> {
    const isSecure = asked.url.protocol === "https:";
    const agent = isSecure ? this.#secure : this.#plain;
    const { method, headers } = asked;
    const request = (isSecure ? https : http).request(asked.url, { method, headers, agent });
    return new Exchange(request, limit, cancel).result(asked.body);
  }

  /** Ends them all, also those that wait for an answer. */
  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

class Exchange {
  readonly #request: http.ClientRequest;
  readonly #cancel: Cancel | undefined;
  readonly #limit: Limit;
  readonly #timers: NodeJS.Timeout[] = [];
  #isOver = false;
  #isCancelled = false;
  #resolve!: (reply: Reply) => void;
  #reject!: (error: unknown) => void;

  constructor(request: http.ClientRequest, limit: Limit, cancel: Cancel | undefined) {
    this.#request = request;
    this.#limit = limit;
    this.#cancel = cancel;
  }

  result(body: string | undefined): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      const request = this.#request;
      this.#after(this.#limit.ms, () => this.#timeOut());
      request.once("socket", (socket) => this.#limitConnecting(socket as Socket));
      request.on("error", (error) => this.#fail(new Failed(error, isUntrusted(request.socket))));
      request.once("response", (response) => this.#read(response));
      this.#cancel?.signal.addEventListener("abort", this.#giveUp);
      request.end(body);
    });
  }

  /** A program that kept the event loop busy finds the timer first, and the answer behind it. */
  #timeOut(): void {
    setImmediate(() => this.#fail(new TimedOut("it gave no answer in time")));
  }

  #limitConnecting(socket: Socket): void {
    if (this.#limit.isBackground) socket.unref();
    if (!socket.connecting) return;
    const limitMs = Math.min(CONNECT_MS, Math.max(this.#limit.ms / 3, CONNECT_MS_MIN));
    // Then the whole exchange ends in time.
    if (limitMs >= this.#limit.ms) return;
    const late = () => this.#fail(new Failed(new Error("it cannot be connected to in time")));
    const timer = this.#after(limitMs, late);
    socket.once(socket instanceof TLSSocket ? "secureConnect" : "connect", () => clearTimeout(timer));
  }

  #read(response: http.IncomingMessage): void {
    const chunks: Buffer[] = [];
    let bytes = 0;
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > ANSWER_BYTES_MAX) {
        this.#fail(new Failed(new Error(`its answer has more than ${ANSWER_BYTES_MAX} bytes`)));
      }
    });
    response.on("error", (error) => this.#fail(new Failed(error)));
    response.once("end", () => {
      const { socket } = response;
      const text = Buffer.concat(chunks).toString("utf8");
      const drop = () => void socket.destroy();
      this.#done({ status: response.statusCode ?? 0, headers: response.headers, text, drop });
    });
  }

  /**
   * The service sees the end of the sending half as the end of the wait. If it had granted the lock by then, that answer
   * still comes, and `late` can release the lock.
   */
  readonly #giveUp = (): void => {
    if (this.#isOver) return;
    this.#reject(this.#cancel?.signal.reason);
    this.#clear();
    const { socket, writableFinished } = this.#request;
    if (this.#cancel?.late === undefined || socket === null || !writableFinished) {
      this.#end();
      return;
    }
    this.#isCancelled = true;
    socket.end();
    this.#after(LATE_MS, () => this.#end());
  };

  #after(ms: number, run: () => void): NodeJS.Timeout {
    const timer = setTimeout(run, Math.min(ms, TIMER_MS_MAX));
    if (this.#limit.isBackground) timer.unref();
    this.#timers.push(timer);
    return timer;
  }

  #done(reply: Reply): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#clear();
    if (this.#isCancelled) this.#cancel?.late?.(reply);
    else this.#resolve(reply);
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#reject(error);
    this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#clear();
    this.#request.destroy();
  }

  #clear(): void {
    this.#timers.splice(0).forEach(clearTimeout);
    this.#cancel?.signal.removeEventListener("abort", this.#giveUp);
  }
}

/** Certificates do not change while one waits; other ends of TLS are those of any connection. */
function isUntrusted(socket: unknown): boolean {
  return socket instanceof TLSSocket && !!socket.authorizationError;
}

/** A name with several addresses fails with an error for each, and has no words of its own. */
function innermost(error: Error): string {
  if (error instanceof AggregateError && error.errors.length > 0) return innermost(error.errors[0] as Error);
  if (NO_TLS.test(error.message)) return "it does not speak TLS; does it listen with https?";
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}
