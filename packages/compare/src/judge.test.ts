/** What the judge holds an access, and the end of a run, against: each of it alone. */
import { type Framework, pfn } from "@dma-buf/core";
import type { Machine } from "@dma-buf/machine";
import { describe, expect, it } from "vitest";
import { Judge } from "./judge.js";
import type { Content } from "./world/content.js";

const BAR = { base: 0x4000, sizeBytes: 0x1000 };
const nothingOut = { buffers: 0, references: 0, attachments: 0, mappings: 0, pins: 0 };
const done = (bytes: Uint8Array) => ({ kind: "done", bytes }) as const;

/** A run of which only is there what a judge asks for. */
function judged() {
  const fw = { ledger: { ...nothingOut }, findings: [], contract: pfn, scheduler: { steps: 5 } };
  const machine = {
    ledger: { dmaMappings: 0, tables: 7 },
    arrivals: [] as { physical: number; step: number; at?: string }[],
    private: { secretTo: () => null },
    functions: { isRemoved: () => false },
    topology: { get: (address: string) => address },
    cpuCache: null as object | null,
  };
  const where = { exporter: "0000:01:00.0", devices: [] };
  const judge = new Judge(fw as unknown as Framework, machine as unknown as Machine, where);
  judge.begin();
  const memory = new Uint8Array(BAR.sizeBytes);
  const content: Content = {
    sizeBytes: BAR.sizeBytes,
    read: (offset, sizeBytes) => memory.slice(offset, offset + sizeBytes),
    ranges: () => [BAR],
  };
  const read = (bytes: Uint8Array, more: { offset?: number; of?: Content } = {}): string => {
    const { offset = 0, of = content } = more;
    const met = { content: of, offset, bytes: of.read(offset, bytes.length), isTaken: false, via: "here" };
    judge.access("nic", "read", done(bytes), met);
    return judge.verdict.verdict;
  };
  const arrives = (physical: number, step: number): string => {
    machine.arrivals.push({ physical, step });
    return read(content.read(0, 4));
  };
  const write = (bytes: readonly number[], offset = 0): void => {
    judge.willWrite(content, offset, new Uint8Array(bytes));
    memory.set(bytes, offset);
  };
  return { fw, machine, judge, content, read, arrives, write };
}

describe("what is still out at the end is leaked", () => {
  it.each(Object.keys(nothingOut) as (keyof typeof nothingOut)[])("one of the %s", (what) => {
    const { fw, judge } = judged();
    fw.ledger[what] = 1;
    judge.countLeftovers();
    expect([judge.verdict.verdict, judge.rule.text]).toEqual(["RESLEAK", `never given back: 1 ${what}`]);
  });

  it.each([
    ["dmaMappings", 1],
    ["tables", 1],
    ["tables", -1],
  ] as const)("%s of the machine: %i", (what, more) => {
    const { machine, judge } = judged();
    machine.ledger[what] += more;
    judge.countLeftovers();
    expect([judge.verdict.verdict, judge.rule.text]).toEqual(["RESLEAK", `never given back: ${more} ${what}`]);
  });

  it("but not what the actors came with", () => {
    const { judge } = judged();
    judge.countLeftovers();
    expect(judge.verdict).toEqual({ verdict: "OK" });
  });
});

describe("memory that was given up in step 5", () => {
  it.each([
    ["is reached before", BAR.base, 4, "OK"],
    ["is reached in that step", BAR.base, 5, "OK"],
    ["is reached after it", BAR.base, 6, "STALE"],
    ["has a last byte", BAR.base + BAR.sizeBytes - 1, 6, "STALE"],
    ["has an end", BAR.base + BAR.sizeBytes, 6, "OK"],
  ])("%s", (_what, physical, step, verdict) => {
    const { judge, arrives } = judged();
    judge.gaveUp([BAR], "the BAR");
    expect(arrives(physical, step)).toBe(verdict);
  });

  it("may be reached when it was given back, and other memory may not", () => {
    const other = { base: 0x9000, sizeBytes: 0x1000 };
    const { judge, arrives } = judged();
    judge.gaveUp([BAR], "the BAR");
    judge.gaveUp([other], "the other");
    judge.gaveBack([BAR]);
    expect([arrives(BAR.base, 6), arrives(other.base, 6)]).toEqual(["OK", "STALE"]);
  });
});

describe("who reads what was there before the last write", () => {
  const first = [1, 1];
  const second = [2, 2];

  it("reads a copy, though it was written once", () => {
    const { read, write } = judged();
    write(first);
    write(second);
    expect(read(new Uint8Array(first))).toBe("STALE");
  });

  it("and gets something else altogether, reads elsewhere", () => {
    const { read, write } = judged();
    write(second);
    expect(read(new Uint8Array([3, 3]))).toBe("CORRUPT");
  });

  it.each<[string, number[], { offset?: number }]>([
    ["at another offset", [0, 0], { offset: 8 }],
    ["more of it", [2, 2, 0], {}],
  ])("%s, reads what is there", (_what, seen, more) => {
    const { read, write } = judged();
    write(second);
    expect(read(new Uint8Array(seen), more)).toBe("OK");
  });

  it("of another buffer, reads what is there", () => {
    const { content, read, write } = judged();
    const other: Content = { ...content, read: (_offset, sizeBytes) => new Uint8Array(sizeBytes) };
    write(second);
    expect(read(new Uint8Array(2), { of: other })).toBe("OK");
  });
});

describe("bytes that are not those of the buffer", () => {
  const wrong = new Uint8Array([9]);

  it("are a fault where the device was pulled out, and no others are", () => {
    const { machine, read } = judged();
    machine.functions.isRemoved = () => true;
    expect([read(new Uint8Array(1)), read(wrong)]).toEqual(["OK", "FAULT"]);
  });

  it("came past a cache, where there is one", () => {
    const { machine, judge, read } = judged();
    machine.cpuCache = {};
    expect([read(wrong), judge.rule.id]).toEqual(["CORRUPT", "I9"]);
  });

  it("are said to have come from where the access arrived", () => {
    const { machine, judge, read } = judged();
    machine.arrivals.push({ physical: 0x8000, step: 1 });
    expect([read(wrong), judge.rule.text]).toEqual(["CORRUPT", expect.stringMatching(/they came from 0x8000$/)]);
  });

  it("are lost at the port that lost them, with its reason", () => {
    const { machine, judge, content } = judged();
    machine.arrivals.push({ physical: 0x8000, step: 1, at: "0000:00:01.0" });
    const met = { content, offset: 0, bytes: wrong, isTaken: false, via: "here" };
    judge.access("nic", "wrote", { kind: "lost", reason: "no way" }, met);
    expect(judge.rule).toEqual({ kind: "port", id: "0000:00:01.0", text: expect.stringMatching(/no way$/) as string });
  });
});

it("the last thing that went well stands with OK, and the worst with what did not", () => {
  const { judge } = judged();
  const rule = (text: string) => ({ kind: "bytes", id: "I1", text }) as const;
  judge.good(rule("first"));
  judge.good(rule("last"));
  expect(judge.rule.text).toBe("last");
  judge.mark("FAULT", rule("a fault"));
  judge.mark("STALE", rule("stale"));
  expect([judge.rule.text, judge.verdict]).toEqual(["stale", { verdict: "STALE", also: ["FAULT"] }]);
});
