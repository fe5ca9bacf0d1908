import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Comparison, Result } from "@dma-buf/compare";
import { afterAll, describe, expect, it } from "vitest";
import { renderComparison } from "./table.js";
import { dmaBuf } from "./testing.js";
import { wrap } from "./text.js";

const dir = mkdtempSync(join(tmpdir(), "dma-buf-cli-"));
afterAll(() => rmSync(dir, { recursive: true }));
const file = (name: string, content: string | Buffer): string => {
  writeFileSync(join(dir, name), content);
  return join(dir, name);
};

const laptop = readFileSync(new URL("../../../machines/laptop-nvidia-optane.lspci.txt", import.meta.url), "utf8");

describe("compare", () => {
  it("prints the table and ends with 0", () => {
    const { code, out, err } = dmaBuf("compare");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(
      /Where the contracts differ \(9\)[^]*S02a[^]*Where they agree \(1\)[^]*S01a[^]*20 cells in 0\.00 s/,
    );
    expect(Math.max(...out.split("\n").map((l) => l.length))).toBeLessThanOrEqual(100);
  });

  it("--json: JSON alone, in its schema", () => {
    const { out } = dmaBuf("compare", "--json", "--scenario", "S34a,S17a", "--contract", "pfn");
    const { schemaVersion, machine, results } = JSON.parse(out) as Comparison;
    expect([schemaVersion, machine, results.map((r) => r.scenario)]).toEqual([
      1,
      "laptop-nvidia-optane.lspci.txt",
      ["S34a", "S17a"],
    ]);
    expect(results[0]).toMatchObject({
      contract: "pfn",
      topology: "host",
      conforming: { verdict: "OK" },
      schedules: { exhausted: true },
    });
  });
});

it("scenarios, explain and machine print text and JSON", () => {
  const path = file("good.txt", laptop);
  for (const argv of [
    ["scenarios"],
    ["explain", "S34a", "--contract", "pfn"],
    ["explain", "S17a", "--contract", "pfn", "--posted"],
    ["machine", path],
  ]) {
    expect(dmaBuf(...argv)).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(dmaBuf(...argv, "--json").out)).toMatchObject({ schemaVersion: 1 });
  }
  expect(dmaBuf("machine", path).out).toMatch(/0000:01:00\.0 NVIDIA[^]*BAR 1: 0x6050000000, 256 MiB/);
});

it.each([
  [["--help"], /compare/],
  [["compare", "--help"], /--machine/],
  [["--version"], /^1\.2\.3\n$/],
  [["machine", "--version"], /^1\.2\.3\n$/],
])("%j ends with 0", (argv, text) => {
  const { code, out } = dmaBuf(...argv);
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
  it.each<[string, string[], RegExp]>([
    ["no such file", ["compare", "--machine", "/nowhere.txt"], /nowhere\.txt: no such file\. .*lspci/],
    ["a directory without sysfs", ["machine", dir], /sys\/bus\/pci\/devices/],
    ["empty", ["machine", file("empty.txt", "")], /empty\.txt: the file is empty\. Save/],
    ["binary", ["machine", file("bin.txt", Buffer.from([127, 69, 76, 70, 0, 255]))], /not text/],
    [
      "names alone",
      [
        "compare",
        "--machine",
        file(
          "short.txt",
          laptop
            .split("\n")
            .filter((l) => !l.startsWith("\t"))
            .join("\n"),
        ),
      ],
      /names alone/,
    ],
    [
      "no second device",
      ["compare", "--machine", file("alone.txt", noSecond)],
      /alone\.txt: 0000:00:02\.0 has no second device/,
    ],
    ["unknown scenario", ["compare", "--scenario", "S99"], /unknown scenario "S99": choose from S02a/],
    ["unknown contract", ["explain", "S17a", "--contract", "nope"], /unknown contract "nope"/],
    ["empty id", ["compare", "--scenario", "S17a,,S18a"], /an id is empty/],
    ["unknown option", ["compare", "--fast"], /--fast/],
    ["unknown command", ["explode"], /explode/],
    ["too many words", ["compare", "S17a"], /too many arguments/],
    ["contract is missing", ["explain", "S17a"], /--contract/],
    ["nobody posted it", ["explain", "S01a", "--contract", "pfn", "--posted"], /Leave out --posted/],
  ])("%s", (_name, argv, message) => {
    const { code, out, err } = dmaBuf(...argv);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/\n\s+at /);
  });

  it("a host whose devices cannot be peers still runs: those scenarios use the catalogue's topology", () => {
    const { code, out } = dmaBuf("compare", "--json", "--machine", file("one.txt", integrated));
    const { results } = JSON.parse(out) as Comparison;
    expect(code).toBe(0);
    expect(results.find((r) => r.scenario === "S17a")?.topology).toBe("host");
    expect(results.find((r) => r.scenario === "S01a")?.binding).toContain("needs");
  });
});

