/** Packages of somebody else that break down: each is one cell's verdict with its name on it, and the rest goes on. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { defineContract, dmaAddress } from "@dma-buf/core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { compareInParallel, type PoolOptions } from "./pool.js";
import { collectInParallel } from "./report/collect.js";
import type { CompareRequest } from "./request.js";

const dir = mkdtempSync(join(tmpdir(), "strangers-"));
afterAll(() => rmSync(dir, { recursive: true }));

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const scenarios = ["S01a", "S02a"];

/** An exporter in the place of vfio-pci whose module has this body. */
function exporter(name: string, create: string, contracts = ["dma-address"]): string {
  const file = join(dir, `${name}.mjs`);
  const door = { schemaVersion: 1, kind: "exporter", name, plays: "vfio-pci", contracts, capabilities: [] };
  writeFileSync(
    file,
    `export const dmaBufPlugin = { ...${JSON.stringify(door)}, create: () => (fw) => (${create}) };\n`,
  );
  return file;
}

async function verdicts(request: CompareRequest, options: PoolOptions = {}) {
  const { results } = await compareInParallel({ scenarios, ...request }, undefined, options);
  return results.map((r) => `${r.scenario} ${r.conforming.verdict} ${r.blame} ${r.rule.text}`);
}

const broken = "threw, or answered what made us throw:";
/** Threads load all packages: on a busy machine this takes its time. */
const LONG_MS = 600_000;

/** A contract whose `open` does this, and breaks down. */
function contract(id: string, opens: string): string {
  const file = join(dir, `${id}.mjs`);
  const made = JSON.stringify(defineContract(dmaAddress, { id, title: "t" }));
  writeFileSync(
    file,
    `import fs from "node:fs";\nexport const contract = { ...${made}, *open(fw, at) { ${opens} throw 'no'; } };\n`,
  );
  return file;
}

/** Text of a generator that refuses, with one field of the refusal replaced. */
const refusing = (field: string, value: string): string =>
  `{ *export() {
    const error = Object.assign(new Error('no'), { op: 'x', code: 'EINVAL', stage: 'export', ${field}: ${value} });
    throw Object.defineProperty(error, Symbol.for('@dma-buf/core.DmaBufError'), { value: true });
  } }`;

/** Of a buffer of theirs. */
const SIZE_BYTES = 2 ** 20;

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
    [
      "throws-no-text",
      "{ *export() { throw Object.create(null); } }",
      "CRASH exporter throws-no-text threw what has no",
    ],
    [
      "moves-the-cursor",
      "{ *export() { throw new Error('a\\n\\x1b[2Jb' + 'c'.repeat(999)); } }",
      `CRASH exporter moves-the-cursor ${broken} Error: a [2Jb${"c".repeat(287)} ...`,
    ],
    [
      "changes-what-it-is-lent",
      "{ *export() { fw.contract.policy.device = 'optional'; } }",
      `CRASH exporter changes-what-it-is-lent ${broken} TypeError: Cannot assign to read only property 'device'`,
    ],
    ["errno", refusing("code", "'EWHAT'"), `CRASH exporter errno ${broken} TypeError: EWHAT is no errno`],
    ["stage", refusing("stage", "'there'"), `CRASH exporter stage ${broken} TypeError: there is no stage`],
    ["message", refusing("op", "() => {}"), `CRASH exporter message ${broken} DataCloneError`],
  ])("that %s", async (name, create, wanted) => {
    const found = await verdicts({ exporterModules: [exporter(name, create)] });
    expect(found).toEqual(scenarios.map((id) => expect.stringContaining(`${id} ${wanted}`)));
  });

  /** One whose table is well formed, and says this of its runs. */
  const telling = (...runs: readonly string[]): string => `{ *export() {
    const run = { kind: "dma", offset: 0, sizeBytes: ${SIZE_BYTES}, address: ${2 ** 38}, attributes: null };
    const ops = { mapDmaBuf: () => ({ runs: [${runs.map((run) => `{ ...run, ${run} }`).join()}] }), unmapDmaBuf() {}, release() {} };
    return fw.export({ exporterName: 'told', sizeBytes: ${SIZE_BYTES}, priv: {}, ops });
  } }`;
  it.each([
    ["of a foreign kind", ["kind: 'cxl'"], "a run of kind cxl"],
    ["at no number", ["address: NaN"], "an address of NaN"],
    ["of no size", ["sizeBytes: NaN"], "the runs end at 0x0 and fall short of 0x100000"],
    ["with a hole", ["sizeBytes: 4096", "sizeBytes: 4096, offset: 8192"], "a run at offset 0x2000 leaves a hole"],
    ["twice", ["", ""], "a run at offset 0x0 overlaps the one before"],
    [
      "that are huge",
      ["sizeBytes: 2 ** 46"],
      "0x400000000000 bytes at offset 0x0 are not inside the buffer of 0x100000",
    ],
    ["beyond all sizes", ["sizeBytes: 2 ** 60"], "a run of 1152921504606847000 bytes"],
  ])("that tells of runs %s is refused, and to blame", async (name, runs, what) => {
    const found = await verdicts({ exporterModules: [exporter(name.replaceAll(" ", "-"), telling(...runs))] });
    expect(found).toEqual(
      scenarios.map((id) => expect.stringContaining(`${id} REFUSED exporter mapDmaBuf: EINVAL: told: ${what}`)),
    );
  });

  it.each([
    ["traces-a-number", "() => 42", ["42"]],
    ["traces-two-lines", "() => 'a\\n\\x1b[2Jb'", ["a [2Jb"]],
    ["traces-what-has-no-text", "() => Object.create(null)", []],
  ])("that %s: a line of text is shown, and nothing else", async (name, text, shown) => {
    const create = refusing("op", "'x'").replace("const", `fw.trace.emit("callback", ${text}); const`);
    const request = { scenarios: ["S02a"], exporterModules: [exporter(name, create)] };
    const { comparison, explanations } = await collectInParallel(request);
    expect(comparison.results.map((r) => r.conforming.verdict)).toEqual(["REFUSED"]);
    const events = explanations.flatMap((e) => e.trace);
    expect(events.filter((e) => e.kind === "callback").map((e) => e.text)).toEqual(shown);
  });

  it("is left out under contracts that it does not declare, and where another part is played", async () => {
    const file = exporter("picky", "{}", ["vma", "none-of-ours"]);
    const { results } = await compareInParallel({ exporterModules: [file] });
    expect(new Set(results.map((r) => r.contract))).toEqual(new Set(["vma"]));
    expect(results.filter((r) => r.exporter === "gpu" || r.exporter === "udmabuf")).toEqual([]);
    expect(results.every((r) => r.packages.includes("picky"))).toBe(true);
  });
});

