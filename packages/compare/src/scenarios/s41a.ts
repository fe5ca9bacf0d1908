import type { Scenario } from "../scenario.js";

export const s41a: Scenario = {
  id: "S41a",
  title: "Un-revoke, KVM",
  question: "Does a guest get its BAR back by itself when memory decode goes off and on again?",
  source: "seen on Linux 7.3.4; RFC 06/12, 07/12",
  order: 10,
  topology: { base: "T4", offset: "zero", iommu: "off", forwards: "unknown", allowlisted: false, privateMemory: true },
  importers: [{ kind: "kvm", role: "kvm" }],
  importerClass: "zap",
  steps: [
    { do: "import", by: 0 },
    { do: "write", by: 0, offset: 0, sizeBytes: 64 },
    { do: "memory-decode", on: false },
    { do: "memory-decode", on: true },
    { do: "read", by: 0, offset: 0, sizeBytes: 64 },
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
      asPosted: { verdict: "OK" },
      conforming: { verdict: "OK" },
      blame: "none",
      basis: "posted",
    },
  },
};
