import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { panelsOf } from "@dma-buf/config/report";
import type { Comparison, Explanation } from "@dma-buf/compare";
import { afterAll, describe, expect, it } from "vitest";
import { dmaBuf, widthOf } from "./testing.js";

// Below this package, where a module finds `@dma-buf/core`.
const dir = mkdtempSync(join(import.meta.dirname, "../modules-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** A contract made from one of ours: what of it is its own does not matter here. */
function moduleOf(name: string, from: string, rest = ""): string {
  const path = join(dir, name);
  writeFileSync(
    path,
    `import { defineContract, ${from} } from "@dma-buf/core";\nexport const contract = defineContract(${from}, { id: "my-rfc", title: "Made from ${from}.", ${rest} });\n`,
  );
  return path;
}

const v1 = moduleOf("v1.mjs", "pfn");
const v2 = moduleOf("v2.mjs", "pfnLocked");
// One scenario, so that a test waits for no other.
mkdirSync(join(dir, "one"));
cpSync(join(import.meta.dirname, "../../compare/scenarios/S34c.yaml"), join(dir, "one/S34c.yaml"));
const ONE = ["--scenarios", join(dir, "one")];
const report = join(dir, "x.txt");

describe("a contract of yours", () => {
  it("alone stands beside what is shown without it", async () => {
    const { out } = await dmaBuf("compare", "--contract", v1, ...ONE, "--json");
    const { contracts, results } = JSON.parse(out) as Comparison;
    expect(contracts).toEqual(["dma-address", "pfn", "my-rfc"]);
    expect(results.map((r) => [r.conforming.verdict, r.expected === null])).toEqual([
      ["OK", false],
      ["STALE", false],
      ["STALE", true],
    ]);
  });

  it("is named by its path in --differ, explain, --versus and contract", async () => {
    const { out } = await dmaBuf("compare", "--differ", `pfn-locked,${v1}`, ...ONE, "--json");
    expect((JSON.parse(out) as Comparison).contracts).toEqual(["pfn-locked", "my-rfc"]);
    expect((await dmaBuf("explain", "S34c", "--contract", v1, ...ONE)).out).toMatch(
      /contract: my-rfc.*\nverdict: +STALE/,
    );
    expect((await dmaBuf("explain", "S34c", "--contract", "linux-7.3", "--versus", v1, ...ONE)).out).toMatch(
      /my-rfc\n[^]*ends: +STALE/,
    );
    expect((await dmaBuf("contract", "dma-address", v1)).out).toContain("Only my-rfc");
  });

  it("against a base, as a mail: the same each time", async () => {
    const argv = ["compare", "--base", "linux-7.3", "--contract", v1, "--changed-only", "--report", report, ...ONE];
    expect((await dmaBuf(...argv)).code).toBe(0);
    const text = readFileSync(report, "utf8");
    await dmaBuf(...argv);
    expect(readFileSync(report, "utf8")).toBe(text);
    expect(text).toMatch(/^[\n -~]*$/);
    expect(widthOf(text)).toBeLessThanOrEqual(72);
    for (const words of [
      "my-rfc against linux-7.3",
      "Made from pfn. Two axes differ",
      "S34c  OK -> STALE",
      "The worst, S34c",
      "--changed-only",
    ])
      expect(text).toContain(words);
  });

  it("against the revision before, though both have one id", async () => {
    const { out } = await dmaBuf(
      "compare",
      "--since",
      v1,
      "--base",
      "linux-7.3",
      "--contract",
      v2,
      "--report",
      report,
      ...ONE,
    );
    expect(out).toMatch(
      /my-rfc, this revision against the one before[^]*moves 1 cells and this one 0; 1[^]*S34c {2}STALE -> OK/,
    );
    const { out: json } = await dmaBuf("compare", "--since", v1, "--contract", v2, "--changed-only", "--json", ...ONE);
    const { contracts, results } = JSON.parse(json) as Comparison;
    expect([contracts, results.map((r) => r.contract)]).toEqual([
      ["my-rfc (before)", "my-rfc"],
      ["my-rfc (before)", "my-rfc"],
    ]);
  });
});

describe("a page", () => {
  const page = join(dir, "x.html");
  const cellsOf = (): string[] =>
    [...readFileSync(page, "utf8").matchAll(/href="#([\w-]+\/[^"]+)"/g)].map(([, cell]) =>
      decodeURIComponent(cell as string),
    );

  it("of a proposal has its column and that of its base, and the command that shows a cell", async () => {
    expect((await dmaBuf("compare", "--base", "linux-7.3", "--contract", v1, "--report", page, ...ONE)).code).toBe(0);
    expect(cellsOf()).toEqual(["S34c/linux-7.3", "S34c/my-rfc"]);
    expect(panelsOf(readFileSync(page, "utf8"), "S34c")).toContain(
      `dma-buf explain S34c --contract ${v1} --scenarios ${join(dir, "one")}`,
    );
  });

  it("has the cells that are shown", async () => {
    const argv = ["--contract", "pfn,pfn-locked", "--scenario", "S34c,S01a", "--verdict", "STALE", "--report", page];
    expect((await dmaBuf("compare", ...argv)).code).toBe(0);
    expect(cellsOf()).toEqual(["S34c/pfn", "S34c/pfn-locked"]);
  });

  it("plays a cell once: its table and its traces are of one run", async () => {
    const path = join(dir, "counting.mjs");
    const open = "open: (...given) => (count.opened++, pfn.open(...given))";
    writeFileSync(
      path,
      `import { defineContract, pfn } from "@dma-buf/core";\nexport const count = { opened: 0 };\nexport const contract = defineContract(pfn, { id: "counting", title: "Counts.", ${open} });\n`,
    );
    const { count } = (await import(/* @vite-ignore */ path)) as { count: { opened: number } };
    const openedBy = async (...options: string[]): Promise<number> => {
      const before = count.opened;
      expect((await dmaBuf("compare", "--contract", path, "--json", ...options, ...ONE)).code).toBe(0);
      return count.opened - before;
    };
    const once = await openedBy();
    // Its worst order is run once more, to be traced.
    expect([once > 8, (await openedBy("--report", page)) - once]).toEqual([true, 1]);
  });

  it("and `explain` are played by a package of yours", async () => {
    const own = ["--importer", join(import.meta.dirname, "../../../examples/own-package/my-importer.mjs")];
    await dmaBuf("compare", "--contract", "pfn", "--scenario", "S34b", "--report", page, ...own);
    const [mine = ""] = /data-pkg="[^"]*"/.exec(readFileSync(page, "utf8")) ?? [];
    expect(mine).not.toContain("@dma-buf/importer-rdma");
    const { out } = await dmaBuf("explain", "S34b", "--contract", "pfn", "--json", ...own);
    expect((JSON.parse(out) as Explanation).result.packages).not.toContain("@dma-buf/importer-rdma");
  });
});

describe("a module with a mistake is bad use", () => {
  it.each<[string, string, RegExp]>([
    ["not there", join(dir, "none.mjs"), /none\.mjs: there is no such file/],
    [
      "no contract",
      (writeFileSync(join(dir, "empty.mjs"), "export const x = 1;\n"), join(dir, "empty.mjs")),
      /export default must be a contract made by defineContract/,
    ],
    ["two columns of one id", `${v1},${v2}`, /two columns are called my-rfc/],
    [
      "a rule that is none",
      moduleOf("policy.mjs", "pfn", 'policy: { device: "sometimes" }'),
      /policy\.device must be one of always, .*is "sometimes"/,
    ],
  ])("%s", async (_name, word, message) => {
    const { code, out, err } = await dmaBuf("compare", "--contract", word, ...ONE);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(message);
  });
});
