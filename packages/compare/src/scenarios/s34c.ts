import type { Scenario } from "../scenario.js";

export const s34c: Scenario = {
  id: "S34c",
  title: "Query races revoke, importer without any retry",
  question:
    "If an importer installs an address that was revoked since it asked, and has no retry of its own, does the contract save it?",
  source: "König c10ae58f ('like userptr'), 0d77dc64",
  order: 3,
  topology: { base: "T1", offset: "zero", iommu: "off", forwards: "unknown", allowlisted: false },
  importers: [{ kind: "gpu", role: "nic", retry: false }],
  importerClass: "faulting",
  steps: [
    { do: "import", by: 0 },
    {
      do: "race",
      tasks: { importer: [{ do: "validate", by: 0 }], exporter: [{ do: "revoke" }] },
    },
    { do: "read", by: 0, offset: 0, sizeBytes: 64 },
  ],
  implementations: {},
  expected: {
    "dma-address": {
      asPosted: { verdict: "NA" },
      conforming: { verdict: "OK" },
      blame: "none",
      basis: "derived",
    },
    pfn: {
      asPosted: { verdict: "NA" },
      conforming: { verdict: "STALE" },
      blame: "contract",
      basis: "derived",
    },
  },
};
