/** Acquires a lock through failovers and within the caller's time, with a lease that can be trusted. */

import { randomUUID } from "node:crypto";

import * as asked from "./asked.js";
import { leftMs, nowMs, sleepUntil } from "./clock.js";
import type { Cancel, Reply } from "./connections.js";
import { CutShort, HoldEnded, Refused, SessionEnded, WouldDeadlock, messageOf } from "./errors.js";
import { longestWaitMs } from "./refusals.js";
import type { Service } from "./service.js";
import type { Answer, Call, Patience } from "./transport.js";
import { shownNames } from "./wanted.js";
import type { Wanted } from "./wanted.js";
import { WAIT_TIMEOUT, deadlockOf, describeFreeze, errorOf, freezeOf, leaseEnd, longestMs, quoted } from "./wire.js";
import type { Freeze, Granted, Json, Session } from "./wire.js";

/** How long after the end of a wait its result may still arrive. */
const RESULT_GRACE_MS = 300;
/** The time limit of a call that tries once. */
const ONCE_MS = 2000;
/** The shortest time limit of a wait. */
const SHORTEST_MS = 1000;
/** The rest after an answer that came before the end of the wait that was asked for. */
const EARLY_PAUSE_MS = 250;
/** How many sessions may end while one lock is acquired; more are an error. */
const SESSIONS_MAX = 3;

/** The time limits of one acquire. */
export class Wait {
  /** When the lock is waited for no longer; the past where it is tried once. */
  readonly overMs: number;
  /** When nothing goes on any more, whatever the other end does. */
  readonly endsMs: number;
  /** When no attempt begins any more while no node answers; `null`: so long after the last answer. */
  readonly #untilMs: number | null;

  constructor(waitMs: number, patienceMs: number) {
    const now = nowMs();
    const isEndless = waitMs === Infinity;
    this.overMs = now + waitMs;
    this.endsMs = waitMs === 0 ? now + ONCE_MS : now + Math.max(waitMs + RESULT_GRACE_MS, SHORTEST_MS);
    this.#untilMs = isEndless ? null : now + (waitMs === 0 ? Math.min(patienceMs, ONCE_MS) : waitMs);
  }

  get isOver(): boolean {
    return leftMs(this.overMs) === 0;
  }

  get hasEnded(): boolean {
    return leftMs(this.endsMs) === 0;
  }

  /** What a request says about the wait. Absent means to try once; 0 has meant other things. */
  asked(service: Service): Json {
    const ms = Math.min(leftMs(this.overMs), service.longestWaitMs);
    return ms > 0 ? { wait_timeout_seconds: Math.max(1, Math.round(ms)) / 1000 } : {};
  }

