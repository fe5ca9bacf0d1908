import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Comparison, Versus } from "@dma-buf/compare";
import { afterAll, describe, expect, it } from "vitest";
import { dmaBuf, widthOf } from "./testing.js";

const dir = mkdtempSync(join(tmpdir(), "dma-buf-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));
const file = (name: string, content: string | Buffer): string => {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
};

const laptop = readFileSync(new URL("../../../machines/laptop-nvidia-optane.lspci.txt", import.meta.url), "utf8");

/** A few of ours, so that a test waits for no other. */
const SOME = ["S01a", "S02a", "S17a", "S34a", "S34c"];
const some = join(dir, "some");
mkdirSync(some);
for (const id of SOME) cpSync(new URL(`../../compare/scenarios/${id}.yaml`, import.meta.url), join(some, `${id}.yaml`));
const compareSome = (...more: string[]) => dmaBuf("compare", "--scenarios", some, ...more);
const jsonOf = async (...more: string[]) => JSON.parse((await compareSome("--json", ...more)).out) as Comparison;

describe("compare", () => {
  it("prints the matrix and ends with 0", async () => {
    const { code, out, err } = await compareSome();
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(
      /dma-address +pfn\n[^]*differ[^]*S02a[^]*agree[^]*S01a[^]*on purpose[^]*S34c[^]*10 cells in 0\.00 s/,
    );
    expect(widthOf(out)).toBeLessThanOrEqual(100);
  });

  it("--json: JSON alone, in its schema", async () => {
    const { schemaVersion, machine, contracts, results } = await jsonOf("--scenario", "S34a,S17a", "--contract", "pfn");
    expect([schemaVersion, machine, contracts, results.map((r) => r.scenario)]).toEqual([
      2,
      "laptop-nvidia-optane.lspci.txt",
      ["pfn"],
      ["S34a", "S17a"],
    ]);
    expect(results[0]).toMatchObject({
      contract: "pfn",
      topology: "host",
      conforming: { verdict: "OK" },
      schedules: { explored: expect.any(Number) as number },
    });
  });

  it.each<[string[], string[], number]>([
    [["--contract", "all", "--scenario", "S01a"], ["S01a"], 6],
    [["--contract", "vma", "--contract", "pfn", "--verdict", "refused"], ["S01a", "S02a"], 2],
    [["--differ", "pfn,pfn-locked"], ["S34c"], 2],
    [["--package", "importer-kvm"], ["S17a", "S34a"], 2],
    [["--no-faults", "--verdict", "STALE"], [], 0],
    [["--base", "pfn", "--contract", "pfn-locked", "--changed-only"], ["S34c"], 2],
  ])("%j shows %j", async (argv, scenarios, columns) => {
    const { results } = await jsonOf(...argv);
    expect([...new Set(results.map((r) => r.scenario))].toSorted()).toEqual(scenarios);
    expect(results).toHaveLength(scenarios.length * columns);
  });

  it("--base with a report to mail: what is printed is what is written", async () => {
    const path = join(dir, "rfc.txt");
    const { out, err } = await compareSome(
      "--base",
      "dma-address",
      "--contract",
      "pfn",
      "--changed-only",
      "--report",
      path,
    );
    const report = readFileSync(path, "utf8");
    expect([out.startsWith(report), err]).toEqual([true, `dma-buf: ${path} written\n`]);
    expect(widthOf(report)).toBeLessThanOrEqual(72);
    expect(report).toMatch(/^[\n -~]*$/);
    expect(report).toMatch(
      /pfn against dma-address[^]*\+ get_pfn[^]*S02a +OK -> REFUSED EOPNOTSUPP@attach[^]*Again with\n {2}dma-buf compare/,
    );
  });
});

describe("files", () => {
  it.each(["x.html", "x.md"])("--report %s names the version and the command", async (name) => {
    const path = join(dir, name);
    const { code, err } = await compareSome("--scenario", "S01a,S02a", "--report", path);
    expect([code, err]).toEqual([0, `dma-buf: ${path} written\n`]);
    const text = readFileSync(path, "utf8");
    for (const words of ["1.2.3", "dma-buf compare --scenarios", "S02a"]) expect(text).toContain(words);
  });

  it("--trace writes what Perfetto opens", async () => {
    const path = join(dir, "x.json");
    const { code, err } = await dmaBuf("explain", "S34c", "--contract", "pfn", "--scenarios", some, "--trace", path);
    expect([code, err]).toEqual([0, `dma-buf: ${path} written. Open it in https://ui.perfetto.dev\n`]);
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ traceEvents: expect.any(Array) as unknown[] });
  });
});