describe("contract", () => {
  it("prints one, two, JSON, and refuses what there is none of", () => {
    expect(dmaBuf("contract", "pfn").out).toContain("dma_buf_get_pfn_unlocked");
    expect(dmaBuf("contract", "pfn", "dma-address").out).toContain("Only pfn");
    expect(JSON.parse(dmaBuf("contract", "vma", "--json").out)).toMatchObject({
      schemaVersion: 1,
      id: "vma",
      base: "6.13",
    });
    expect(dmaBuf("contract", "pfm")).toMatchObject({
      code: 2,
      out: "",
      err: "dma-buf: pfm: no such contract. There are dma-address, vma, pfn, pfn-locked, annotated-address, linux-7.3\n",
    });
  });
});

describe("the table", () => {
  const base: Result = {
    scenario: "S1",
    title: "T",
    exporter: "x",
    importer: "y",
    importerClass: "zap",
    contract: "a",
    topology: "host",
    binding: "BAR 0",
    asPosted: { verdict: "NA" },
    conforming: { verdict: "OK" },
    blame: "none",
    basis: "code",
    rule: "because",
    expected: { asPosted: { verdict: "NA" }, conforming: { verdict: "OK" }, blame: "none", basis: "code" },
    asExpected: true,
  };
  const io = (columns: number, colour = false) => ({ out() {}, err() {}, columns, colour, debug: false, now: () => 0 });
  const six = ["a", "b", "c", "d", "e", "f"].map((contract) => ({ ...base, contract }));

  it.each([80, 100, 200])("six contracts fit into %d columns", (columns) => {
    const text = renderComparison({ schemaVersion: 1, machine: "m", results: six }, io(columns));
    expect(Math.max(...text.split("\n").map((l) => l.length))).toBeLessThanOrEqual(columns);
  });

  it("shows what is not as expected, what is unknown and how many orders were tried", () => {
    const odd: Result = {
      ...base,
      asExpected: false,
      conforming: { verdict: "STALE" },
      schedules: { explored: 7, exhausted: false },
      unknown: { assumed: "it forwards", otherwise: { verdict: "CORRUPT" } },
    };
    const text = renderComparison({ schemaVersion: 1, machine: "m", results: [odd] }, io(100));
    for (const words of [
      "NOT AS EXPECTED: OK",
      "7 orders, not all tried",
      "if not (it forwards: unknown): CORRUPT",
      "1 of 1 cells are NOT",
    ])
      expect(text).toContain(words);
  });

  it("has colour only where it is wanted", () => {
    const of = { schemaVersion: 1 as const, machine: "m", results: six };
    expect([
      renderComparison(of, io(100)).includes("\u001b"),
      renderComparison(of, io(100, true)).includes("\u001b"),
    ]).toEqual([false, true]);
  });

  it("wraps without losing a word, and breaks one that is too long", () => {
    expect(wrap("aa bb cc", 5)).toEqual(["aa bb", "cc"]);
    expect(wrap("abcdefgh", 3)).toEqual(["abc", "def", "gh"]);
  });
});
