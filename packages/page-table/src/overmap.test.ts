import { describe, expect, it } from "vitest";
import { armStage2 } from "./index.js";
import { kit, type Kit, miscounts, phys, RW } from "./testing.js";

const [K4, M2] = [0x1000, 0x20_0000];

/** As io-pgtable-arm: facts of Linux 7.3, `arm_lpae_init_pte()`. */
describe("replace-table", () => {
  const arm = (): Kit => kit(armStage2, 64, { overmap: "replace-table" });

  it("a block takes the place of a table, with all that is below it, and nobody is told", () => {
    const { table } = arm();
    table.map(0, phys(0x4000_0000), K4, RW);
    table.map(5 * K4, phys(0x5000_0000), K4, RW);
    table.map(0, phys(0x8000_0000), M2, RW);
    expect([...table.leaves()].map((leaf) => [leaf.va, leaf.physical, leaf.sizeBytes])).toEqual([[0, 0x8000_0000, M2]]);
    expect(miscounts(table)).toEqual([]);
    expect(table.idleTables).toBe(0);
  });

  it.each<[string, number, number]>([
    ["a page over a page", 0, K4],
    ["a page inside a block", M2 + K4, K4],
    ["a block over a block", M2, M2],
    ["pages, of which the last is there", 0x4000, 8 * K4],
  ])("EEXIST, and nothing changed: %s", (_what, va, sizeBytes) => {
    const { table } = arm();
    table.map(0, phys(0x4000_0000), K4, RW);
    table.map(11 * K4, phys(0x5000_0000), K4, RW);
    table.map(M2, phys(0x8000_0000), M2, RW);
    const before = [...table.leaves()];
    expect(() => table.map(va, phys(0xc000_0000 + (va % M2)), sizeBytes, RW)).toThrow(/map: EEXIST: .* unmap it first/);
    expect([...table.leaves()]).toEqual(before);
  });
});