  /** For a request that waits, or for one that does not. */
  patience(service: Service, waits = false): Patience {
    const usual = service.usual();
    const attemptMs = waits ? service.sliceMs : usual.attemptMs;
    return { untilMs: this.#untilMs ?? usual.untilMs, attemptMs, waits, endsMs: this.endsMs };
  }
}

/**
 * Learns the longest wait of the service from a refusal of a longer one; throws other refusals. It says so in the one way
 * or the other.
 */
export function learnLongestWait(service: Service, refused: Refused, body: Json): void {
  const longest = refused.status === 200 || refused.status === 400 ? longestWaitMs(refused.message) : null;
  const told = Number(body["wait_timeout_seconds"] ?? 0) * 1000;
  if (longest === null || !(longest > 0 && longest < told)) throw refused;
  service.longestWaitMs = longest;
}

/** What came of a request for a lock: the hold, the freeze that it ended under, or nothing. */
export type Outcome = Granted | Freeze | null;

export function isGranted(outcome: Outcome): outcome is Granted {
  return outcome !== null && "fencingToken" in outcome;
}

/** The hold; otherwise the wait ended without it. */
export async function acquire(
  service: Service,
  wanted: Wanted,
  wait: Wait,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  for (let sessions = 1; ; ) {
    signal?.throwIfAborted();
    const cancel = signal && { signal };
    const session = await service.open(wait.patience(service), cancel);
    // Time may be left: the service limits waits, and a lease may expire before its grant arrives.
    const asking = wait.asked(service);
    const body = { ...wanted.body, ...asking };
    const askedUntilMs = nowMs() + Number(asking["wait_timeout_seconds"] ?? 0) * 1000;
    try {
      const answer = await ask(service, wanted, body, session, wait, signal);
      const outcome = await trusted(service, wanted, answer, session, wait);
      if (isGranted(outcome) && signal?.aborted) {
        releaseUnwanted(service, outcome);
        signal.throwIfAborted();
      }
      if (isGranted(outcome) || wait.isOver) return outcome;
      // One that did not wait so long as it was asked to is not asked as fast as it answers.
      if (leftMs(askedUntilMs) > 0) await sleepUntil(Math.min(nowMs() + EARLY_PAUSE_MS, wait.overMs), signal);
    } catch (error) {
      if (error instanceof SessionEnded) {
        service.end(session, "its session has ended");
        if (sessions++ >= SESSIONS_MAX) throw error;
      } else if (error instanceof HoldEnded) {
        if (wait.isOver) throw error;
      } else if (error instanceof Refused) {
        if (error.code === "would-deadlock") throw new WouldDeadlock(wanted.names[0], [], { cause: error });
        learnLongestWait(service, error, body);
      } else {
        throw error;
      }
    }
  }
}

/** Sends requests under one idempotency key until one has an answer. */
async function ask(
  service: Service,
  wanted: Wanted,
  body: Json,
  session: Session,
  wait: Wait,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  const { path, query, names } = wanted;
  const check = path === "/v1/elections" ? asked.elected(names[0]) : asked.lock(names);
  const call: Call = { method: "POST", path, body, session: session.id, key: randomUUID(), check, query };
  const late = (reply: Reply) => releaseLate(service, wanted, reply, session);
  const cancel: Cancel | undefined = signal && { signal, late };
  const waits = "wait_timeout_seconds" in body;
  for (let isTold = false; ; ) {
    try {
      return await service.transport.send(call, wait.patience(service, waits), cancel);
    } catch (error) {
      if (!(error instanceof CutShort) || !waits || wait.hasEnded) throw error;
    }
    isTold ||= await tellOfFreeze(service, names);
  }
}

/** Warns of what a long wait waits for, if that is the end of a freeze; whether it is. */
async function tellOfFreeze(service: Service, names: Wanted["names"]): Promise<boolean> {
  for (const name of names) {
    const freeze = (await service.look(name))?.frozen ?? null;
    if (freeze === null) continue;
    service.warn(`waiting for ${quoted(name)}: ${describeFreeze(freeze)}`);
    return true;
  }
  return false;
}

/**
 * The hold, with most of its lease left. A wait may have been granted at any time since it began, so a lease that may be
 * older is renewed first.
 */
async function trusted(
  service: Service,
  wanted: Wanted,
  answer: Answer,
  session: Session,
  wait: Wait,
): Promise<Outcome> {
  const told = answer.body;
  const cycle = deadlockOf(told);
  if (cycle !== null) throw new WouldDeadlock(wanted.names[0], cycle);
  const error = errorOf(told);
  if (error !== null && error.code !== WAIT_TIMEOUT) {
    throw new Refused(`${shownNames(wanted.names)}: ${error.message}`, 200, error.code);
  }
  const granted = grantedOf(wanted, told, session, answer.sentMs);
  if (granted === null) return freezeOf(told);
  const longest = longestMs(granted);
  if (leftMs(granted.untilMs) >= (longest * 3) / 4) return granted;
  // It takes its time even where the wait is just over.
  const patience = wait.patience(service);
  const endsMs = Math.max(patience.endsMs, nowMs() + SHORTEST_MS);
  const renewed = await service.renew(granted, { ...patience, endsMs });
  const untilMs = leaseEnd(renewed.body, longest, renewed.sentMs);
  if (!renewed.body["locked"] || leftMs(untilMs) === 0) return null;
  return { ...granted, sentMs: renewed.sentMs, untilMs };
}

function grantedOf(wanted: Wanted, told: Json, session: Session, sentMs: number): Granted | null {
  if (!(told["locked"] ?? told["elected"])) return null;
  const { names, leaseMs } = wanted;
  const [key, fencingToken] = [String(told["key"]), Number(told["fencing_token"])];
  const granted = { names, key, fencingToken, leaseMs, sentMs, untilMs: sentMs, session };
  return { ...granted, untilMs: leaseEnd(told, longestMs(granted), sentMs) };
}

/** A cancel came when the grant was under way. */
function releaseLate(service: Service, wanted: Wanted, reply: Reply, session: Session): void {
  let told: Json;
  try {
    told = JSON.parse(reply.text) as Json;
  } catch {
    return;
  }
  const granted = grantedOf(wanted, told, session, nowMs());
  if (granted !== null) releaseUnwanted(service, granted);
}

function releaseUnwanted(service: Service, granted: Granted): void {
  service.unlock(granted, granted.untilMs).catch((error: unknown) => {
    // It has ended already, with its session perhaps.
    if (error instanceof Refused || service.isClosed) return;
    service.warn(`${shownNames(granted.names)} was granted to a cancelled wait and ends with its lease: ${messageOf(error)}`);
  });
}
