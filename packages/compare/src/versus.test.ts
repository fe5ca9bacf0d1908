import { dmaAddress, linux73, type TraceEvent, type TraceKind } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { readScenarios } from "./catalogue.js";
import { UsageError } from "./compare.js";
import { commonEvents } from "./parting.js";
import { versus } from "./versus.js";

const traceOf = (...texts: string[]): TraceEvent[] =>
  texts.map((text, step) => ({ step, task: "main", kind: "call" as TraceKind, text }));
const common = (a: string[], b: string[], second = dmaAddress) =>
  commonEvents({ contract: dmaAddress, trace: traceOf(...a) }, { contract: second, trace: traceOf(...b) });

describe("two traces are the same", () => {
  it.each<[string, string[], string[]]>([
    ["but for frames that are numbered otherwise", ["0x1000 to 0x2000", "0x1008"], ["0x7000 to 0x1000", "0x7008"]],
    ["but for keys and domains", ["key 256", "domain 1", "key 256"], ["key 9", "domain 4", "key 9"]],
    ["but for a key and a domain that only once have one number", ["key 1", "domain 1"], ["key 1", "domain 2"]],
    ["but for inodes", ["exp_name=vfio ino=1"], ["exp_name=vfio ino=2"]],
    ["but for the contract in a row's id", ["dma-address/pin"], ["dma-address/pin"]],
  ])("%s", (_name, a, b) => expect(common(a, b)).toBe(a.length));

  it("but for what another kernel calls it", () => {
    expect(
      common(
        ["dma_buf_move_notify(x)", "dma-address/pin"],
        ["dma_buf_invalidate_mappings(x)", "linux-7.3/pin"],
        linux73,
      ),
    ).toBe(2);
  });
});

describe("two traces part", () => {
  it.each<[string, string[], string[], number]>([
    ["at another call", ["a", "b"], ["a", "c"], 1],
    ["where one is over", ["a"], ["a", "b"], 1],
    ["at once", ["a"], ["b"], 0],
    ["at a number that is no address", ["0x8"], ["0x1008"], 0],
    ["at an offset in a frame", ["0x1000"], ["0x1008"], 0],
    ["at the attributes of an entry", ["0x8000000001007"], ["0x8000000001003"], 0],
    ["where one comes back to a frame and the other does not", ["0x1000", "0x1000"], ["0x1000", "0x2000"], 1],
    ["at another length", ["64 bytes"], ["4096 bytes"], 0],
  ])("%s", (_name, a, b, at) => {
    expect(common(a, b)).toBe(at);
    expect(common(b, a)).toBe(at);
  });
});

it.each<[string, Partial<TraceEvent>]>([
  ["by another task", { task: "handler" }],
  ["of another kind", { kind: "lock" }],
])("the same words %s are another event", (_name, change) => {
  const trace = traceOf("a", "b");
  const other = trace.map((event) => ({ ...event, ...change }));
  expect(commonEvents({ contract: dmaAddress, trace }, { contract: dmaAddress, trace: other })).toBe(0);
});

describe("S34c", () => {
  const catalogue = readScenarios().filter((s) => s.id === "S34c");
  const of = (contract: string, other: string) => versus({ catalogue, scenario: "S34c", contract, versus: other });

  it("dma-address against pfn: both in the order that is worst for pfn, and they part at the question", () => {
    const { sides, orderOf, common: at } = of("dma-address", "pfn");
    expect([orderOf, ...sides.map((s) => s.verdict.verdict)]).toEqual(["pfn", "OK", "STALE"]);
    const [first, second] = sides;
    expect(first.trace[at - 1]?.text).toBe(second.trace[at - 1]?.text);
    expect(second.trace[at]?.text).toContain("dma_buf_get_pfn_unlocked");
  });

  it("the other way round is the same", () => {
    const [there, back] = [of("dma-address", "pfn"), of("pfn", "dma-address")];
    expect([back.common, back.orderOf, back.replayToken]).toEqual([there.common, there.orderOf, there.replayToken]);
    expect(back.sides.map((s) => s.result.contract)).toEqual(["pfn", "dma-address"]);
  });

  it("of two that end alike it is the order of the first", () => {
    expect([of("dma-address", "pfn-locked").orderOf, of("pfn-locked", "dma-address").orderOf]).toEqual([
      "dma-address",
      "pfn-locked",
    ]);
  });

  it("with itself never parts", () => {
    const { common: at, sides } = of("pfn", "pfn");
    expect(at).toBe(sides[0].trace.length);
  });

  it("is refused under a contract that cannot have it", () => {
    const unbuildable = catalogue.map((s) => ({ ...s, unbuildable: { vma: "no such thing" } }));
    expect(() => versus({ catalogue: unbuildable, scenario: "S34c", contract: "vma", versus: "pfn" })).toThrow(
      UsageError,
    );
  });
});
