import { addr, type PhysAddr, type Run } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clipped, joined } from "./index.js";

const UNIT = 16;
const cached = (n: number) => ({ cache: n === 0 ? "uc" : "wb", snoop: n !== 0 }) as const;

/** Runs one behind the other, some of which go on where the last one ends. */
const answer = fc
  .array(fc.record({ units: fc.integer({ min: 1, max: 4 }), jump: fc.nat(1), how: fc.nat(1) }), { maxLength: 12 })
  .map((pieces) => {
    const runs: Run[] = [];
    let [offset, address] = [0, 0x1000];
    for (const { units, jump, how } of pieces) {
      address += jump * 0x1000;
      const run = { offset, sizeBytes: units * UNIT, address: addr<PhysAddr>(address), attributes: cached(how) };
      runs.push({ kind: "cpu-physical", ...run });
      offset += units * UNIT;
      address += units * UNIT;
    }
    return runs;
  });

/** What is said of each unit. */
const meaning = (runs: readonly Run[]): string[] =>
  runs.flatMap((run) =>
    Array.from({ length: run.sizeBytes / UNIT }, (_, i) => {
      const how = run.kind === "cpu-physical" ? JSON.stringify(run.attributes) : "";
      return `${run.offset + i * UNIT}: ${run.address + i * UNIT} ${how}`;
    }),
  );

describe("runs", () => {
  it("joined, say the same of each byte, in as few as can be", () => {
    fc.assert(
      fc.property(answer, (runs) => {
        const whole = joined(runs);
        expect(meaning(whole)).toEqual(meaning(runs));
        expect(joined(whole)).toEqual(whole);
        const seams = runs.slice(1).filter((run, i) => {
          const last = runs[i] as typeof run;
          return (
            JSON.stringify([run.address - run.offset, (run as { attributes?: unknown }).attributes]) !==
            JSON.stringify([last.address - last.offset, (last as { attributes?: unknown }).attributes])
          ); // prettier-ignore
        });
        expect(whole.length).toBe(runs.length === 0 ? 0 : seams.length + 1);
      }),
    );
  });

  it("clipped, say the same of what was asked for, and nothing of the rest", () => {
    fc.assert(
      fc.property(answer, fc.nat(20), fc.nat(20), (runs, from, units) => {
        const wanted = meaning(runs).filter((said) => {
          const unit = Number.parseInt(said, 10) / UNIT;
          return unit >= from && unit < from + units;
        });
        const cut = clipped(runs, from * UNIT, units * UNIT);
        expect(meaning(cut)).toEqual(wanted);
        expect(cut.every((run) => run.sizeBytes > 0)).toBe(true);
      }),
    );
  });

  it("of two bridges stay two, and so do addresses that were mapped for a device and do not go on", () => {
    const attributes = cached(0);
    const half = (offset: number, bridge: object) =>
      ({ kind: "pci-bus", offset, sizeBytes: UNIT, address: addr(0x1000 + offset), bridge, attributes }) as Run;
    const [one, other] = [{}, {}];
    expect(joined([half(0, one), half(UNIT, one)])).toHaveLength(1);
    expect(joined([half(0, one), half(UNIT, other)])).toHaveLength(2);
    const dma = (offset: number, address: number) =>
      ({ kind: "dma", offset, sizeBytes: UNIT, address: addr(address) }) as Run;
    expect(joined([dma(0, 0x1000), dma(UNIT, 0x1010)])).toHaveLength(1);
    expect(joined([dma(0, 0x1000), dma(UNIT, 0x1020)])).toHaveLength(2);
  });
});
