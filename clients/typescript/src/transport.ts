/** One call over HTTP: sent to one URL after the other until one answers or the retry time ends. */

import type { Check } from "./asked.js";
import { leftMs, nowMs, sleepUntil } from "./clock.js";
import { Connections, Failed, TimedOut } from "./connections.js";
import type { Asked, Cancel, Limit, Reply } from "./connections.js";
import { CutShort, LatchdError, Unreachable } from "./errors.js";
import type { ClientOptions } from "./options.js";
import { refusalOf } from "./refusals.js";
import { COOKIE } from "./wire.js";
import type { Headers, Json } from "./wire.js";

const FIRST_PAUSE_MS = 50;
/** The longest pause between two rounds, unless a call has another or the service asks for a longer one. */
const PAUSE_MS = 2000;

/** A request; the same for every attempt. */
export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: Json;
  readonly session?: string;
  /** Set if repeating the call would do harm. */
  readonly key?: string;
  /** What else must be true of an answer to this. */
  readonly check?: Check;
  readonly query?: Readonly<Record<string, string>>;
}

/** How long a call is retried while no node answers. */
export interface Patience {
  /** No attempt begins after this moment, but each URL is tried once in any case. */
  readonly untilMs: number;
  /** How long one attempt may take. */
  readonly attemptMs: number;
  /** The longest pause between two rounds where a hold is at stake; absent: at least as long as the service asks for. */
  readonly pauseMs?: number;
  /** Whether an attempt that takes longer ends the call: it stood open because it waits. */
  readonly waits: boolean;
  /** Nothing goes on after this moment, whatever the other end does. */
  readonly endsMs: number;
  /** Whether the process may end meanwhile. */
  readonly isBackground?: boolean;
}

/** A successful answer. */
export interface Answer {
  /** A moment before the answered attempt was sent. */
  readonly sentMs: number;
  /** How many attempts there were. */
  readonly attempts: number;
  readonly headers: Headers;
  readonly body: Json;
}

/** The nodes of one service, and what is shown to them. */
export class Transport {
  readonly #urls: readonly URL[];
  readonly #credential: string | undefined;
  readonly #connections: Connections;
  readonly #headers: (() => Readonly<Record<string, string>>) | undefined;
  #turn = 0;
  #isClosed = false;

  constructor(urls: readonly string[], options: ClientOptions) {
    if (urls.length === 0) throw new TypeError("no URL was given");
    this.#urls = urls.map(baseOf);
    this.#credential = credentialOf(options);
    this.#headers = options.headers;
    this.#connections = new Connections({ ca: options.ca, cert: options.cert, key: options.key });
  }

  close(): void {
    this.#isClosed = true;
    this.#connections.close();
  }

  /** Sends a call until it is answered. A final refusal is not repeated. */
  async send(call: Call, patience: Patience, cancel?: Cancel): Promise<Answer> {
    const count = this.#urls.length;
    let turn = this.#turn;
    let pauseMs = FIRST_PAUSE_MS;
    let earlier: Unreachable | undefined;
    for (let attempts = 1; ; attempts++) {
      let left = leftMs(patience.endsMs);
      // A node that is silent leaves time for the others.
      if (!patience.waits) left /= Math.max(1, count - attempts + 1);
      let error: Unreachable;
      try {
        const limit = { ms: Math.min(patience.attemptMs, left), isBackground: patience.isBackground ?? false };
        const answer = await this.#attempt(call, turn % count, limit, cancel);
        this.#turn = turn;
        return { ...answer, attempts };
      } catch (failure) {
        if (!(failure instanceof Unreachable)) throw failure;
        error = withEarlier(failure, earlier);
      }
      if (!(error instanceof CutShort)) earlier = error;
      turn++;
      if (patience.waits && error instanceof CutShort) {
        this.#turn = turn;
        throw error;
      }
      if (attempts < count && leftMs(patience.endsMs) > 0) continue;
      let restMs = 0;
      if (attempts % count === 0) {
        // Spread, so that many clients of a service that comes back do not all knock at the same moment.
        restMs = Math.max(pauseMs * (0.5 + Math.random() / 2), error.retryAfterMs);
        restMs = Math.min(restMs, patience.pauseMs ?? Infinity);
        pauseMs = Math.min(pauseMs * 2, patience.pauseMs ?? PAUSE_MS);
      }
      const next = nowMs() + restMs;
      if (!error.mayPass || next >= Math.min(patience.untilMs, patience.endsMs)) throw error;
      await sleepUntil(next, cancel?.signal, patience.isBackground);
    }
  }

