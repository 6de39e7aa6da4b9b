/** The real server as a child process, and a proxy before it that does what a test likes with each answer. */

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";

const running = new Set<ChildProcess>();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** The server to test against. */
export function binary(): string {
  const found = process.env["LATCHD_BINARY"];
  if (!found) throw new Error("set LATCHD_BINARY to the built latchd");
  return found;
}

/** Without the settings of whoever runs the tests. */
export function environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const outside = Object.entries(process.env).filter(([name]) => !name.startsWith("LATCHD_"));
  return { ...Object.fromEntries(outside), ...more };
}

interface Start {
  readonly arguments?: readonly string[];
  readonly listen?: string;
  readonly environment?: NodeJS.ProcessEnv;
}

/** A server on a free port; it keeps nothing unless it gets a data directory. */
export class Server implements AsyncDisposable {
  readonly url: string;
  readonly home: string;
  readonly #child: ChildProcess;

  private constructor(url: string, home: string, child: ChildProcess) {
    this.url = url;
    this.home = home;
    this.#child = child;
  }

  static async start(start: Start = {}): Promise<Server> {
    const home = mkdtempSync(join(tmpdir(), "latchd-ts-"));
    const more = start.arguments ?? [];
    const storage = more.includes("--data-dir") ? [] : ["--in-memory"];
    const listen = start.listen ?? "http://127.0.0.1:0";
    const child = spawn(binary(), ["serve", "--listen", listen, ...storage, ...more], {
      cwd: home,
      env: environment(start.environment),
      stdio: ["ignore", "pipe", "ignore"],
    });
    running.add(child);
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      if (line.includes("listening on")) {
        child.stdout?.resume();
        return new Server(line.split(" ").at(-1) ?? "", home, child);
      }
    }
    throw new Error("the server did not start");
  }

  async kill(): Promise<void> {
    if (!running.delete(this.#child)) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  /** Until each of its threads stands still; a running one would still answer. */
  async pause(): Promise<void> {
    this.#child.kill("SIGSTOP");
    const tasks = `/proc/${this.#child.pid}/task`;
    const stands = (task: string) => / T \d+ /.test(readFileSync(`${tasks}/${task}/stat`, "utf8"));
    while (!readdirSync(tasks).every(stands)) await turn();
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** What a client hears: bytes as they go over the wire, and pauses in milliseconds. */
export type Piece = Buffer | number;
/** What a proxy makes of an answer; `null`: the answer as it is. */
export type Change = (
  path: string,
  status: number,
  content: Buffer,
  /** Settles when the client has closed its sending half. */
  ended: Promise<unknown>,
) => Iterable<Piece> | AsyncIterable<Piece> | null;

/** Stands before a server. It notes the requests, and does what it likes with each answer. */
export class Between implements AsyncDisposable {
  readonly url: string;
  readonly requests: { readonly path: string; readonly headers: http.IncomingHttpHeaders }[] = [];
  readonly #proxy: http.Server;
  readonly #closing = new AbortController();

  private constructor(proxy: http.Server) {
    this.#proxy = proxy;
    this.url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  }

  static async start(server: Server, change: Change): Promise<Between> {
    const proxy = http.createServer();
    // A client that gives a wait up closes its half, and reads on.
    Object.assign(proxy, { httpAllowHalfOpen: true });
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const between = new Between(proxy);
    proxy.on("request", (asked: http.IncomingMessage) => between.#passOn(server.url, asked, change));
    return between;
  }

  #passOn(target: string, asked: http.IncomingMessage, change: Change): void {
    const path = (asked.url ?? "").split("?")[0] ?? "";
    this.requests.push({ path, headers: asked.headers });
    const { method, headers } = asked;
    const onward = http.request(target + asked.url, { method, headers, agent: false });
    asked.socket.on("error", () => undefined);
    asked.socket.on("close", () => onward.destroy());
    onward.on("error", () => asked.socket.destroy());
    onward.on("response", (heard) => void this.#answer(asked, path, heard, change));
    asked.pipe(onward);
  }

  async #answer(asked: http.IncomingMessage, path: string, heard: http.IncomingMessage, change: Change): Promise<void> {
    const content = Buffer.concat((await heard.toArray()) as Buffer[]);
    const status = heard.statusCode ?? 0;
    const ended = new Promise((resolve) => asked.socket.once("end", resolve));
    const usual = [wire(status, content, heard.headers["content-type"] ?? "text/plain")];
    for await (const piece of change(path, status, content, ended) ?? usual) {
      if (typeof piece === "number") await rest(piece, this.#closing.signal);
      else asked.socket.write(piece);
      if (this.#closing.signal.aborted) return;
    }
    asked.socket.end();
  }

  /** The idempotency keys of the requests for that path. */
  keys(path: string): unknown[] {
    return this.requests.filter((each) => each.path === path).map((each) => each.headers["idempotency-key"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#proxy.close();
    this.#proxy.closeAllConnections();
    await once(this.#proxy, "close");
  }
}

function rest(ms: number, until: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      until.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    until.addEventListener("abort", done);
  });
}

/** An answer as it goes over the wire. */
export function wire(status: number, content: Buffer | string, kind = "application/json"): Buffer {
  const body = Buffer.from(content);
  const head = `Content-Type: ${kind}\r\nContent-Length: ${body.length}\r\nConnection: close`;
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} So\r\n${head}\r\n\r\n`), body]);
}

/** A refusal of latchd as it goes over the wire. */
export function problem(status: number, code: string, detail: string, retryAfterSeconds?: number): Buffer {
  const more = retryAfterSeconds === undefined ? "" : `\r\nRetry-After: ${retryAfterSeconds}`;
  const said = { type: `/docs/errors#${code}`, status, detail, code };
  return wire(status, JSON.stringify(said), `application/problem+json${more}`);
}

/** Loses the first answer to each of these paths, after so long: the request is done, the client does not hear of it. */
export function losing(paths: readonly string[], afterMs = 0): Change {
  const left = new Set(paths);
  return (path) => (left.delete(path) ? [afterMs] : null);
}
