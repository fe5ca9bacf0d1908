/** The cells about the way from a NIC to a BAR, by their ids: where its bytes are afterwards. */
import { describe, expect, it } from "vitest";
import { BAR, Rig, type RigOptions, SERVING } from "./testing/rig.js";
import type { VariantId } from "./testing/variants.js";

const OFFSET = 0x3f_0000_0000;
const NO_WAY = "REFUSED(EOPNOTSUPP@attach)";

/** What every variant comes to, and what those with page frames do. */
const CELLS: readonly [string, RigOptions, string, string?][] = [
  ["S01a", {}, "OK"],
  ["S01b", { machine: { iommu: "translated", rootComplexForwards: false } }, "OK", NO_WAY],
  ["S02a", { busOffsetBytes: OFFSET }, "OK", NO_WAY],
  // The exporter refuses frames at attach, before the window is asked (the catalogue has ENOMEM at map for them).
  ["S02b", { busOffsetBytes: OFFSET, machine: { dmaMaskBits: 36 } }, "OK", NO_WAY],
  ["S03a", { base: "T2", allowlisted: true, machine: { iommu: "translated" } }, "OK"],
  ["S03b", { base: "T2", allowlisted: true, machine: { iommu: "identity" } }, "OK"],
  ["S04b", { acsRedirect: true, machine: { iommu: "translated", rootComplexForwards: false } }, NO_WAY],
  ["S04c", { acsRedirect: true, machine: { iommu: "translated" } }, NO_WAY],
  ["S04d", { acsRedirect: true, allowlisted: true, machine: { iommu: "translated" } }, "OK"],
  [
    "S04e",
    { acsRedirect: true, allowlisted: true, machine: { iommu: "translated", rootComplexForwards: false } },
    "CORRUPT",
  ],
  ["S60b", { machine: { dmaMaskBits: 32 } }, "REFUSED(ENOMEM@map)"],
];

function verdict(id: VariantId, options: RigOptions): string {
  const r = new Rig(id, options);
  const buf = r.bar(r.vfio());
  const told = r.answer(r.regOp(buf, { prefetch: true }));
  if (told !== "ok") return `REFUSED(${told})`;
  r.write({ key: r.reg(buf).rkey, iova: 0 }, 5);
  return r.byte(BAR) === 5 ? "OK" : "CORRUPT";
}

describe.each(CELLS)("%s", (_id, options, verdictOfAll, ofFrames = verdictOfAll) => {
  it.each(SERVING)("%s", (id) => {
    expect(verdict(id, options)).toBe(id.startsWith("pfn") ? ofFrames : verdictOfAll);
  });
});

it.each<[VariantId, string]>([
  ["dma-address", "REFUSED(EINVAL@pin)"],
  ["pfn", "REFUSED(EINVAL@pin)"],
  ["pfn-locked", "REFUSED(EINVAL@pin)"],
  ["annotated-address", "REFUSED(EINVAL@pin)"],
  ["linux-7.3", "REFUSED(EOPNOTSUPP@attach)"],
])("S12b, %s: of two functions the right one pins: %s; with a callback it is taken", (id, pinned) => {
  const r = new Rig(id, { base: "two functions", machine: { rootComplexForwards: false } });
  const buf = r.bar(r.vfio());
  expect(`REFUSED(${r.answer(r.regOp(buf, { kind: "pinned", dmaDevice: 1 }))})`).toBe(pinned);
  for (const kind of ["pinned-revocable", "on-demand"] as const) {
    expect(r.answer(r.regOp(buf, { kind, dmaDevice: 0 }))).toBe("EOPNOTSUPP@attach");
    const { rkey: key } = r.reg(buf, { kind, dmaDevice: 1 });
    expect([r.write({ key, iova: 0 }, 8).kind, r.byte(BAR)]).toEqual(["done", 8]);
  }
});
