import type { Scenario } from "../scenario.js";

export const s15a: Scenario = {
  id: "S15a",
  title: "Importer without a topology, and no route",
  question:
    "When a VM's IOMMU table maps a BAR and another device of the VM writes to it across a bridge that does not forward, did anyone ask for the route?",
  source: "pages.c and the vfio hook [code]; QEMU treats P2P mappings as best effort; derived",
  order: 6,
  topology: { base: "T2", offset: "zero", iommu: "translated", forwards: "no", allowlisted: false },
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
      conforming: { verdict: "CORRUPT" },
      blame: "contract",
      basis: "derived",
    },
  },
};
