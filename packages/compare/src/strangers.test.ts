/** Packages of somebody else that break down: each is one cell's verdict with its name on it, and the rest goes on. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compareInParallel, type PoolOptions } from "./pool.js";
import type { CompareRequest } from "./request.js";

const dir = mkdtempSync(join(tmpdir(), "strangers-"));
afterAll(() => rmSync(dir, { recursive: true }));

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const scenarios = ["S01a", "S02a"];

/** An exporter in the place of vfio-pci whose module has this body. */
function exporter(name: string, create: string, contracts = ["dma-address"]): string {
  const file = join(dir, `${name}.mjs`);
  const door = { schemaVersion: 1, kind: "exporter", name, plays: "vfio-pci", contracts, capabilities: [] };
  writeFileSync(file, `export const dmaBufPlugin = { ...${JSON.stringify(door)}, create: () => () => (${create}) };\n`);
  return file;
}

async function verdicts(request: CompareRequest, options: PoolOptions = {}) {
  const { results } = await compareInParallel({ scenarios, ...request }, undefined, options);
  return results.map((r) => `${r.scenario} ${r.conforming.verdict} ${r.blame} ${r.rule.text}`);
}

const broken = "threw, or answered what made us throw:";

describe("an exporter of somebody else", () => {
  it.each([
    ["throws", "{ *export() { throw new RangeError('no'); } }", `CRASH exporter throws ${broken} RangeError: no`],
    ["throws-a-text", "{ *export() { throw 'no'; } }", `CRASH exporter throws-a-text ${broken} string no`],
    [
      "throws-nothing",
      "{ *export() { throw undefined; } }",
      `CRASH exporter throws-nothing ${broken} undefined undefined`,
    ],
    ["is-nothing", "undefined", `CRASH exporter is-nothing ${broken} TypeError: Cannot read properties of undefined`],
    ["promises", "{ async export() {} }", `CRASH exporter promises ${broken} TypeError`],
    [
      "yields-a-promise",
      "{ *export() { yield Promise.resolve(); } }",
      `CRASH exporter yields-a-promise ${broken} ForeignYieldError`,
    ],
    ["answers-nonsense", "{ *export() { return 42; } }", `CRASH exporter answers-nonsense ${broken} TypeError`],
    [
      "never-ends",
      "{ *export() { for (;;) yield { site: 'here', ready: null }; } }",
      "HANG exporter with never-ends: stopped after",
    ],
  ])("that %s", async (name, create, wanted) => {
    const found = await verdicts({ exporterModules: [exporter(name, create)] });
    expect(found).toEqual(scenarios.map((id) => expect.stringContaining(`${id} ${wanted}`)));
  });

  it("is left out under contracts that it does not declare, and where another part is played", async () => {
    const file = exporter("picky", "{}", ["vma", "none-of-ours"]);
    const { results } = await compareInParallel({ exporterModules: [file] });
    expect(new Set(results.map((r) => r.contract))).toEqual(new Set(["vma"]));
    expect(results.filter((r) => r.exporter === "gpu" || r.exporter === "udmabuf")).toEqual([]);
    expect(results.every((r) => r.packages.includes("picky"))).toBe(true);
  });
});

/** The worker as Node runs it. */
let worker: URL;
beforeAll(async () => {
  const require = createRequire(import.meta.url);
  const { build } = createRequire(require.resolve("tsup"))("esbuild") as { build(options: object): Promise<unknown> };
  const outfile = join(dir, "worker.mjs");
  const js = 'import { createRequire as $r } from "node:module"; const require = $r(import.meta.url);';
  const options = { bundle: true, platform: "node", format: "esm", target: "node20", outfile } as const;
  await build({ ...options, entryPoints: [here("worker.ts")], conditions: ["@dma-buf/source"], banner: { js } });
  worker = pathToFileURL(outfile);
  writeFileSync(join(dir, "package.json"), "{}");
}, 60_000);

describe("in threads", () => {
  const scenarioDirs = [here("../scenarios")];

  it("comes to the same as in this one, in the same order, and tells of each cell", async () => {
    const seen: number[] = [];
    const request = { scenarioDirs, scenarios: ["S01a", "S34b", "S02a"] };
    const parallel = await compareInParallel(request, (_, done) => seen.push(done), { worker, workers: 2 });
    expect(parallel).toEqual(await compareInParallel(request));
    expect(seen).toEqual(parallel.results.map((_, i) => i + 1));
  }, 60_000);

  it.each([
    ["loops", "{ *export() { for (;;); } }", "HANG exporter loops did not come back"],
    ["exits", "{ *export() { process.exit(1); } }", "CRASH exporter exits took the whole thread down"],
  ])(
    "a cell in which somebody %s is lost, and the others are not",
    async (name, create, wanted) => {
      const request = { scenarioDirs, exporterModules: [exporter(name, create)] };
      const found = await verdicts(request, { worker, workers: 1, patienceMs: 3000 });
      expect(found).toEqual(scenarios.map((id) => expect.stringContaining(`${id} ${wanted}`)));
    },
    60_000,
  );

  it("what somebody leaves behind and fails later takes nobody with it", async () => {
    const create =
      "{ *export() { Promise.reject(new Error('late')); setTimeout(() => { throw new Error('late') }); throw 'no'; } }";
    const request = { scenarioDirs, exporterModules: [exporter("late", create)] };
    const found = await verdicts(request, { worker, workers: 1 });
    expect(found).toEqual(
      scenarios.map((id) => expect.stringContaining(`${id} CRASH exporter late ${broken} string no`)),
    );
  }, 60_000);

  it("bad use is told as bad use", async () => {
    const request = { scenarioDirs, exporterModules: [join(dir, "none.mjs")] };
    await expect(compareInParallel(request, undefined, { worker, workers: 1 })).rejects.toThrow(
      /none\.mjs: there is no such file/,
    );
    await expect(
      compareInParallel({ scenarioDirs, scenarios: ["S99"] }, undefined, { worker, workers: 1 }),
    ).rejects.toThrow(/unknown scenario "S99"/);
  }, 60_000);
});
