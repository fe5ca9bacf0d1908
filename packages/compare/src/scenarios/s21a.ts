import type { Scenario } from "../scenario.js";

export const s21a: Scenario = {
  id: "S21a",
  title: "MSI-X hole: two slices of a BAR as two memslots",
  question:
    "When the page with the MSI-X table must stay with the VMM, can the rest of the BAR be two memslots of one buffer?",
  source: "Kardashevskiy c0b160f8; Gunthorpe afs/Jamx",
  order: 8,
  topology: { base: "T4", offset: "zero", iommu: "off", forwards: "unknown", allowlisted: false, privateMemory: true },
  importers: [{ kind: "kvm", role: "kvm" }],
  importerClass: "zap",
  steps: [
    { do: "import", by: 0, slice: { fromPage: 0, pages: 2 } },
    { do: "import", by: 0, slice: { fromPage: 3, pages: "rest" } },
    { do: "write", by: 0, offset: 0x1000, sizeBytes: 8 },
    { do: "write", by: 0, offset: 0x3000, sizeBytes: 8 },
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
