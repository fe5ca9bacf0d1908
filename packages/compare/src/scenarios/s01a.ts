import type { Scenario } from "../scenario.js";

export const s01a: Scenario = {
  id: "S01a",
  title: "Same switch, nothing odd",
  question:
    "When a NIC writes to a peer's BAR below the same switch, on a machine whose bus and CPU count addresses alike and whose IOMMU is off, do the bytes arrive?",
  source: "baseline of the thread; Gunthorpe 20250116160747 (why x86 hides the next one)",
  order: 9,
  topology: { base: "T1", offset: "zero", iommu: "off", forwards: "unknown", allowlisted: false },
  importers: [{ kind: "gpu", role: "nic" }],
  importerClass: "faulting",
  steps: [
    { do: "import", by: 0 },
    { do: "write", by: 0, offset: 0, sizeBytes: 4096 },
  ],
  implementations: { "dma-address": "vfio-posted" },
  expected: {
    "dma-address": {
      asPosted: { verdict: "OK" },
      conforming: { verdict: "OK" },
      blame: "none",
      basis: "posted",
    },
    pfn: {
      asPosted: { verdict: "NA" },
      conforming: { verdict: "OK" },
      blame: "none",
      basis: "derived",
    },
  },
};
