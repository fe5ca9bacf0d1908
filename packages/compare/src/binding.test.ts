import { t1 } from "@dma-buf/pci";
import { describe, expect, it } from "vitest";
import { bind } from "./binding.js";
import { readScenarios } from "./catalogue.js";
import type { Scenario } from "./scenario/scenario.js";

const known = new Map(readScenarios().map((s) => [s.id, s]));
const scenario = (id: string): Scenario => known.get(id) as Scenario;

describe("on a host", () => {
  it("the BAR must be as large as the steps reach", () => {
    const [small, large] = [t1().topology, t1({ barBytes: 2 ** 33 }).topology];
    expect(bind(scenario("S01a"), small).where).toBe("host");
    expect(bind(scenario("S52"), large).where).toBe("host");
    const none = bind(scenario("S52"), small);
    expect([none.where, none.text]).toEqual([
      "catalogue",
      expect.stringContaining("a memory BAR of 8388608 KiB or more"),
    ]);
    // By the ranges, where some are exported: 2 and 3 GiB.
    expect(bind(scenario("S56b"), small).text).toContain("5242880 KiB");
  });

  it("what only some machines have is built", () => {
    expect(bind(scenario("S12b"), t1().topology)).toMatchObject({
      where: "catalogue",
      text: expect.stringContaining("one function is near and one is not"),
    });
    expect(bind(scenario("S60b"), t1().topology).text).toContain("needs barAddress 0x200000000000, dmaMask 44 bit");
  });
});

describe("in the catalogue", () => {
  it("functions are given out by importer, the near one where the scenario says", () => {
    const { topology, exporter, devices } = bind(scenario("S12b"), null);
    const shared = devices.map(
      (at) => topology.commonAncestor(topology.get(at), topology.get(exporter))?.address ?? null,
    );
    expect(shared).toEqual([null, "0000:01:00.0"]);
    expect(new Set(bind(scenario("S06a"), null).devices).size).toBe(2);
  });

  it("the BAR is as large, and where, as the scenario says", () => {
    const bar = (id: string) => {
      const { topology, exporter } = bind(scenario(id), null);
      return topology.get(exporter).bars[0];
    };
    expect(bar("S01a")).toMatchObject({ sizeBytes: 2 ** 30 });
    expect(bar("S52")).toMatchObject({ sizeBytes: 2 ** 33 });
    expect(bar("S60b")).toMatchObject({ base: 2 ** 45 });
  });
});
