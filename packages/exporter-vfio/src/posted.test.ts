/** The code as it was posted or merged breaks its contract in the ways that are known, and in no other. */
import { check, type ExporterCapability } from "@dma-buf/conformance";
import { type Contract, dmaAddress, linux73, pfn } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { vfioExporter as dmaAddressExporter } from "./dma-address.js";
import { vfioExporter as linux73Exporter } from "./linux-7.3.js";
import { vfioExporter as pfnExporter } from "./pfn.js";
import { subject } from "./testing.js";
import type { VfioFactory } from "./variant.js";

const NO_WAIT = [
  /STALE: an access of the fenced importer reaches 0x1000000000 after revoke\(\) returned/,
  /revoke\(\) returns although (a fence in the reservation|the fence that a callback added) has not signalled/,
];
const LEAK = /the entry array of a table is never freed/;

describe.each<[string, Contract, ExporterCapability, VfioFactory, readonly RegExp[]]>([
  ["2022 to 2025", dmaAddress, "map", dmaAddressExporter, NO_WAIT],
  ["the RFC", pfn, "get_pfn", pfnExporter, NO_WAIT],
  ["Linux 7.3.4", linux73, "map", linux73Exporter, [LEAK]],
])("%s", (_name, contract, capability, factory, known) => {
  const broken = check(subject(contract, [capability, "revoke"], factory, true)).flatMap((c) => c.breaches);

  it("breaks it in each known way", () => {
    for (const way of known) expect(broken).toContainEqual(expect.stringMatching(way));
  });
  it("and in no other", () => {
    expect(broken.filter((b) => !known.some((way) => way.test(b)))).toEqual([]);
  });
});
