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

it("has when an access was sent and when it arrived, and by which number", () => {
  const [first] = accesses;
  expect(first).toMatchObject({ address: "0x1000000000", physical: "0x4000000000", target: "mmio", reason: null });
  expect(first?.step).toBeGreaterThan(first?.sentStep as number);
});

it("has why an access reached nothing, and why its walk led nowhere", () => {
  const [stopped] = collected(["S05b"], ["dma-address"]).explanations[0]?.evidence.accesses ?? [];
  expect(stopped).toMatchObject({ physical: null, target: "nothing", reason: "0x4000000000: not-present at level 2" });
  expect(stopped?.lookups).toMatchObject([{ physical: null, reason: "the entry is empty", leafSizeBytes: null }]);
});

it("has the bits of ACS that are set, and no others", () => {
  const { evidence } = collected(["S04a"], ["dma-address"]).explanations[0] ?? {};
  const port = evidence?.topology.find((node) => node.address === "0000:02:00.0");
  expect(port?.acs).toEqual(["ReqRedir", "CmpltRedir", "UpstreamFwd"]);
});
