import type { Scenario } from "../scenario.js";

export const s02a: Scenario = {
  id: "S02a",
  title: "Same switch, PCI bus offset",
  question:
    "When the PCI bus counts addresses from another zero than the CPU, does a write to a peer's BAR below the same switch go to the right place?",
  source: "Gunthorpe 20250116160747; dma-buf-mapping.c BUS_ADDR arm [code]",
  order: 1,
  topology: { base: "T1", offset: "nonzero", iommu: "off", forwards: "unknown", allowlisted: false },
  importers: [{ kind: "gpu", role: "nic" }],
  importerClass: "faulting",
  steps: [
    { do: "import", by: 0 },
    { do: "write", by: 0, offset: 0, sizeBytes: 4096 },
  ],
  implementations: { "dma-address": "vfio-posted" },
  expected: {
    "dma-address": {
      asPosted: { verdict: "CORRUPT" },
      conforming: { verdict: "OK" },
      blame: "exporter",
      basis: "posted",
    },
    pfn: {
      asPosted: { verdict: "NA" },
      conforming: { verdict: "REFUSED", errno: "EOPNOTSUPP", stage: "attach" },
      blame: "contract",
      basis: "derived",
    },
  },
};