it("a contract's module that changes the topology breaks down there", async () => {
  const contractModules = [contract("turns", "at.device.fn.memoryEnabled = false;")];
  expect(await verdicts({ contractModules, contracts: ["turns"] })).toEqual(
    scenarios.map(
      (id) =>
        `${id} CRASH contract turns ${broken} TypeError: Cannot assign to read only property 'memoryEnabled' of object '#<Object>'`,
    ),
  );
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
}, LONG_MS);

describe("in threads", () => {
  const scenarioDirs = [here("../scenarios")];

  it(
    "comes to the same as in this one, in the same order, and tells of each cell",
    async () => {
      const seen: number[] = [];
      const request = { scenarioDirs, scenarios: ["S01a", "S34b", "S02a"] };
      const parallel = await compareInParallel(request, (_, done) => seen.push(done), { worker, workers: 2 });
      expect(parallel).toEqual(await compareInParallel(request));
      expect(seen).toEqual(parallel.results.map((_, i) => i + 1));
    },
    LONG_MS,
  );

  it(
    "a cell in which somebody does not come back is lost, and the rest of its row is not",
    async () => {
      const create = `{ *export() {
      if (fw.contract.id === 'vma') process.exit(1);
      while (fw.contract.id === 'pfn');
      throw 'no';
    } }`;
      const exporterModules = [exporter("goes", create, ["dma-address", "vma", "pfn", "linux-7.3"])];
      const request = { scenarioDirs, scenarios: ["S01a"], exporterModules };
      expect(await verdicts(request, { worker, workers: 1, patienceMs: 3000 })).toEqual([
        `S01a CRASH exporter goes ${broken} string no`,
        "S01a CRASH exporter goes took the whole thread down with it",
        "S01a HANG exporter goes did not come back: it neither ends nor yields",
        `S01a CRASH exporter goes ${broken} string no`,
      ]);
    },
    LONG_MS,
  );

  it(
    "what somebody leaves behind, prints, posts or changes harms nobody else",
    async () => {
      const stdout = vi.spyOn(process.stdout, "write").mockReturnValue(true);
      const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
      const create = `{ *export() {
      console.log('printed');
      Promise.reject(new Error('late'));
      setTimeout(() => { throw new Error('late') });
      for (const report of [null, 42, { is: 'row-done' }]) threads.parentPort.postMessage(report);
      threads.parentPort.close();
      if (fw.contract.id === 'pfn') Array.prototype.every = () => true;
      throw Object.keys(threads.workerData).join();
    } }`;
      const file = exporter("late", create, ["dma-address", "pfn"]);
      writeFileSync(file, `import threads from "node:worker_threads";\n${readFileSync(file, "utf8")}`);
      const found = await verdicts({ scenarioDirs, exporterModules: [file] }, { worker, workers: 1 });
      const said = [stdout, stderr].map((stream) => stream.mock.calls.join("").includes("printed"));
      for (const stream of [stdout, stderr]) stream.mockRestore();
      const changed = "CRASH exporter late changed Array.prototype.every, which all code uses";
      const posted = `CRASH exporter late ${broken} string request`;
      expect(found).toEqual(scenarios.flatMap((id) => [`${id} ${posted}`, `${id} ${changed}`]));
      expect(said).toEqual([false, true]);
    },
    LONG_MS,
  );

  it(
    "a thread that a contract's module ends in a cell of ours is replaced",
    async () => {
      const marker = join(dir, "ended-once");
      const file = contract(
        "ends",
        `if (!fs.existsSync(${JSON.stringify(marker)})) setTimeout(() => process.exit(1));
       fs.writeFileSync(${JSON.stringify(marker)}, "");`,
      );
      const contracts = ["dma-address", "ends"];
      const request = { scenarioDirs, scenarios: ["S01a", "S02a", "S03a"], contracts, contractModules: [file] };
      const { results } = await compareInParallel(request, undefined, { worker, workers: 1 });
      expect(results.map((r) => `${r.scenario} ${r.contract} ${r.conforming.verdict}`)).toEqual(
        request.scenarios.flatMap((id) => [`${id} dma-address OK`, `${id} ends CRASH`]),
      );
      expect(existsSync(marker)).toBe(true);
    },
    LONG_MS,
  );

  it(
    "bad use is told as bad use",
    async () => {
      const request = { scenarioDirs, exporterModules: [join(dir, "none.mjs")] };
      await expect(compareInParallel(request, undefined, { worker, workers: 1 })).rejects.toThrow(
        /none\.mjs: there is no such file/,
      );
      await expect(
        compareInParallel({ scenarioDirs, scenarios: ["S99"] }, undefined, { worker, workers: 1 }),
      ).rejects.toThrow(/unknown scenario "S99"/);
    },
    LONG_MS,
  );
});