  async #attempt(call: Call, turn: number, limit: Limit, cancel?: Cancel): Promise<Omit<Answer, "attempts">> {
    if (this.#isClosed) throw new LatchdError("the client is closed");
    cancel?.signal.throwIfAborted();
    const asked = this.#asked(call, turn);
    const url = asked.url.origin + asked.url.pathname;
    if (limit.ms <= 0) throw new CutShort(`no time was left to ask ${url}`);
    const sentMs = nowMs();
    const reply = await this.#reply(url, asked, limit, cancel);
    const body = jsonOf(reply.text);
    const isSuccess = reply.status >= 200 && reply.status < 300;
    if (!isSuccess || body === null) throw refusalOf(url, { ...reply, body }, this.#unauthorized());
    const wrong = call.check?.(body) ?? null;
    if (wrong !== null) {
      reply.drop();
      throw new Unreachable(`${url} gave an answer to something else: ${wrong}`);
    }
    return { sentMs, headers: reply.headers, body };
  }

  async #reply(url: string, asked: Asked, limit: Limit, cancel?: Cancel): Promise<Reply> {
    try {
      return await this.#connections.exchange(asked, limit, cancel);
    } catch (error) {
      if (error instanceof TimedOut) throw new CutShort(`${url} gave no answer in time`, 0, true, { cause: error });
      if (!(error instanceof Failed)) throw error;
      const advice = error.isUntrusted ? "; give the PEM of its authority, or of the very certificate, as ca" : "";
      const said = `${url} cannot be reached: ${error.message}${advice}`;
      throw new Unreachable(said, 0, !error.isUntrusted, { cause: error });
    }
  }

  #asked(call: Call, turn: number): Asked {
    const url = new URL(this.#urls[turn] as URL);
    url.pathname = url.pathname.replace(/\/+$/, "") + call.path;
    url.search = new URLSearchParams(call.query).toString();
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const headers = withoutOurs(this.#headers?.() ?? {});
    headers["Accept"] = "application/json";
    if (this.#credential !== undefined) headers["Authorization"] = this.#credential;
    if (call.session !== undefined) headers["Cookie"] = `${COOKIE}=${call.session}`;
    if (call.key !== undefined) headers["Idempotency-Key"] = call.key;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    headers["Content-Length"] = String(Buffer.byteLength(body ?? ""));
    return { url, method: call.method, headers, body };
  }

  /** What the service says to a wrong credential, or to none, where it has words for it: sessions v1 has none. */
  #unauthorized(): string {
    if (this.#credential === undefined) return "a password or an API key is needed";
    return "this password or API key is not known";
  }
}

/** Headers of the client itself, in small letters, which nobody else sets. */
const OURS = ["accept", "authorization", "connection", "content-length", "content-type", "cookie", "host", "idempotency-key", "transfer-encoding"];

function withoutOurs(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OURS.includes(name.toLowerCase())));
}

function baseOf(text: string): URL {
  const isUrl = URL.canParse(text);
  const url = isUrl ? new URL(text) : undefined;
  if (url?.username || url?.password) throw new TypeError("give a credential as apiKey or password, not in a URL");
  if (url === undefined || !["http:", "https:"].includes(url.protocol) || url.search || url.hash) {
    throw new TypeError("a URL of the service must begin with http:// or https://, and have no query and fragment");
  }
  return url;
}

function credentialOf({ apiKey, password }: ClientOptions): string | undefined {
  if (apiKey !== undefined && password !== undefined) throw new TypeError("give apiKey or password, not both");
  if (password !== undefined) return `Basic ${Buffer.from(`latchd:${password}`).toString("base64")}`;
  if (apiKey === undefined) return undefined;
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new TypeError("apiKey has a character that no API key has");
  return `Bearer ${apiKey}`;
}

function jsonOf(text: string): Json | null {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null && !Array.isArray(body) ? (body as Json) : null;
  } catch {
    return null;
  }
}

/** An attempt for which no time was left hides why there was none before. */
function withEarlier(error: Unreachable, earlier: Unreachable | undefined): Unreachable {
  if (earlier === undefined || !(error instanceof CutShort)) return error;
  return new CutShort(`${error.message}; before that: ${earlier.message}`, 0, true, { cause: error });
}
