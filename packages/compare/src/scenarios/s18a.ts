import type { Scenario } from "../scenario.js";

export const s18a: Scenario = {
  id: "S18a",
  title: "iommufd imports a VFIO BAR, one range",
  question: "Can a BAR be mapped into a VM's IOMMU table through a dma-buf?",
  source: "44ebaa1744fd; cloud-hypervisor#8895; seen on Linux 7.3.4",
  order: 4,
  topology: { base: "T4", offset: "zero", iommu: "translated", forwards: "unknown", allowlisted: false },
  importers: [{ kind: "iommufd", role: "iommufd" }],
  importerClass: "zap",
  steps: [
    { do: "import", by: 0 },
    { do: "write", by: 0, offset: 0, sizeBytes: 4096 },
  ],
  implementations: {},
  expected: {
    "dma-address": {
      asPosted: { verdict: "NA" },
      conforming: { verdict: "REFUSED", errno: "EINVAL", stage: "attach" },
      blame: "contract",
      basis: "code",
    },
    pfn: {
      asPosted: { verdict: "NA" },
      conforming: { verdict: "OK" },
      blame: "none",
      basis: "derived",
    },
  },
};
