import type { Scenario } from "../scenario.js";

export const s06a: Scenario = {
  id: "S06a",
  title: "One device's DMA address given to another",
  question:
    "What happens when a buffer is mapped for one NIC and the address is then used by another NIC in another IOMMU domain?",
  source: "amd/xdna-driver#1466; Gunthorpe 20250123160827",
  order: 5,
  topology: { base: "T2", offset: "zero", iommu: "translated", forwards: "yes", allowlisted: true },
  importers: [
    { kind: "gpu", role: "nic1" },
    { kind: "gpu", role: "nic2" },
  ],
  importerClass: "faulting",
  steps: [
    { do: "import", by: 0 },
    { do: "validate", by: 0 },
    { do: "borrow", by: 1, from: 0 },
    { do: "write", by: 1, offset: 0, sizeBytes: 4096 },
  ],
  implementations: { "dma-address": "oot" },
  expected: {
    "dma-address": {
      asPosted: { verdict: "FAULT" },
      conforming: { verdict: "FAULT" },
      blame: "importer",
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
