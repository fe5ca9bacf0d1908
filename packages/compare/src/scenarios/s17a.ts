import type { Scenario } from "../scenario.js";

export const s17a: Scenario = {
  id: "S17a",
  title: "KVM imports a BAR, ordinary VM",
  question: "Can an ordinary guest get an assigned device's BAR through a dma-buf?",
  source: "seed; König c823f70c, 6612c40d; Xu af7GzASJ; Gunthorpe 20260129134245",
  order: 2,
  topology: { base: "T4", offset: "zero", iommu: "off", forwards: "unknown", allowlisted: false },
  importers: [{ kind: "kvm", role: "kvm" }],
  importerClass: "zap",
  steps: [
    { do: "import", by: 0 },
    { do: "write", by: 0, offset: 0x1000, sizeBytes: 8 },
  ],
  implementations: { pfn: "kvm-rfc+vfio-rfc" },
  expected: {
    "dma-address": {
      asPosted: { verdict: "NA" },
      conforming: { verdict: "REFUSED", errno: "EINVAL", stage: "attach" },
      blame: "contract",
      basis: "code",
    },
    pfn: {
      asPosted: { verdict: "REFUSED", errno: "EINVAL", stage: "memslot" },
      conforming: { verdict: "OK" },
      blame: "importer",
      basis: "posted",
    },
  },
};
