/** Elections: who leads, and a hold whose owner does. */

import * as asked from "./asked.js";
import { leftMs } from "./clock.js";
import { HoldGone, Refused } from "./errors.js";
import { Hold } from "./hold.js";
import type { Service } from "./service.js";
import type { Answer, Call } from "./transport.js";
import type { Granted } from "./wire.js";

const NOBODY = "no-elected-leader";

/** Who leads. */
export class Leader {
  /** What the leader says about itself. */
  readonly value: string;
  /** Higher than that of every leader before. */
  readonly fencingToken: number;
  readonly #untilMs: number;

  constructor(value: string, fencingToken: number, untilMs: number) {
    this.value = value;
    this.fencingToken = fencingToken;
    this.#untilMs = untilMs;
  }

  /** For how many milliseconds from now on nobody else is elected. */
  get reliableForMs(): number {
    return leftMs(this.#untilMs);
  }
}

/** Who leads; `null` if nobody does. */
export async function lookUp(service: Service, name: string): Promise<Leader | null> {
  let answer: Answer;
  try {
    const call: Call = { method: "GET", path: "/v1/elections", check: asked.leader, query: { name } };
    answer = await service.transport.send(call, service.usual());
  } catch (error) {
    if (error instanceof Refused && error.status === 404 && error.code === NOBODY) return null;
    throw error;
  }
  const { body, sentMs } = answer;
  const untilMs = sentMs + Number(body["reliable_for_seconds"]) * 1000;
  return new Leader(String(body["value"]), Number(body["fencing_token"]), untilMs);
}

/**
 * The lead in an election, until this process resigns or it is lost. It is a {@link Hold}: `lost`, `check`, `signal` and
 * `remainingMs` are those of locks, and `release` resigns, as the end of an `await using` block does.
 */
export class Leadership extends Hold {
  #value: string;

  constructor(service: Service, granted: Granted, onLost: ((hold: Hold) => void) | undefined, value: string) {
    super(service, granted, onLost);
    this.#value = value;
  }

  /** What it says about itself. */
  get value(): string {
    return this.#value;
  }

  /**
   * Says something else from now on; the token stays.
   *
   * @throws {@link LockLost} if the lead is lost.
   */
  async setValue(value: string): Promise<void> {
    await this.change(async ({ granted, service }) => {
      const [name] = granted.names;
      const body = { key: granted.key, value };
      const call = { method: "PUT", path: "/v1/elections", body, query: { name } } as const;
      const check = asked.elected(name);
      try {
        await service.transport.send({ ...call, session: granted.session.id, check }, service.usual());
      } catch (error) {
        const isGone = error instanceof Refused && ["no-such-lock", "wrong-key"].includes(error.code ?? "");
        throw isGone ? new HoldGone(error.message, error.status) : error;
      }
      this.check();
      this.#value = value;
    });
  }
}