it("scenarios, explain, contract and machine print text and JSON", async () => {
  const path = file("good.txt", laptop);
  for (const [version, ...argv] of [
    [1, "scenarios", "--scenarios", some],
    [2, "explain", "S34a", "--contract", "pfn", "--scenarios", some],
    [2, "explain", "S17a", "--contract", "pfn", "--posted", "--scenarios", some],
    [2, "explain", "S34c", "--contract", "dma-address", "--versus", "pfn", "--scenarios", some],
    [1, "contract", "pfn"],
    [1, "contract", "pfn", "vma"],
    [1, "machine", path],
  ] as [number, ...string[]][]) {
    expect(await dmaBuf(...argv)).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse((await dmaBuf(...argv, "--json")).out)).toMatchObject({ schemaVersion: version });
  }
  expect((await dmaBuf("machine", path)).out).toMatch(/0000:01:00\.0 NVIDIA[^]*BAR 1: 0x6050000000, 256 MiB/);
});

describe("explain", () => {
  it("prints verdict, blame, rule with its kind, basis and why, orders and the replay token", async () => {
    const { out } = await dmaBuf("explain", "S34c", "--contract", "pfn", "--scenarios", some);
    for (const words of [
      /^contract: pfn, the best plugins/m,
      /^verdict: +STALE, blame: /m,
      /^rule: [^]*\(I2\)[^]*\(contract: pfn\/move_notify; /m,
      /^expected: [^]*basis: derived; The lock is gone/m,
      /^fault: +on purpose, by the importer/m,
      /^orders: +\d+ orders/m,
      /^replay: +dbs1:/m,
      /^ +\d+ +handler +call +dma_buf_get_pfn_unlocked/m,
    ])
      expect(out).toMatch(words);
  });

  it("--posted: what the code that was posted does", async () => {
    const { out } = await dmaBuf("explain", "S17a", "--contract", "pfn", "--posted", "--scenarios", some);
    expect(out).toMatch(/as posted \(kvm-rfc[^]*REFUSED EINVAL@memslot[^]*rule: +KVM_SET_USER_MEMORY_REGION2/);
  });

  it("--versus: the last event of both, the next of each, and how each ends", async () => {
    const { out } = await dmaBuf(
      "explain",
      "S34c",
      "--contract",
      "dma-address",
      "--versus",
      "pfn",
      "--scenarios",
      some,
    );
    expect(out).toMatch(
      /events in common[^]*Both, last\n.*dma_buf_dynamic_attach[^]*\ndma-address\n[^]*ends: +OK\n[^]*\npfn\n.*get_pfn[^]*ends: +STALE\n/,
    );
  });

  it("--versus of two that do the same says so", async () => {
    const argv = ["explain", "S01a", "--contract", "pfn", "--versus", "pfn-locked", "--scenarios", some] as const;
    const { common, sides } = JSON.parse((await dmaBuf(...argv, "--json")).out) as Versus;
    const { out } = await dmaBuf(...argv);
    expect(out.includes("never part")).toBe(common === sides[0].trace.length);
  });
});

it.each([
  [["--help"], /compare/],
  [["compare", "--help"], /--machine/],
  [["--version"], /^1\.2\.3\n$/],
  [["machine", "--version"], /^1\.2\.3\n$/],
])("%j ends with 0", async (argv, text) => {
  const { code, out } = await dmaBuf(...argv);
  expect([code, text.test(out)]).toEqual([0, true]);
});

describe("bad use and bad input end with 2, one message, nothing on stdout", () => {
  const only = (which: RegExp): string =>
    laptop
      .split(/^(?=[0-9a-f]{2}:)/m)
      .filter((block) => which.test(block))
      .join("");
  const noSecond = only(/^00:0[02]\.0/);
  const integrated = only(/^00:(0[024]|14)\.0/);
  const namesAlone = laptop
    .split("\n")
    .filter((l) => !l.startsWith("\t"))
    .join("\n");
  const own = ["--scenarios", some];
  it.each<[string, string[], RegExp]>([
    ["no such file", ["compare", "--machine", "/nowhere.txt"], /nowhere\.txt: no such file\. .*lspci/],
    ["a directory without sysfs", ["machine", dir], /sys\/bus\/pci\/devices/],
    ["empty", ["machine", file("empty.txt", "")], /empty\.txt: the file is empty\. Save/],
    ["binary", ["machine", file("bin.txt", Buffer.from([127, 69, 76, 70, 0, 255]))], /not text/],
    ["names alone", ["compare", "--machine", file("short.txt", namesAlone)], /names alone/],
    [
      "no second device",
      ["compare", ...own, "--machine", file("alone.txt", noSecond)],
      /alone\.txt: 0000:00:02\.0 has no second device/,
    ],
    ["unknown scenario", ["compare", ...own, "--scenario", "S99"], /unknown scenario "S99": choose from .*S02a/],
    [
      "unknown contract",
      ["explain", "S17a", "--contract", "nope"],
      /unknown contract "nope"\. There are .*pfn-locked.*\.\/nope\.mjs/,
    ],
    [
      "unknown contract of a comparison",
      ["compare", ...own, "--contract", "nope"],
      /unknown contract "nope"\. There are dma-address.*\.\/nope\.mjs/,
    ],
    [
      "a contract that is not built yet",
      ["compare", ...own, "--contract", "pfn,mapping-type"],
      /"mapping-type" is known and not built yet: .* There are dma-address, /,
    ],
    ["the same to explain", ["explain", "S01a", "--contract", "importer-domain"], /known and not built yet/],
    ["a slip in a base", ["compare", "--base", "linux7.3", "--contract", "pfn"], /did you mean linux-7\.3\?/],
    ["unknown verdict", ["compare", "--verdict", "STALLED"], /there is no STALLED\. Choose from OK, /],
    ["unknown blame", ["compare", "--blame", "me"], /there is no me\. Choose from contract, exporter/],
    ["unknown basis", ["compare", "--basis", "gossip"], /there is no gossip\. Choose from lab, code, .*platform/],
    ["unknown package", ["compare", ...own, "--package", "kvm"], /no package kvm plays .*@dma-buf\/importer-kvm/],
    [
      "differ from what is not shown",
      ["compare", ...own, "--contract", "pfn", "--differ", "pfn,vma"],
      /--differ vma: is not among .* Choose from pfn/,
    ],
    ["differ of one", ["compare", "--differ", "pfn"], /A,B/],
    ["no number of orders", ["compare", "--orders", "many"], /default, all, or a number/],
    ["no number of details", ["compare", "--details", "-1"], /all, none, or a number/],
    ["changed against nothing", ["compare", "--changed-only"], /changed against what\? Add --base/],
    ["two proposals", ["compare", "--base", "pfn", "--contract", "vma,pfn-locked"], /one --contract/],
    ["no proposal", ["compare", "--base", "pfn"], /one --contract/],
    ["itself", ["compare", "--base", "pfn", "--contract", "pfn"], /pfn against itself/],
    ["a mail without a base", ["compare", "--report", join(dir, "x.txt")], /Add --base CONTRACT, or name an \*\.html/],
    ["a report of no kind", ["compare", "--report", "x.pdf"], /\*\.pdf.*\.html/],
    ["a report nowhere", ["compare", "--report", "/none/x.md"], /\/none is no directory/],
    ["empty id", ["compare", "--scenario", "S17a,,S18a"], /an entry is empty/],
    ["unknown option", ["compare", "--fast"], /--fast/],
    ["unknown command", ["explode"], /explode/],
    ["too many words", ["compare", "S17a"], /too many arguments/],
    ["contract is missing", ["explain", "S17a"], /--contract[^]*\(dma-buf explain --help lists its options\)/],
    ["nobody posted it", ["explain", "S01a", "--contract", "pfn", "--posted", ...own], /Leave out --posted/],
    [
      "posted against another",
      ["explain", "S01a", "--contract", "pfn", "--versus", "vma", "--posted"],
      /leave out --posted/,
    ],
    ["a trace that is no JSON", ["explain", "S01a", "--contract", "pfn", "--trace", "x.txt"], /\*\.json/],
    [
      "a trace of two",
      ["explain", "S01a", "--contract", "pfn", "--versus", "vma", "--trace", "x.json"],
      /leave out --versus/,
    ],
    [
      "no scenario in a directory",
      ["compare", "--scenarios", join(dir)],
      /has no scenario: a scenario is a file \*\.yaml/,
    ],
    [
      "no such contract",
      ["contract", "pfm"],
      /unknown contract "pfm": did you mean pfn\? There are dma-address, vma, pfn, pfn-locked/,
    ],
  ])("%s", async (_name, argv, message) => {
    const { code, out, err } = await dmaBuf(...argv);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/\n\s+at /);
  });

  it("a scenario with a mistake: file, line, and field", async () => {
    const bad = join(dir, "bad");
    mkdirSync(bad, { recursive: true });
    const text = readFileSync(join(some, "S01a.yaml"), "utf8").replace("base: T1", "base: T9");
    writeFileSync(join(bad, "mine.yaml"), text);
    const { code, err } = await dmaBuf("compare", "--scenarios", bad);
    expect(code).toBe(2);
    expect(err).toMatch(/bad\/mine\.yaml:\d+:\d+: topology\.base: must be one of T1, T2/);
    writeFileSync(join(bad, "mine.yaml"), text.replace("T9", "T1").replace("\n  pfn-locked:", "\n  pfn-lokced:"));
    const { err: slip } = await dmaBuf("compare", "--scenarios", bad);
    expect(slip).toMatch(/bad\/mine\.yaml:\d+:3: cells\.pfn-lokced: .*did you mean pfn-locked\?/);
  });

  it("an id of any length stands apart from its title", async () => {
    const long = join(dir, "long");
    mkdirSync(long, { recursive: true });
    const text = readFileSync(join(some, "S01a.yaml"), "utf8").replace("id: S01a", "id: a-long-id");
    writeFileSync(join(long, "mine.yaml"), text);
    expect((await dmaBuf("scenarios", "--scenarios", long)).out).toMatch(/^a-long-id {2}Same switch/);
  });

  it("a host whose devices cannot be peers still runs: those scenarios use the catalogue's topology", async () => {
    const { results } = await jsonOf("--machine", file("one.txt", integrated));
    expect(results.find((r) => r.scenario === "S17a")?.topology).toBe("host");
    expect(results.find((r) => r.scenario === "S01a")?.binding).toContain("needs");
  });
});

describe("contract", () => {
  it("prints one, two, and JSON", async () => {
    expect((await dmaBuf("contract", "pfn")).out).toContain("dma_buf_get_pfn_unlocked");
    expect((await dmaBuf("contract", "pfn", "dma-address")).out).toContain("Only pfn");
    expect(JSON.parse((await dmaBuf("contract", "vma", "--json")).out)).toMatchObject({
      schemaVersion: 1,
      id: "vma",
      base: "6.13",
    });
  });
});
