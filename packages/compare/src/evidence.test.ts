import { expect, it } from "vitest";
import { collected } from "./report/testing.js";

const [explanation] = collected(["S18a"], ["pfn"]).explanations;
const { topology, accesses } = explanation?.evidence ?? { topology: [], accesses: [] };

it("has the functions on the way, parents first", () => {
  const known = topology.map((node) => node.address);
  for (const { address, parent } of topology.filter((node) => node.parent !== null))
    expect(known.indexOf(parent as string)).toBeLessThan(known.indexOf(address));
  expect(topology.map((node) => node.plays).filter(Boolean)).toEqual(["exporter", "importer"]);
});

it("has each entry that was walked, and where it led", () => {
  const [lookup] = accesses[0]?.lookups ?? [];
  expect(lookup).toMatchObject({
    address: "0x1000000000",
    physical: "0x4000000000",
    reason: null,
    leafSizeBytes: 2 ** 30,
  });
  expect(lookup?.entries.map((e) => e.level)).toEqual([3, 2]);
});

it("is JSON: addresses and entries are text", () => {
  expect(JSON.parse(JSON.stringify(accesses))).toEqual(accesses);
});
