/** What an answer says that is no success. */

import { HoldEnded, HoldGone, LatchdError, Refused, SessionEnded, Unreachable } from "./errors.js";
import { printable } from "./wire.js";
import type { Headers, Json } from "./wire.js";

/** Statuses that say "not now". */
const PASSING = [429, 502, 503, 504];
const PROBLEM = "application/problem+json";
/** In the words of sessions v1, which has this shape of errors from gRPC. */
const NOT_FOUND = 5;
/** How much of a page that is no answer is shown. */
const SHOWN_MAX = 300;

/** An answer as it came, with its body where that is a JSON object. */
export interface Told {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: Json | null;
}

/** The error for an answer that is no success. `unauthorized` is what to say to a 401 without words. */
export function refusalOf(url: string, told: Told, unauthorized: string): LatchdError {
  const { status, body } = told;
  const said = status === 401 && told.text.trim() === "" ? unauthorized : sentence(body, told.text);
  const message = `${url} answered ${status}: ${said}`;
  if ((status === 400 || status === 404) && isOfOlderService(said)) {
    return new Refused(`${message}; the service is older than what is asked of it`, status);
  }
  const code = codeOf(body);
  if (PASSING.includes(status)) {
    return new Unreachable(message, retryAfterMs(told.headers), true, code === undefined ? {} : { code });
  }
  if (body === null) return new Refused(message, status);
  // A refused credential is a 401 too, and a proxy may have one of its own: this is what latchd says of sessions.
  if (status === 401 && String(body["error"]).startsWith("session ")) return new SessionEnded(message, status);
  // Of latchd's own, and no page of a proxy for a wrong path.
  const isProblem = String(told.headers["content-type"]).startsWith(PROBLEM);
  if (isProblem && String(body["type"]).startsWith("/docs/errors#")) {
    return problem(message, status, String(body["code"]));
  }
  if (status === 404 && body["code"] === NOT_FOUND && "message" in body) return new HoldGone(message, status);
  if (status === 410 && Number.isInteger(body["code"]) && "message" in body) return new HoldEnded(message, status);
  return new Refused(message, status, code);
}

/** The service's name for it: in a problem document, and beside the number of sessions v1. */
function codeOf(body: Json | null): string | undefined {
  return [body?.["reason"], body?.["code"]].find((each) => typeof each === "string");
}

function problem(message: string, status: number, code: string): Refused {
  if (status === 401 && code === "session-unknown") return new SessionEnded(message, status, code);
  if (status === 410 && code === "request-ended") return new HoldEnded(message, status, code);
  return new Refused(message, status, code);
}

function retryAfterMs(headers: Headers): number {
  const told = String(headers["retry-after"] ?? "");
  return /^\d{1,9}$/.test(told) ? Number(told) * 1000 : 0;
}

/** The sentence in an error body, in whichever shape it came; else its beginning. */
export function sentence(body: Json | null, text: string): string {
  for (const field of ["detail", "message", "error"]) {
    const said = body?.[field];
    if (typeof said === "string") return printable(said);
  }
  return printable(text.trim().slice(0, SHOWN_MAX)) || "no reason given";
}

/** Whether these are the words of a service that is older than what was asked of it. */
function isOfOlderService(said: string): boolean {
  return (
    /the field "(names|mode|weight|lock_delay_seconds)" is not known/.test(said) ||
    /there is nothing at \S*\/v1\/(upgrade|downgrade|transfer|elections)/.test(said)
  );
}

/** The longest wait that the service takes, where it refused a longer one. */
export function longestWaitMs(refusal: string): number | null {
  const found = /wait_timeout_seconds must be a number of seconds from 0 to ([0-9]+(?:[.][0-9]+)?)/.exec(refusal);
  return found ? Number(found[1]) * 1000 : null;
}
