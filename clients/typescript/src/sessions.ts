/**
 * Which session a request uses. The service looks for deadlocks among sessions, so each owner that holds or waits has one
 * of its own; one that does neither any more leaves it to the next.
 */

import { AsyncLocalStorage } from "node:async_hooks";

import type { Session } from "./wire.js";

/** How many sessions without an owner are kept; more are ended. */
const FREE_MAX = 16;

/** What counts as one client of the service: a scope of its own, or the program outside of all scopes. */
export class Owner {
  isOver = false;
  /** How many locks it is acquiring. */
  acquiring = 0;
}

interface Used {
  readonly session: Session;
  owner: Owner;
  /** Whether somebody was told its id, and may transfer a hold to it. */
  isShown: boolean;
}

/** The scopes that a piece of work is in, from the innermost. */
interface Scope {
  readonly owner: Owner;
  readonly of: Sessions;
  readonly outer: Scope | undefined;
}

const scopes = new AsyncLocalStorage<Scope>();

export class Sessions {
  #used: Used[] = [];
  readonly #program = new Owner();

  /** The owner of what runs now. A piece of work that outlives its scope belongs to the scope outside. */
  current(): Owner {
    return this.#scope()?.owner ?? this.#program;
  }

  isInScope(): boolean {
    return this.#scope() !== undefined;
  }

  #scope(): Scope | undefined {
    let scope = scopes.getStore();
    while (scope !== undefined && (scope.of !== this || scope.owner.isOver)) scope = scope.outer;
    return scope;
  }

  /** Runs work as an owner of its own. */
  async asOwner<T>(work: () => Promise<T>): Promise<T> {
    const owner = new Owner();
    try {
      return await scopes.run({ owner, of: this, outer: scopes.getStore() }, work);
    } finally {
      owner.isOver = true;
    }
  }

  /** That of this owner, or one without holds that no other owner uses. `held` are the sessions with holds. */
  mine(owner: Owner, held: ReadonlySet<Session>): Session | undefined {
    const used = this.#used.find((each) => each.owner === owner) ?? this.#used.find((each) => isFree(each, held));
    if (used !== undefined) used.owner = owner;
    return used?.session;
  }

  add(session: Session, owner: Owner): void {
    this.#used.push({ session, owner, isShown: false });
  }

  /** Its id is told to somebody. */
  show(session: Session): void {
    for (const used of this.#used) if (used.session === session) used.isShown = true;
  }

  find(id: string): Session | undefined {
    return this.#used.find((each) => each.session.id === id)?.session;
  }

  remove(session: Session): void {
    this.#used = this.#used.filter((each) => each.session !== session);
  }

  /** Takes those that are too many. */
  takeSpare(held: ReadonlySet<Session>): Session[] {
    const spare = this.#used.filter((each) => isFree(each, held) && !each.isShown).slice(FREE_MAX);
    this.#used = this.#used.filter((each) => !spare.includes(each));
    return spare.map((each) => each.session);
  }

  takeAll(): Session[] {
    return this.#used.splice(0).map((each) => each.session);
  }
}

function isFree(used: Used, held: ReadonlySet<Session>): boolean {
  return used.owner.isOver && used.owner.acquiring === 0 && !held.has(used.session);
}
