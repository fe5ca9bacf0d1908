/** The exporter as it was posted from 2022 to 2025, and what was wrong in it. */
import { BugSignal, dmaAddress, linux73, pfn } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { vfioExporter } from "./dma-address.js";
import * as linux73Variant from "./linux-7.3.js";
import * as pfnVariant from "./pfn.js";
import { fakeHost, kit, PAGE, TestImporter } from "./testing.js";

const GIB = 2 ** 30;
const range = (offset: number, length: number) => ({ offset, length });
const ONE = [range(0, PAGE)];
const EMPTY = [range(0, 0)];

/** A BAR of 16 GiB. */
function attached(ranges: ReturnType<typeof range>[], options = { asPosted: true }) {
  const { provider, region, ...host } = fakeHost();
  const bar = { physical: region(0)?.physical as never, sizeBytes: 16 * GIB };
  const k = kit(vfioExporter, { contract: dmaAddress, options, host: { ...host, provider, region: () => bar } });
  const buf = k.run(k.exporter.export({ regionIndex: 0, ranges }));
  const importer = new TestImporter(k.fw);
  const at = k.run(importer.attach(buf, k.peer.device));
  return { ...k, buf, importer, at, told: () => k.fw.findings.map((f) => [f.level, f.requirement, f.party]) };
}

describe("a table with room by the length of the whole", () => {
  const CRASH = [
    ["violation", "dma-address/defect-one-entry-table", "exporter"],
    ["bug", "vfio/populate_sgt", "exporter"],
  ];

  it.each([
    ["three ranges", [range(0, PAGE), range(4 * PAGE, PAGE), range(2 * PAGE, PAGE)]],
    ["two of which each is cut, and the whole is cut less often", [range(0, 5 * GIB), range(8 * GIB, 6 * GIB)]],
  ])(
    "%s: the second entry is written through NULL, the task ends, nothing is mapped, the lock is free",
    (_name, ranges) => {
      const k = attached(ranges);
      const before = k.counts();
      expect(() => k.run(k.importer.map(k.at))).toThrow(BugSignal);
      expect(k.told()).toEqual(CRASH);
      expect([k.counts(), k.buf.resv.locked]).toEqual([before, false]);
    },
  );

  it.each([
    ["one range", [range(0, PAGE)]],
    ["one that is cut", [range(0, 8 * GIB)]],
    ["two, where the whole is cut as often", [range(0, PAGE), range(PAGE, 4 * GIB - PAGE)]],
    ["a range and an empty one, which has no entry", [range(0, PAGE), range(PAGE, 0)]],
  ])("is no trouble for %s", (_name, ranges) => {
    const k = attached(ranges);
    const table = k.run(k.importer.map(k.at));
    expect([...table.runs].reduce((sum, r) => sum + r.sizeBytes, 0)).toBe(k.buf.sizeBytes);
    expect(k.told()).toEqual([]);
  });

  it("has room for all in the conforming one", () => {
    const k = attached([range(0, PAGE), range(4 * PAGE, PAGE)], { asPosted: false });
    expect([k.answer(k.importer.map(k.at)), k.told()]).toEqual(["ok", []]);
  });
});

describe("an empty range", () => {
  it("as posted is exported, and refused at map: EINVAL, with nothing left", () => {
    const k = attached(EMPTY);
    expect(k.buf.sizeBytes).toBe(0);
    const before = k.counts();
    expect(k.answer(k.importer.map(k.at))).toBe("EINVAL@map");
    expect(k.counts()).toEqual(before);
  });

  it("as posted, its offset must be page aligned all the same, and inside the BAR", () => {
    const k = kit(vfioExporter, { contract: dmaAddress, options: { asPosted: true } });
    for (const offset of [100, 17 * PAGE])
      expect(k.answer(k.exporter.export({ regionIndex: 0, ranges: [range(offset, 0)] }))).toBe("EINVAL@export");
  });

  it("in the RFC has no page frame: EINVAL at query", () => {
    const k = kit(pfnVariant.vfioExporter, { contract: pfn, options: { asPosted: true } });
    const buf = k.run(k.exporter.export({ regionIndex: 0, ranges: EMPTY }));
    const at = k.run(new TestImporter(k.fw).attach(buf, null));
    expect(k.answer(k.fw.getPfnUnlocked(at, 0))).toBe("EINVAL@query");
  });

  it.each([
    ["dma-address", vfioExporter, dmaAddress, false],
    ["pfn", pfnVariant.vfioExporter, pfn, false],
    ["Linux 7.3.4", linux73Variant.vfioExporter, linux73, true],
  ])("%s refuses at export: EINVAL, with nothing left", (_name, factory, contract, asPosted) => {
    const k = kit(factory, { contract, options: { asPosted } });
    const before = k.counts();
    expect(k.answer(k.exporter.export({ regionIndex: 0, ranges: EMPTY }))).toBe("EINVAL@export");
    expect(k.counts()).toEqual(before);
  });
});

describe("after a function level reset", () => {
  it("the posted one stays revoked: who faults cannot map again, and it is booked", () => {
    const k = attached(ONE);
    k.run(k.importer.map(k.at));
    k.run(k.exporter.functionLevelReset());
    expect([k.importer.calls, k.answer(k.importer.map(k.at))]).toEqual([1, "ENODEV@map"]);
    expect(k.told()).toEqual([["violation", "dma-address/defect-reset-stays-revoked", "exporter"]]);
    k.run(k.exporter.reset());
    expect(k.answer(k.importer.map(k.at))).toBe("ok");
  });

  it("the conforming one is mapped again", () => {
    const k = attached(ONE, { asPosted: false });
    k.run(k.importer.map(k.at));
    k.run(k.exporter.functionLevelReset());
    expect([k.answer(k.importer.map(k.at)), k.told()]).toEqual(["ok", []]);
  });
});
