/** What is published, what the README shows, and that the table of behaviours is covered. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Server, environment } from "./servers.js";

const run = promisify(execFile);
const home = fileURLToPath(new URL("..", import.meta.url));

test("every row of the table of behaviours has a test, and every test a row", () => {
  const table = readFileSync(join(home, "../README.md"), "utf8").split("## What each of them does")[1] ?? "";
  const rows = [...table.matchAll(/^\| `([a-z-]+)` \|/gm)].map((row) => row[1]);
  const sources = readdirSync(join(home, "tests")).filter((file) => file.endsWith(".test.ts"));
  const text = sources.map((file) => readFileSync(join(home, "tests", file), "utf8")).join("\n");
  const tested = new Set([...text.matchAll(/behaviour\("([a-z-]+)"/g)].map((found) => found[1]));
  assert.ok(rows.length > 30);
  assert.deepEqual([...tested].sort(), [...rows].sort());
});

test("package contains what a program needs, and nothing else", async () => {
  const { stdout } = await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: home,
    env: { ...environment(), npm_config_offline: "true", npm_config_update_notifier: "false" },
  });
  const [packed] = JSON.parse(stdout) as { name: string; files: { path: string }[] }[];
  const sources = readdirSync(join(home, "src")).map((file) => file.replace(/[.]ts$/, ""));
  const expected = sources.flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.js`]);
  expected.push("LICENSE", "README.md", "package.json");
  assert.equal(packed?.name, "@latchd/client");
  assert.deepEqual(packed?.files.map((file) => file.path).sort(), expected.sort());
});

test("package has no dependency, and only types and ESM", () => {
  const found = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as Record<string, unknown>;
  assert.equal(found["dependencies"], undefined);
  assert.equal(found["type"], "module");
  assert.deepEqual(Object.keys(found["devDependencies"] as object).sort(), ["@types/node", "typescript"]);
});

/** The examples as they stand in the README, beside a server as a first start makes it. */
test("examples of the README run as written", async () => {
  await using server = await Server.start({ listen: "https://127.0.0.1:0" });
  const readme = readFileSync(join(home, "README.md"), "utf8");
  const expected: Record<string, RegExp> = {
    report: /collect under fencing token \d+\nwrite .*\nsend /,
    modes: /both under .*\nanother one still reads: .*\nalone under token \d+\ntaken over under token \d+/,
    elections: /10.0.0.7:8080 leads under token \d+\nnobody else for [\d.]+ ms\nnow null/,
  };
  for (const [name, shows] of Object.entries(expected)) {
    const source = readFileSync(join(home, `tests/examples/${name}.ts`), "utf8");
    assert.ok(readme.includes(`\`\`\`ts clients/typescript/tests/examples/${name}.ts\n${source}\`\`\``), `${name} is shown`);
    const compiled = readFileSync(join(home, `build/examples/${name}.js`), "utf8");
    const script = compiled.replaceAll("https://127.0.0.1:8443", server.url);
    const module = ["--input-type=module", "--eval", script.replace("@latchd/client", `${home}dist/index.js`)];
    const { stdout } = await run(process.execPath, module, { cwd: server.home, env: environment() });
    assert.match(stdout, shows);
  }
});
