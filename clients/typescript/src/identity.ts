/** The default metadata of locks: which process holds them. */

import * as os from "node:os";

/** The defaults of the service's limits. */
const ENTRIES_MAX = 32;
const VALUE_BYTES_MAX = 256;

type Metadata = Readonly<Record<string, string>>;

/** The metadata of one lock: what the caller gave, then the defaults that fit. */
export function described(usual: Metadata | undefined, given: Metadata | undefined): Metadata {
  const metadata: Record<string, string> = { ...given };
  for (const [key, value] of Object.entries(usual ?? ofThisProcess())) {
    const fits = usual !== undefined || Object.keys(metadata).length < ENTRIES_MAX;
    if (fits && !(key in metadata)) metadata[key] = value;
  }
  return metadata;
}

function ofThisProcess(): Metadata {
  const found = { host: os.hostname(), pid: String(process.pid), user: user() };
  const told = Object.entries(found).filter(([, value]) => value !== "");
  return Object.fromEntries(told.map(([key, value]) => [key, short(value)]));
}

function user(): string {
  try {
    return os.userInfo().username;
  } catch {
    return process.getuid ? `uid ${process.getuid()}` : "";
  }
}

function short(text: string): string {
  const bytes = Buffer.from(text).subarray(0, VALUE_BYTES_MAX);
  return new TextDecoder().decode(bytes).replace(/\uFFFD+$/, "");
}
