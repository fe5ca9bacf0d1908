/** What a scenario may say of its actors and its machine, and what comes of a mistake in it. */
import { describe, expect, it } from "vitest";
import { conforming, scenario } from "./testing.js";

describe("a mistake is told with its place", () => {
  it.each([
    [
      "S06a",
      "usesAddressOf: nic1",
      "usesAddressOf: nic3",
      /^S06a.yaml:10:\d+: importers.1.usesAddressOf: there is no importer of that name: choose from nic1, nic2/,
    ],
    [
      "S07",
      "sharesDomainOf: dev2",
      "sharesDomainOf: dev3",
      /readings.1.importers.dev2.sharesDomainOf: there is no importer/,
    ],
    ["S12a", "reaches: 1", "reaches: 2", /importers.0.reaches: must be one of its functions, counted from 0/],
    ["S12a", "functions: 2", "functions: 2.5", /importers.0.functions: must be a whole number/],
    ["S12a", "functions: 2", "functions: 9", /importers.0.functions: must be 1 to 8/],
    ["S55", "times: 100", "times: 0", /churn.times: must be 1 or more/],
    [
      "S62",
      "cpu: device-write",
      "cpu: { device-write: { bytes: 8 KiB } }",
      /device-write.bytes: must be at most a page, 4 KiB/,
    ],
    ["S64", "39 bit", "40 bit", /topology.aperture: must be 39 bit, 48 bit or 57 bit/],
    ["S60b", "44 bit", "99 bit", /topology.dmaMask: must be a number of bits/],
  ])("%s: %s as %s", (id, from, to, message) => {
    expect(() => scenario(id, from, to)).toThrow(message);
  });
});

it("an IOMMU translates as far as the scenario says", () => {
  expect(conforming(scenario("S64", "39 bit", "48 bit"), "linux-7.3")).toBe("OK");
  expect(conforming(scenario("S64", "iova: 512 GiB", "iova: 256 TiB"), "linux-7.3")).toBe("REFUSED(EINVAL@map)");
});

it("compaction wants pages of the movable zone alone", () => {
  expect(conforming(scenario("S69b", ", ram: movable zone", ""), "pfn")).toBe("NA");
});

it.each(["S40b", "S69a", "S50"])("%s: who exports twice under one name leaks neither", (id) => {
  expect(
    conforming(scenario(id, "  - exporter: export\n", "  - exporter: export\n  - exporter: export\n"), "linux-7.3"),
  ).toBe("OK");
});

it("an fd is closed once", () => {
  const twice = "  - exporter: close-fd\n  - exporter: close-fd\n";
  expect(conforming(scenario("S50", "  - exporter: close-fd\n", twice), "linux-7.3")).toBe("OK");
});

it("the process has no byte behind the first page", () => {
  expect(
    conforming(scenario("S62", "  - cpu: read\n", "  - cpu: { read: { offset: 4090, bytes: 8 } }\n"), "linux-7.3"),
  ).toBe("NA");
});

it("the second importer attaches with a device of its own", () => {
  const narrow = "importers:\n  - { kind: nic, class: faulting, dmaMask: 32 bit }\n";
  expect(conforming(scenario("S36a", "importers:\n", narrow), "dma-address")).toBe("STALE");
});
